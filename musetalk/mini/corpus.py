"""Training data of the bundled model: synthetic speech with true mouth curves, and rendered scenes that wear them.

Everything is drawn from seeds and written in parts, so that a stopped run continues and several processes can share it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from musetalk.synthetic.speech_corpus import Speech, save_arrays
from musetalk.synthetic.visemes import CHANNELS, random_mouth

SAMPLE_RATE = 16000
VIDEO_RATE = 25
STEP_RATE = 50
"""Frames and encoder steps a second (published: 25 and 50)."""
MOUTHS = 6
"""Mouths rendered per scene."""


def draw_mouths(corpus: list[Speech], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mouths of one scene: `weights` (6, C) and `origin` (6, 2): utterance and frame, or −1 for a mouth without sound.

    The first mouth may be any mouth at all, as a source video's; the others are spoken ones, spread over openness so
    that wide and shut mouths are not drowned by the middle.
    """
    weights, origin = [], []
    if rng.random() < 0.3:
        weights.append(random_mouth(rng))
        origin.append((-1, -1))
    jaw = CHANNELS.index("jawOpen")
    while len(weights) < MOUTHS:
        number = int(rng.integers(len(corpus)))
        curves = corpus[number].curves
        candidates = rng.integers(0, len(curves), 3)
        if rng.random() < 0.4:
            frame = int(candidates[np.argmax(curves[candidates, jaw])])
        else:
            frame = int(candidates[0])
        weights.append(curves[frame])
        origin.append((number, frame))
    return np.asarray(weights, np.float32), np.asarray(origin, np.int32)


def write_scenes(
    folder: Path, head_path: Path, corpus: list[Speech], first: int, count: int, seed: int, size: int = 50
) -> None:
    """Render parts of `size` scenes: faces (s, 6, 256, 256, 3) BGR uint8, lips, weights, origins; keeps old ones."""
    from musetalk.synthetic.head_model import HeadModel
    from musetalk.synthetic.renderer import Renderer
    from musetalk.synthetic.scenes import render_scene

    folder.mkdir(parents=True, exist_ok=True)
    renderer: Renderer | None = None
    for part in range(first, first + count):
        path = folder / f"{part:04d}.npz"
        if path.exists():
            continue
        if renderer is None:
            # 1.5 times the crop without multisampling is faster in software than 4 samples, and as smooth
            renderer = Renderer(HeadModel.load(head_path), 384, samples=0)
        faces, lips, weights, origins = [], [], [], []
        for scene in range(size):
            rng = np.random.default_rng((seed, part, scene))
            mouths, origin = draw_mouths(corpus, rng)
            rendered = render_scene(renderer, [dict(zip(CHANNELS, map(float, m), strict=True)) for m in mouths], rng)
            faces.append(rendered.faces)
            lips.append(rendered.lips)
            weights.append(mouths)
            origins.append(origin)
        save_arrays(
            path, faces=np.stack(faces), lips=np.stack(lips), weights=np.stack(weights), origins=np.stack(origins)
        )
