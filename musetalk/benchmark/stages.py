"""Every stage of the pipeline by itself, on frames of a real clip, through the pipeline's own functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from musetalk.audio.windows import SAMPLE_RATE, step_count
from musetalk.benchmark.counting import NetworkWork, Work
from musetalk.benchmark.results import ClipFacts, StageCost
from musetalk.benchmark.timer import median_seconds
from musetalk.errors import InputError
from musetalk.face.landmarks import Face
from musetalk.media.audio_file import read_audio
from musetalk.media.frame_source import FrameSource
from musetalk.media.frames import open_source
from musetalk.media.writer import VideoWriter
from musetalk.models.vae import CPU_BATCH, to_bgr
from musetalk.pipeline.frame_state import LocatedFrame
from musetalk.pipeline.generator import cut_face
from musetalk.pipeline.live import LiveStates, batched
from musetalk.pipeline.model import Model
from musetalk.pipeline.settings import DubSettings, FaceSettings

READ, FACES, MASKS, ENCODE, FEATURES = "read", "faces", "masks", "encode", "features"
UNET, DECODE, BLEND, WRITE = "unet", "decode", "blend", "write"
STAGES = (READ, FACES, MASKS, ENCODE, FEATURES, UNET, DECODE, BLEND, WRITE)
"""In the order of the pipeline."""
NETWORK_STAGES = (ENCODE, UNET, DECODE)
"""Those that depend on dtype and batch size."""

_FINDER_BATCH = 8  # as dubbing hands frames to finder and parser


@dataclass(frozen=True)
class Clip:
    """Frames and sound in memory, and how dubbing places faces in them.

    Attributes:
        source: The video.
        audio: File of the sound.
        samples: (n,) float32 mono at SAMPLE_RATE, all of it.
        frames: (H, W, 3) uint8 BGR each.
        faces: What the finder found in each.
        located: The frames with their placements.
    """

    source: FrameSource
    audio: Path
    samples: np.ndarray
    frames: list[np.ndarray]
    faces: list[Face | None]
    located: list[LocatedFrame]

    @property
    def with_face(self) -> list[LocatedFrame]:
        """Frames that have a placement."""
        return [item for item in self.located if item.placement is not None]

    @property
    def facts(self) -> ClipFacts:
        """For the report."""
        info = self.source.info
        seconds = len(self.samples) / SAMPLE_RATE
        return ClipFacts(info.path.name, self.audio.name, info.width, info.height, len(self.frames), seconds)


class _KnownFaces:
    """A face finder that gives in turn what was found before."""

    name = "known"

    def __init__(self, faces: Sequence[Face | None]) -> None:
        self._faces = iter(faces)

    def find(self, frames: Sequence[np.ndarray]) -> list[Face | None]:
        return list(islice(self._faces, len(frames)))


def read_clip(model: Model, video: Path, audio: Path, count: int) -> Clip:
    """The first `count` frames of a video (all, where it has fewer), the whole sound, and where the faces are.

    Raises:
        InputError: The video or sound cannot be used, or no frame has a face.
    """
    source = open_source(video)
    samples = read_audio(audio)
    frames = list(islice(source.frames(), count))
    faces = _find(model, frames)
    clip = Clip(source, audio, samples, frames, faces, [])
    return Clip(source, audio, samples, frames, faces, _locate(model, clip))


def frame_stages(model: Model, clip: Clip, work: NetworkWork, repeats: int, folder: Path) -> Iterator[StageCost]:
    """Time the stages that work the same for every dtype and batch size.

    Args:
        model: Finder, parser, ffmpeg, and the audio encoder at its place.
        clip: What on.
        work: Of the audio encoder.
        repeats: Runs of each stage.
        folder: For the video that is written.
    """
    cpu, device = torch.device("cpu"), model.generator.device
    count, pixels = len(clip.frames), clip.frames[0].nbytes
    face_bytes = 3 * model.generator.face_size**2
    placements = [item.placement for item in clip.with_face if item.placement is not None]
    alpha_bytes = sum(placement.alpha.nbytes for placement in placements) / count
    size = model.generator.face_size
    compositor = model.compositor
    new = [_resized(item, size) for item in clip.located]
    composed = [compositor.compose(item, face) for item, face in zip(clip.located, new, strict=True)]

    def cost(name: str, run: Callable[[], object], moved: float, where: torch.device = cpu) -> StageCost:
        return StageCost(name, median_seconds(run, where, repeats) / count, None, moved, None, where.type)

    yield cost(READ, lambda: _exhaust(islice(open_source(clip.source.info.path).frames(), count)), pixels)
    yield cost(FACES, lambda: _find(model, clip.frames), pixels)
    yield cost(MASKS, lambda: _locate(model, clip), 4 * alpha_bytes)  # a crop of three bytes in, a mask of one out
    yield _features(model, clip, work, repeats, device)
    yield cost(
        BLEND,
        lambda: [compositor.compose(item, face) for item, face in zip(clip.located, new, strict=True)],
        2 * pixels + face_bytes + alpha_bytes,
    )
    yield cost(WRITE, lambda: _write(model, clip, composed, folder / "written.mp4"), pixels)


def network_stages(model: Model, clip: Clip, work: NetworkWork, batch: int, repeats: int) -> Iterator[StageCost]:
    """Time VAE and UNet as they are placed, with `batch` faces a pass."""
    generator = model.generator
    vae, unet, device = generator.networks.vae, generator.networks.unet, generator.device
    items = list(islice(cycle(clip.with_face), batch))
    heard = generator.audio.windows(clip.samples, clip.source.info.fps)
    windows = torch.from_numpy(np.stack(list(islice(cycle(list(islice(heard, batch))), batch)))).to(device)

    def crops() -> list[np.ndarray]:
        return [cut_face(item.frame, item.placement.box, vae.face_size) for item in items if item.placement]

    latents = generator.encode_faces(crops())
    with torch.inference_mode():
        predicted = unet(latents, windows)
    dtype, width = str(unet.dtype).removeprefix("torch."), unet.dtype.itemsize

    def cost(name: str, run: Callable[[], object], *parts: tuple[Work, int, int]) -> StageCost:
        """Of networks, each with how often a face goes through it, and how many passes the batch takes."""
        with torch.inference_mode():
            seconds = median_seconds(run, device, repeats)
        flops = sum(part.flops * per_face for part, per_face, _ in parts)
        moved = width * sum(part.weights * passes / batch + part.values * per_face for part, per_face, passes in parts)
        return StageCost(name, seconds / batch, flops, moved, dtype, device.type)

    # A face is encoded twice: masked, and whole as the reference, which may then be given a resting mouth.
    parts = min(batch, torch.get_num_threads()) if device.type == "cpu" else 1  # see BatchThreads
    resting = [(work.unet, 1, parts)] if unet.rests_references else []
    encoding = (work.encode, 2, vae_passes(2 * batch, device.type))
    yield cost(ENCODE, lambda: generator.encode_faces(crops()), encoding, *resting)
    yield cost(UNET, lambda: unet(latents, windows), (work.unet, 1, 1))
    yield cost(DECODE, lambda: to_bgr(vae.decode(predicted)), (work.decode, 1, vae_passes(batch, device.type)))


def vae_passes(images: int, device: str) -> int:
    """Passes that the VAE takes for images: on a CPU it runs CPU_BATCH at a time."""
    return -(-images // CPU_BATCH) if device == "cpu" else 1


def in_order(stages: Sequence[StageCost]) -> tuple[StageCost, ...]:
    """Stages in the order of the pipeline."""
    return tuple(sorted(stages, key=lambda stage: STAGES.index(stage.name)))


def _features(model: Model, clip: Clip, work: NetworkWork, repeats: int, device: torch.device) -> StageCost:
    """All windows of the whole sound: a segment costs the same however little of it is sound."""
    audio, fps = model.generator.audio, clip.source.info.fps
    count = sum(1 for _ in audio.windows(clip.samples, fps))
    if count == 0:
        raise InputError(f"{clip.audio}: the sound is shorter than a frame", "Give a longer sound.")
    segments = audio.plan.count(step_count(len(clip.samples)))
    seconds = median_seconds(lambda: _exhaust(audio.windows(clip.samples, fps)), device, repeats)
    part = work.features
    moved = 4 * segments * (part.weights + part.values) / count
    return StageCost(FEATURES, seconds / count, part.flops * segments / count, moved, "float32", device.type)


def _find(model: Model, frames: Sequence[np.ndarray]) -> list[Face | None]:
    return [face for batch in batched(frames, _FINDER_BATCH) for face in model.finder.find(batch)]


def _locate(model: Model, clip: Clip) -> list[LocatedFrame]:
    settings = FaceSettings.of(model.spec, DubSettings())
    # New ones each time, since they keep the placements that they have made.
    states = LiveStates(
        clip.source, _KnownFaces(clip.faces), model.parser, model.generator, settings, batch_size=_FINDER_BATCH
    )
    return list(states.locate(iter(enumerate(clip.frames))))


def _resized(item: LocatedFrame, size: int) -> np.ndarray | None:
    """A face to blend: the frame's own, as large as a generated one."""
    return None if item.placement is None else cut_face(item.frame, item.placement.box, size)


def _write(model: Model, clip: Clip, frames: Sequence[np.ndarray], path: Path) -> None:
    info = clip.source.info
    with VideoWriter(
        path,
        info.width,
        info.height,
        Fraction(info.fps),
        audio=clip.audio,
        frame_count=len(frames),
        ffmpeg=model.ffmpeg,
        color=info.color,
        sample_aspect=info.sample_aspect,
    ) as writer:
        for frame in frames:
            writer.write(frame)


def _exhaust(items: Iterator[object]) -> None:
    for _ in items:
        pass
