"""Audio-driven lip sync: `Dubber.load("mini").dub("video.mp4", "speech.wav", "out.mp4")`.

The names below are imported when they are first used, so that `import musetalk` loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musetalk.errors import MuseTalkError
    from musetalk.pipeline.dubbing import Dubber, DubResult, DubSettings

__version__ = "0.1.0"

_HOMES = {
    "Dubber": "musetalk.pipeline.dubbing",
    "DubResult": "musetalk.pipeline.dubbing",
    "DubSettings": "musetalk.pipeline.dubbing",
    "MuseTalkError": "musetalk.errors",
}

__all__ = ["DubResult", "DubSettings", "Dubber", "MuseTalkError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
