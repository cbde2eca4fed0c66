"""Datasets of rendered talking heads: video, sound, landmarks and the truth about the mouth, clip by clip."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from musetalk.media.writer import VideoWriter
from musetalk.synthetic.acting import Performance, random_performance, random_twin
from musetalk.synthetic.clips import FRAME_RATE, Performer, Shot, film_takes, random_shoot
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.motion import Motion, random_motion
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.synthetic.renderer import Renderer
from musetalk.synthetic.sentences import HELD_OUT, TRAIN
from musetalk.synthetic.truth import truth, write_wav
from musetalk.training.files import replacing

SPLITS = (TRAIN, HELD_OUT)
"""They share no person, no voice and no sentence: people are drawn from streams of their own, voices and sentences from
the pools of `sentences` and `speech`."""
VERSION = 2
"""Goes up when the same task gives another clip."""
_STREAM = {TRAIN: 1, HELD_OUT: 2}
_TRUTH = ".truth.npz"
_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class ClipTask:
    """One clip of a dataset: `number` in it, and what decides its content; `twins` of it have other mouths."""

    folder: Path
    number: int
    seed: int
    split: str
    frames: int
    size: int
    twins: int

    @property
    def name(self) -> str:
        """`<split>_<seed>_<number>`."""
        return f"{self.split}_{self.seed}_{self.number:05d}"

    def path(self, suffix: str) -> Path:
        """One of its files."""
        return self.folder / f"{self.name}{suffix}"

    def take_path(self, take: str, suffix: str) -> Path:
        """A file of one of its `takes`."""
        return self.path(f".{take}{suffix}" if take else suffix)

    @property
    def files(self) -> tuple[Path, ...]:
        """All of its files; the truth is written last."""
        kinds = (".wav", ".mp4", ".landmarks.npz")
        return (*(self.take_path(take, kind) for take in self.takes for kind in kinds), self.path(_TRUTH))

    @property
    def takes(self) -> tuple[str, ...]:
        """The clip itself, "", and its twins: `twin`, `twin2`, `twin3` …"""
        return ("", *(f"twin{number if number > 1 else ''}" for number in range(1, self.twins + 1)))

    @property
    def settings(self) -> np.ndarray:
        """What the clip was made with, as its truth holds it."""
        return np.array([VERSION, self.frames, self.size, self.twins])

    def is_done(self) -> bool:
        """Whether all of its files are there, made with the same settings."""
        if not all(path.is_file() for path in self.files):
            return False
        try:
            with np.load(self.path(_TRUTH), allow_pickle=False) as data:
                return bool(np.array_equal(data["settings"], self.settings))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False


@dataclass(frozen=True)
class ClipMakerRecipe:
    """Makes a ClipMaker in the process in which it works."""

    head: Path
    size: int
    ffmpeg: str

    def __call__(self) -> ClipMaker:
        return ClipMaker(HeadModel.load(self.head), self.size, self.ffmpeg)


class ClipMaker:
    """Renders clips; one a process.

    Args:
        head: The head model.
        size: Pixels of a side of the videos.
        ffmpeg: The binary.

    Raises:
        DeviceError: There is no OpenGL.
    """

    def __init__(self, head: HeadModel, size: int, ffmpeg: str) -> None:
        self._renderer = Renderer(head, size)
        self._ffmpeg = ffmpeg

    def close(self) -> None:
        """Give the GPU back what it holds."""
        self._renderer.close()

    def do(self, task: ClipTask) -> int:
        """Make a clip; how many frames were drawn.

        Raises:
            DeviceError: No speech synthesizer is installed, or ffmpeg lacks an encoder.
            OutputError: The files cannot be written.
        """
        entropy = (_STREAM[task.split], task.seed, task.number)
        who, acting, moving, other = (np.random.default_rng((*entropy, part)) for part in range(4))
        task.path(_TRUTH).unlink(missing_ok=True)  # the mark of a whole clip
        performer = random_shoot(who, self._renderer)
        performances = [random_performance(acting, task.frames, task.split)]
        for _ in range(task.twins):
            twin = random_twin(other, task.frames, task.split)
            # above the mouth they are all one
            expression = performances[0].take.expression
            performances.append(replace(twin, take=replace(twin.take, expression=expression)))
        motion = random_motion(moving, task.frames, performances[0].stress)
        quality = int(moving.choice([14, 18, 22, 26, 30], p=(0.15, 0.4, 0.25, 0.13, 0.07)))
        for take, performance in zip(task.takes, performances, strict=True):
            write_wav(task.take_path(take, ".wav"), performance.audio)
        taken = self._film(task, performer, motion, performances, quality, int(moving.integers(1 << 30)))
        facts: dict[str, Any] = {
            "settings": task.settings,
            "channels": np.array(CHANNELS),
            "split": np.array(task.split),
            "motion": np.array(motion.kind),
            "drawn": np.array(performer.look.style.toon > 0),
            "crf": np.array(quality),
        }
        for take, performance, shots in zip(task.takes, performances, taken, strict=True):
            with replacing(task.take_path(take, ".landmarks.npz")) as file:
                landmarks = np.stack([shot.landmarks for shot in shots]).astype(np.float32)
                np.savez(file, landmarks=landmarks, mouths=performance.take.curves.astype(np.float32))
            prefix = f"{take}_" if take else ""
            facts |= {prefix + name: value for name, value in truth(performance, shots).items()}
        with replacing(task.path(_TRUTH)) as file:
            np.savez_compressed(file, **facts)
        return task.frames * len(performances)

    def _film(
        self,
        task: ClipTask,
        performer: Performer,
        motion: Motion,
        performances: list[Performance],
        quality: int,
        noise_seed: int,
    ) -> list[list[Shot]]:
        """Film all takes at once; their shots, without the pictures, which go into the videos."""
        taken: list[list[Shot]] = [[] for _ in performances]
        with ExitStack() as stack:
            writers = [
                stack.enter_context(
                    VideoWriter(
                        task.take_path(take, ".mp4"),
                        task.size,
                        task.size,
                        Fraction(FRAME_RATE),
                        audio=task.take_path(take, ".wav") if performance.audible else None,
                        frame_count=task.frames,
                        ffmpeg=self._ffmpeg,
                        crf=quality,
                    )
                )
                for take, performance in zip(task.takes, performances, strict=True)
            ]
            takes = [performance.take for performance in performances]
            for shots in film_takes(self._renderer, performer, motion, takes, noise_seed):
                for writer, shot, kept in zip(writers, shots, taken, strict=True):
                    writer.write(shot.image)
                    kept.append(replace(shot, image=_NO_PICTURE))
        return taken
