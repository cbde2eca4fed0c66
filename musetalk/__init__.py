"""Audio-driven lip sync: `Dubber.load("mini").dub("video.mp4", "speech.wav", "out.mp4")`.

Live: `Avatar.prepare(Model.load("mini"), "video.mp4", "avatars/anna").stream()`.

The names below are imported when they are first used, so that `import musetalk` loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musetalk.avatar.avatar import Avatar
    from musetalk.errors import MuseTalkError
    from musetalk.pipeline.dubbing import Dubber, DubResult
    from musetalk.pipeline.model import Model
    from musetalk.pipeline.settings import DubSettings
    from musetalk.streaming.settings import StreamSettings
    from musetalk.streaming.stream import SpeechStream
    from musetalk.streaming.stream_frame import StreamFrame

__version__ = "0.1.0"

_HOMES = {
    "Avatar": "musetalk.avatar.avatar",
    "Dubber": "musetalk.pipeline.dubbing",
    "DubResult": "musetalk.pipeline.dubbing",
    "DubSettings": "musetalk.pipeline.settings",
    "Model": "musetalk.pipeline.model",
    "MuseTalkError": "musetalk.errors",
    "SpeechStream": "musetalk.streaming.stream",
    "StreamFrame": "musetalk.streaming.stream_frame",
    "StreamSettings": "musetalk.streaming.settings",
}

__all__ = [
    "Avatar",
    "DubResult",
    "DubSettings",
    "Dubber",
    "Model",
    "MuseTalkError",
    "SpeechStream",
    "StreamFrame",
    "StreamSettings",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
