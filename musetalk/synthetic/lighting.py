"""Random lights."""

from __future__ import annotations

import numpy as np

from musetalk.synthetic.colors import random_paint
from musetalk.synthetic.looks import Lighting


def random_lighting(rng: np.random.Generator) -> Lighting:
    """Daylight, lamps, evening, a coloured stage: a key light on either side, a fill, a rim from behind."""
    side = rng.choice([-1.0, 1.0])
    key = [side * rng.uniform(0.0, 1.3), rng.uniform(-0.15, 1.0), rng.uniform(0.45, 1.2)]
    fill = [-side * rng.uniform(0.2, 1.0), rng.uniform(-0.4, 0.5), rng.uniform(0.4, 1.0)]
    rim = [-side * rng.uniform(0.2, 1.2), rng.uniform(-0.1, 0.8), -rng.uniform(0.4, 1.0)]
    directions = np.array([key, fill, rim])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    warmth = rng.uniform(-0.18, 0.2)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    cool = np.array([1 - 0.8 * warmth, 1, 1 + 0.8 * warmth])
    mood = rng.choice(4, p=(0.55, 0.2, 0.15, 0.1))
    strength, filled, rimmed = rng.uniform(0.7, 1.4), rng.uniform(0.1, 0.55), rng.uniform(0, 0.9)
    around = rng.uniform(0.14, 0.45)
    if mood == 1:  # overcast, or a soft box
        strength, around = rng.uniform(0.35, 0.8), rng.uniform(0.5, 0.9)
    elif mood == 2:  # evening: little fill, a strong rim
        strength, filled, rimmed, around = rng.uniform(0.9, 1.5), rng.uniform(0.02, 0.15), rng.uniform(0.5, 1.6), 0.12
    elif mood == 3:  # coloured lamps
        tint = tint * (0.45 + 1.1 * random_paint(rng) ** 0.5)
        cool = cool * (0.35 + 1.3 * random_paint(rng) ** 0.5)
    rim_color = rng.normal(1, 0.1, 3) if rng.random() < 0.7 else 0.3 + 1.5 * random_paint(rng)
    colors = np.stack([tint * strength, cool * filled, np.clip(rim_color, 0, 3) * rimmed])
    sky = around * rng.normal(1, 0.07, 3) * (0.5 * cool + 0.5)
    return Lighting(
        directions=directions,
        colors=np.clip(colors, 0, 4),
        sky=np.clip(sky, 0.02, 2),
        ground=np.clip(sky * rng.uniform(0.35, 0.9) * rng.normal(1, 0.06, 3), 0.01, 2),
        exposure=rng.uniform(0.75, 1.3),
        shadow=rng.uniform(0.4, 0.95) if mood != 1 and rng.random() < 0.65 else 0.0,
        softness=rng.uniform(0, 1) ** 1.5,
    )
