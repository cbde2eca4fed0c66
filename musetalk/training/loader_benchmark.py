"""How many samples a second the loader makes by itself, and how many if each decoded its clip, as published."""

from __future__ import annotations

import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from musetalk.audio.windows import SAMPLE_RATE, step_count
from musetalk.face.landmarks import Face
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.writer import VideoWriter
from musetalk.training.audio_store import AudioStore
from musetalk.training.clip_meta import FPS, ClipMeta, median_face_size, read_list, read_meta, write_list, write_meta
from musetalk.training.clip_store import RegionWriter, region_box
from musetalk.training.dataset import ClipDataset
from musetalk.training.loader import Share, batches
from musetalk.training.sample import DYNAMIC_MARGIN, SampleSettings
from musetalk.training.selection import select_clips
from musetalk.training.tracks import TrackStore

SIDE, SECONDS = 512, 30
CRF = 15  # published, of clips
STATES, WIDTH = 5, 384  # of whisper-tiny


@dataclass(frozen=True)
class LoaderTime:
    """What was measured.

    Attributes:
        frames: Frames of a sample.
        workers: Loading processes; 0: this one.
        samples_per_second: Whole samples.
    """

    frames: int
    workers: int
    samples_per_second: float


def make_clips(folder: Path, count: int, seconds: int = SECONDS, side: int = SIDE) -> Path:
    """Write clips of a noisy, moving picture as preprocessing would, with video, regions and sound; returns the list.

    The face that they claim to show is half as wide as the frame.
    """
    metas = [_make_clip(folder, index, int(seconds * FPS), side) for index in range(count)]
    write_list(folder / "train.txt", metas)
    return folder / "train.txt"


def _make_clip(folder: Path, index: int, frames: int, side: int) -> Path:
    rng = np.random.default_rng(index)
    landmarks, detections = _faces(rng, frames, side)
    stem = folder / f"clip{index}"
    meta = ClipMeta(
        mp4_path=stem.with_suffix(".mp4"),
        wav_path=stem.with_suffix(".wav"),
        video_size=(side, side),
        face_size=median_face_size(detections),
        frames=frames,
        detections=detections,
        landmarks=landmarks,
        isvalid=True,
        regions_path=stem.with_suffix(".regions"),
    )
    if stem.with_suffix(".json").is_file():
        return stem.with_suffix(".json")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        RegionWriter(stem.with_suffix(".regions"), frames, (side, side)) as regions,
        VideoWriter(
            meta.mp4_path, side, side, FPS, audio=None, frame_count=frames, ffmpeg=find_ffmpeg(), crf=CRF
        ) as video,
    ):
        for number, picture in enumerate(_pictures(rng, frames, side)):
            x1, y1, x2, y2 = (float(edge) for edge in detections[number])
            face = Face(landmarks[number].astype(np.float64), (x1, y1, x2, y2))
            regions.write(picture, region_box(face, picture.shape))
            video.write(picture)
    with wave.open(str(meta.wav_path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        samples = rng.normal(0, 3000, int(Fraction(frames) / FPS * SAMPLE_RATE))
        sound.writeframes(samples.astype("<i2").tobytes())
    write_meta(stem.with_suffix(".json"), meta)
    return stem.with_suffix(".json")


def _faces(rng: np.random.Generator, frames: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 68, 2) and (frames, 4) float32 that move about the middle; the lips by themselves."""
    shape = rng.uniform(0.25, 0.75, (68, 2)) * side
    shape[27:31] = np.stack([np.full(4, 0.5), np.linspace(0.4, 0.52, 4)], axis=1) * side
    shape[48:] = (0.5 + rng.uniform(-0.1, 0.1, (20, 2))) * side + np.array([0, 0.15]) * side
    moves = np.cumsum(rng.normal(0, 0.7, (frames, 1, 2)), axis=0) % 40 - 20
    landmarks = shape + moves + rng.normal(0, 0.5, (frames, 68, 2))
    landmarks[:, 48:, 1] += rng.normal(0, 4, (frames, 1))
    detections = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    return landmarks.astype(np.float32), detections.astype(np.float32)


def _pictures(rng: np.random.Generator, frames: int, side: int) -> Iterator[np.ndarray]:
    """Smooth shapes that drift, with the grain of a camera."""
    shapes = cv2.resize(rng.uniform(30, 220, (24, 24, 3)), (side + 64, side + 64), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        x, y = (32 + 30 * np.array([np.sin(number / 20), np.cos(number / 33)])).astype(int)
        picture = shapes[y : y + side, x : x + side] + rng.normal(0, 2, (side, side, 1))
        yield np.clip(picture, 0, 255).astype(np.uint8)


def benchmark_dataset(clips: Path, folder: Path, settings: SampleSettings) -> ClipDataset:
    """The dataset of a list, with hidden states of whisper-tiny's size but no meaning, so that no weights are needed.

    Raises:
        InputError: The list is missing or empty, or not one clip can be used.
    """
    tracks, audio = TrackStore(folder / "tracks"), AudioStore(folder / "sounds", "benchmark")
    selection = select_clips([read_list(clips)], settings, tracks)
    selection.check()
    audio.folder.mkdir(parents=True, exist_ok=True)
    for facts in selection.clips[0]:
        path = audio.path(facts.wav)
        if not path.is_file():
            steps = step_count(int(Fraction(facts.frames) / FPS * SAMPLE_RATE))
            np.save(path, np.zeros((steps, STATES, WIDTH), np.float16))
    return ClipDataset([[facts.meta for facts in selection.clips[0]]], [1.0], settings, tracks, audio)


def time_loader(clips: Path, folder: Path, frames: int, batch: int, workers: int, samples: int) -> LoaderTime:
    """Measure the loader as training uses it: stage 1's settings for one frame, stage 2's for more.

    Args:
        clips: List of clips.
        folder: For tracks and hidden states.
        frames: Frames of a sample.
        batch: Samples of a batch.
        workers: Loading processes.
        samples: How many to time, after the first batches.

    Raises:
        InputError: The list is missing or empty, or not one clip can be used.
    """
    settings = SampleSettings(n_sample_frames=frames, control_face_min_size=False)
    if frames > 1:
        settings = replace(settings, crop_type=DYNAMIC_MARGIN)
    loader = batches(benchmark_dataset(clips, folder, settings), Share(0, 1, batch), 0, workers, False)
    for _ in range(1 + 4 * workers):  # the workers begin, and what they made ahead is taken
        next(loader)
    count = max(-(-samples // batch), 1)
    began = time.perf_counter()
    for _ in islice(loader, count):
        pass
    return LoaderTime(frames, workers, count * batch / (time.perf_counter() - began))


def time_decoding(clips: Path) -> float:
    """Samples a second of one core where each decodes one whole clip of the list, and does nothing else.

    Raises:
        InputError: The list is missing or empty, or a clip's JSON cannot be read.
    """
    videos = [read_meta(meta).mp4_path for meta in read_list(clips)]
    began = time.perf_counter()
    for video in videos:
        with av.open(str(video)) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                frame.to_ndarray(format="bgr24")
    return len(videos) / (time.perf_counter() - began)
