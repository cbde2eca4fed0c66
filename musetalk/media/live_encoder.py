"""Frames and sound to H.264 and AAC in one container, at once: no frame waits for a later one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from musetalk.audio.resampling import StreamResampler
from musetalk.errors import DeviceError
from musetalk.media.audio_file import TRACK_RATE
from musetalk.media.byte_sink import ByteSink

# H.273 numbers of what is written: BT.709, limited range.
_BT709, _LIMITED = 1, 1

# The muxer puts packets in order of time; it waits for a stream that lags no longer than this, in microseconds.
_INTERLEAVE = "500000"

# Up to this size one thread encodes in a fraction of a frame's time, and leaves the cores to the networks.
_ONE_THREAD_PIXELS = 1280 * 720


@dataclass(frozen=True)
class EncoderSettings:
    """How much is spent on a stream; the defaults are measured: see BENCHMARKS.md.

    Attributes:
        preset: x264's preset; it always runs with its zerolatency tuning.
        crf: x264's constant rate factor.
        most_bits: Bits a second that the picture may take, averaged over a second; None: as many as crf asks for.
        key_frame_seconds: A viewer can join this often.
        sound_bits: Bits a second of the sound.
    """

    preset: str = "superfast"
    crf: int = 21
    most_bits: int | None = None
    key_frame_seconds: Fraction = Fraction(2)
    sound_bits: int = 128_000


def require_live_encoders() -> None:
    """Check that the installed PyAV encodes.

    Raises:
        DeviceError: It was built without H.264 or AAC.
    """
    missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if missing:
        raise DeviceError(
            f"the installed package av was built without {', '.join(missing)}",
            "Run `pip install --force-reinstall av`.",
        )


class LiveEncoder:
    """Encodes and muxes in the calling thread. Time stamps are counts: frame number / fps, sample number / rate.

    Args:
        sink: Takes the bytes.
        container: libavformat's name.
        muxer_options: Of the container.
        size: (width, height) of the frames in pixels; odd ones get a repeated column or row.
        fps: Frames a second.
        sample_rate: Of the sound that will come; None for no sound track.
        settings: See there.
    """

    def __init__(
        self,
        sink: ByteSink,
        container: str,
        muxer_options: dict[str, str],
        size: tuple[int, int],
        fps: Fraction,
        sample_rate: int | None,
        settings: EncoderSettings,
    ) -> None:
        width, height = size
        self._odd = height % 2, width % 2
        self._fps = fps
        options = {"fflags": "+flush_packets", "max_interleave_delta": _INTERLEAVE, **muxer_options}
        self._container: Any = av.open(sink, "w", format=container, container_options=options)
        self._video = self._add_video(width + width % 2, height + height % 2, settings)
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._sound: Any = None
        if sample_rate is not None:
            self._sound = self._container.add_stream("aac", rate=TRACK_RATE, layout="mono")
            self._sound.bit_rate = settings.sound_bits
            self._resampler = StreamResampler(sample_rate, TRACK_RATE)
        self._samples = 0

    def _add_video(self, width: int, height: int, settings: EncoderSettings) -> Any:
        options = {"preset": settings.preset, "tune": "zerolatency", "crf": str(settings.crf)}
        if settings.most_bits is not None:
            options |= {"maxrate": str(settings.most_bits), "bufsize": str(settings.most_bits)}
        stream = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / self._fps
        context.gop_size = max(round(settings.key_frame_seconds * self._fps), 1)
        context.thread_count = 1 if width * height <= _ONE_THREAD_PIXELS else 0
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        return stream

    def frame(self, image: np.ndarray, number: int) -> None:
        """Write a frame, (height, width, 3) uint8 BGR; it is on display from number / fps to the next one's time.

        Raises:
            OSError, av.FFmpegError: The sink takes no more.
        """
        if any(self._odd):
            image = cv2.copyMakeBorder(image, 0, self._odd[0], 0, self._odd[1], cv2.BORDER_REPLICATE)
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24"),
            format="yuv420p",
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED,
            interpolation="BICUBIC",
        )
        picture.pts, picture.time_base = number, 1 / self._fps
        self._container.mux(self._video.encode(picture))

    def sound(self, samples: np.ndarray) -> None:
        """Append sound, (n,) float32 in [-1, 1]. Raises as `frame`."""
        self._encode_sound(self._resampler.push(samples))

    def finish(self) -> None:
        """Write what the encoders hold, and the end of the container. Raises as `frame`."""
        if self._sound is not None:
            self._encode_sound(self._resampler.finish())
            self._container.mux(self._sound.encode(None))
        self._container.mux(self._video.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Let go of a container whose sink has failed."""
        with suppress(OSError, av.FFmpegError):
            self._container.close()

    def _encode_sound(self, samples: np.ndarray) -> None:
        if not len(samples):
            return
        sound = av.AudioFrame.from_ndarray(np.clip(samples, -1.0, 1.0)[None], format="fltp", layout="mono")
        sound.sample_rate, sound.time_base = TRACK_RATE, Fraction(1, TRACK_RATE)
        sound.pts = self._samples
        self._samples += len(samples)
        packets: Sequence[av.Packet] = self._sound.encode(sound)
        self._container.mux(packets)
