"""What a video says of its colours, and its decoded frames as BGR.

Frames are BGR as the source's own tags say (matrix and range). Where a video has no tags: limited range, and
the matrix that players assume, BT.709 from 1280 x 720 on and BT.601 below. `ColorTags` go to the writer, which
converts back by the same rules and writes tags in every case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from musetalk.errors import InputError
from musetalk.media.ffmpeg import reason_of

# ITU-T H.273 code points -> the names that ffmpeg takes. A code point that is not here counts as untagged.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020nc"}
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 12: "smpte432"}
_TRANSFERS = {
    1: "bt709",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
_RGB_MATRIX = 0
_SWS_BT709, _SWS_BT601, _SWS_BT2020 = 1, 5, 9
_SWS_MATRIX = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": _SWS_BT2020}
_LIMITED, _FULL = 1, 2
# swscale: bilinear chroma at full resolution with exact rounding; its default repeats chroma and is off by 1-2 levels.
_SWS_FLAGS = 0x2 | 0x2000 | 0x40000


@dataclass(frozen=True)
class ColorTags:
    """What a source says of its colours, in ffmpeg's names; None where it says nothing.

    Attributes:
        matrix: YUV matrix, such as "bt709" or "smpte170m".
        primaries: Colour primaries.
        transfer: Transfer characteristic.
        full_range: Whether luma uses 0-255 instead of 16-235.
    """

    matrix: str | None = None
    primaries: str | None = None
    transfer: str | None = None
    full_range: bool | None = None


def bgr_converter(path: Path, width: int, height: int) -> Callable[[av.VideoFrame], np.ndarray]:
    """Return a function from a decoded frame to a (height, width, 3) uint8 BGR array, as stored.

    Args:
        path: The video, to be named in errors.
        width: Pixels across of the result.
        height: Pixels down.

    Raises:
        InputError: From the function: the pixel format cannot be converted.
    """
    reformatter = VideoReformatter()

    def to_bgr(frame: av.VideoFrame) -> np.ndarray:
        matrix, color_range = _assumed_colors(frame)
        try:
            converted = reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="bgr24",
                src_colorspace=matrix,
                src_color_range=color_range,
                dst_color_range=_FULL,
                interpolation=_SWS_FLAGS,
            )
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: pixel format {frame.format.name} cannot be converted: {reason_of(error)}",
                "Convert the video to H.264 with 8 bits, for example with ffmpeg -pix_fmt yuv420p.",
            ) from error
        return converted.to_ndarray()

    return to_bgr


def color_tags(frame: av.VideoFrame) -> ColorTags:
    """Return the frame's tags; an RGB source has none that would mean anything for the YUV result."""
    if not _is_yuv(frame):
        return ColorTags()
    matrix = _MATRICES.get(int(frame.colorspace))
    color_range = int(frame.color_range)
    full = color_range == _FULL or frame.format.name.startswith("yuvj")
    return ColorTags(
        matrix,
        # Primaries and transfer without a matrix would pair foreign tags with the writer's own matrix.
        _PRIMARIES.get(int(frame.color_primaries)) if matrix else None,
        _TRANSFERS.get(int(frame.color_trc)) if matrix else None,
        full if full or color_range == _LIMITED else None,
    )


def _is_yuv(frame: av.VideoFrame) -> bool:
    return not frame.format.is_rgb and int(frame.colorspace) != _RGB_MATRIX


def _assumed_colors(frame: av.VideoFrame) -> tuple[int | None, int | None]:
    """Return swscale's (matrix, range) for a frame: its tags, or what players assume without."""
    if not _is_yuv(frame):
        return None, None
    tags = color_tags(frame)
    if tags.matrix is not None:
        matrix = _SWS_MATRIX[tags.matrix]
    elif frame.width >= 1280 or frame.height >= 720:
        matrix = _SWS_BT709
    else:
        matrix = _SWS_BT601
    return matrix, _FULL if tags.full_range else _LIMITED
