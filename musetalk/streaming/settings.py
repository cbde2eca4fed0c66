"""What can be set of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from musetalk.audio.windows import DEFAULT_PADDING
from musetalk.errors import UsageError

DEFAULT_DELAY = Fraction(24, 100)


@dataclass(frozen=True)
class StreamSettings:
    """Settings of a stream.

    Attributes:
        delay: Seconds from when a frame's sound is known, its look-ahead included, to the frame: time for the
            networks, and room for sound that comes unevenly. Only in real time.
        blend_frames: Frames over which speech begins and ends; 0: at once.
        batch_size: Faces in one pass of the networks, at most.
        flush_after: Seconds without new sound after which what has come is spoken to its end. Only in real time.
        audio_padding_left: Sound before a frame that it sees, in 25 fps frames.
        audio_padding_right: Sound after a frame that it sees, in 25 fps frames.
    """

    delay: Fraction = DEFAULT_DELAY
    blend_frames: int = 3
    batch_size: int = 8
    flush_after: Fraction = Fraction(12, 100)
    audio_padding_left: int = DEFAULT_PADDING
    audio_padding_right: int = DEFAULT_PADDING

    def __post_init__(self) -> None:
        """Raises UsageError for a value out of range."""
        if self.batch_size < 1 or self.blend_frames < 0 or self.delay < 0 or self.flush_after < 0:
            raise UsageError(
                f"settings of a stream out of range: {self}", "Give batch_size 1 or more, the rest 0 or more."
            )
