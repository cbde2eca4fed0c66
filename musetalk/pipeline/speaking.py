"""The one pipeline: frames with their states, and the sound, to frames that speak.

What feeds it (a video or a prepared avatar) and what takes its frames (a file, a stream, a web page) lie outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.frame_state import LocatedFrame, StateSource
from musetalk.pipeline.generator import Generator
from musetalk.pipeline.live import batched
from musetalk.pipeline.stages import Stages, channel_depth

# Names of the stages, in the order of the report.
DECODE, FACES, AUDIO, GENERATE, BLEND, WRITE = "decode", "faces", "audio", "generate", "blend", "write"


@dataclass(frozen=True)
class GeneratedFrame:
    """A located frame with its new face, (s, s, 3) BGR uint8; None for a frame that passes through."""

    source: LocatedFrame
    face: np.ndarray | None


def generated_frames(
    located: Iterator[LocatedFrame],
    windows: Iterator[np.ndarray],
    states: StateSource,
    generator: Generator,
    batch_size: int,
) -> Iterator[GeneratedFrame]:
    """Give each frame that has a face a new one, in batches; every frame takes its audio window, face or not."""
    for batch in batched(located, batch_size):
        heard = list(islice(windows, len(batch)))
        with_face = [(item, window) for item, window in zip(batch, heard, strict=True) if item.placement is not None]
        faces: Iterator[np.ndarray] = iter(())
        if with_face:
            latents = states.latents([item for item, _ in with_face])
            visible_from = min(item.placement.visible_from for item, _ in with_face if item.placement is not None)
            faces = iter(generator.generate(latents, np.stack([window for _, window in with_face]), visible_from))
        for item in batch:
            yield GeneratedFrame(item, None if item.placement is None else next(faces))


def blended_frames(generated: Iterator[GeneratedFrame], compositor: Compositor) -> Iterator[np.ndarray]:
    """Put each new face into its frame."""
    for item in generated:
        yield compositor.compose(item.source, item.face)


def speak(
    states: StateSource,
    located: Iterator[LocatedFrame],
    windows: Iterator[np.ndarray],
    generator: Generator,
    compositor: Compositor,
    stages: Stages,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """Composited frames (H, W, 3) BGR uint8, one for each of `located`; generation and blending run in threads.

    Args:
        states: Where `located` came from; gives the latents.
        located: Frames in their order.
        windows: Audio window of each frame, at least as many as frames.
        generator: The networks.
        compositor: Puts faces into frames.
        stages: Runs the threads; leaving its context stops them.
        batch_size: Frames in one pass of the networks.
    """
    depth = channel_depth(states.info.width * states.info.height * 3)
    heard = stages.time(AUDIO, windows)
    generated = stages.run(GENERATE, generated_frames(located, heard, states, generator, batch_size), depth)
    return stages.run(BLEND, blended_frames(generated, compositor), depth)
