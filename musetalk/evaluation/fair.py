"""All pictures encoded alike before they are measured, so that no system gains by its bitrate or frame rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from musetalk.errors import InputError
from musetalk.evaluation.evidence import Entry
from musetalk.media.audio_file import probe_audio
from musetalk.media.frames import open_source
from musetalk.media.writer import DEFAULT_CRF, DEFAULT_PRESET, VideoWriter

FPS = Fraction(25)


@dataclass
class Encoder:
    """Encodes the videos of entries anew; one that several of them name is encoded once.

    Attributes:
        folder: Where the new videos go.
        ffmpeg: The binary, from `find_ffmpeg`.
        fps: Their frame rate; pictures are taken by time.
        crf: x264's constant rate factor.
        advance: Called after each frame.
    """

    folder: Path
    ffmpeg: str
    fps: Fraction = FPS
    crf: int = DEFAULT_CRF
    advance: Callable[[], None] = lambda: None
    _made: dict[Path, Path] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """What was done, for the user."""
        return f"all pictures were encoded anew: H.264, {DEFAULT_PRESET}, crf {self.crf}, {self.fps} fps"

    def entry(self, entry: Entry) -> Entry:
        """The same entry with videos of this encoder; the sound stays that of the originals.

        Raises:
            InputError: A video cannot be read.
            OutputError: The folder cannot be written to.
        """
        return replace(
            entry,
            generated=self.video(entry.generated),
            source=None if entry.source is None else self.video(entry.source),
            reference=None if entry.reference is None else self.video(entry.reference),
            audio=entry.audio or _own_sound(entry.generated),
        )

    def video(self, path: Path) -> Path:
        """A video encoded anew, without sound."""
        key = path.absolute()
        if key not in self._made:
            target = self.folder / f"{len(self._made):04}.mp4"
            source = open_source(path, self.fps)
            count = sum(1 for _ in source.frames())
            info = source.info
            with VideoWriter(
                target,
                info.width,
                info.height,
                self.fps,
                audio=None,
                frame_count=count,
                ffmpeg=self.ffmpeg,
                color=info.color,
                sample_aspect=info.sample_aspect,
                crf=self.crf,
            ) as writer:
                for frame in source.frames():
                    writer.write(frame)
                    self.advance()
            self._made[key] = target
        return self._made[key]


def _own_sound(path: Path) -> Path | None:
    try:
        probe_audio(path)
    except InputError:  # a picture without sound; the metrics that need one say so
        return None
    return path
