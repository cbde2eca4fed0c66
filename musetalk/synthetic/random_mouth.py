"""Plausible mouths at random, without speech."""

from __future__ import annotations

import numpy as np

from musetalk.synthetic.mouth_channels import CHANNELS, pose
from musetalk.synthetic.visemes import VISEMES, rest_pose


def random_mouth(rng: np.random.Generator) -> np.ndarray:
    """A plausible mouth (C,) float32 in 0…1: spoken, shut, smiling, laughing or pursed."""
    names = tuple(VISEMES)
    kind = rng.choice(5, p=(0.6, 0.12, 0.1, 0.1, 0.08))
    if kind == 0:
        first, second = (pose(VISEMES[names[rng.integers(len(names))]]) for _ in range(2))
        blend = rng.uniform(0, 1)
        mouth = (first * blend + second * (1 - blend)) * rng.uniform(0.7, 1.25)
    elif kind == 1:
        mouth = pose(VISEMES[("rest", "closed")[rng.integers(2)]])
        mouth += pose({"mouthSmile": rng.uniform(0, 0.2), "mouthPucker": rng.uniform(0, 0.2)})
    elif kind == 2:
        mouth = rest_pose() + pose({"mouthSmile": rng.uniform(0.2, 0.8), "mouthStretch": rng.uniform(0, 0.2)})
        mouth += pose({"mouthUpperUp": 0.4, "mouthLowerDown": 0.3}) * rng.uniform(0, 1)
    elif kind == 3:
        mouth = pose({"jawOpen": rng.uniform(0.25, 0.75), "mouthSmile": rng.uniform(0.3, 0.8)})
        mouth += pose({"mouthUpperUp": rng.uniform(0.1, 0.5), "mouthLowerDown": rng.uniform(0.1, 0.4)})
    else:
        mouth = pose(
            {"mouthPucker": rng.uniform(0.4, 1), "mouthFunnel": rng.uniform(0, 0.5), "jawOpen": rng.uniform(0, 0.2)}
        )
    mouth = mouth + (mouth > 0) * rng.normal(0, 0.03, len(CHANNELS))
    return np.clip(mouth, 0, 1).astype(np.float32)
