"""Opens what frames are read from: a video, an image or a folder of images."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from musetalk.errors import UsageError
from musetalk.media.ffmpeg import require_file
from musetalk.media.frame_source import FrameSource
from musetalk.media.images import ImageFile, ImageFolder, image_header
from musetalk.media.video_file import VideoFile


def open_source(path: str | Path, fps: Fraction | None = None) -> FrameSource:
    """Open a video, an image or a folder of images, and check that frames can be read from it.

    Args:
        path: A video of any container and codec, an image, or a folder of numbered images of one size.
        fps: Rate of the frames handed out: a video is resampled by time, images follow each other at this rate.
            None: the video's own rate (of uneven frames the average), 25 for images.

    Raises:
        InputError: There is nothing there that frames can be read from, or a file is cut short.
        UsageError: `fps` is not positive.
    """
    path = Path(path)
    if fps is not None and fps <= 0:
        raise UsageError(f"fps is {fps}", "Give a frame rate above 0.")
    if path.is_dir():
        return ImageFolder(path, fps)
    require_file(path, "video or image")
    if image_header(path) is not None:
        return ImageFile(path, fps)
    return VideoFile(path, fps)
