"""What the renderer needs of OpenGL: a context without a window, textures, and things that are released together."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from musetalk.errors import DeviceError
from musetalk.synthetic.person import Person
from musetalk.synthetic.skin import pixel_noise


def open_context() -> Any:
    """An OpenGL context without a window.

    Raises:
        DeviceError: moderngl, EGL or a driver is missing.
    """
    # one thread per process: several processes render side by side
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        import moderngl
    except ImportError:
        raise DeviceError("moderngl is not installed", "pip install -r requirements-synthetic.txt") from None
    try:
        options: dict[str, Any] = {"standalone": True, "backend": "egl", "require": 330}
        return moderngl.create_context(**options)
    except Exception as error:
        if type(error) is not Exception:  # where there is no EGL, moderngl raises that class itself
            raise
        raise DeviceError(
            f"no OpenGL 3.3 through EGL: {' '.join(str(error).split())[:160]}",
            "Install a driver, e.g. `apt-get install libegl1 libgl1-mesa-dri`.",
        ) from None


class Resources:
    """GPU objects that are released together."""

    def __init__(self) -> None:
        self._held: list[Any] = []

    def hold(self, resource: Any) -> Any:
        self._held.append(resource)
        return resource

    def release(self) -> None:
        while self._held:
            self._held.pop().release()


class Loaded(Resources):
    """A person's meshes, buffers and textures, by the name of the part."""

    def __init__(self, person: Person) -> None:
        super().__init__()
        self.person = person
        self.arrays: dict[str, Any] = {}
        self.shadows: dict[str, Any] = {}
        self.fronts: dict[str, Any] = {}
        self.buffers: dict[str, Any] = {}
        self.textures: dict[str, Any] = {}


def load_texture(context: Any, pixels: np.ndarray, repeat: bool = False) -> Any:
    """A texture with mipmaps of pixels (h, w, c) uint8."""
    texture = context.texture(pixels.shape[1::-1], pixels.shape[2], np.ascontiguousarray(pixels).tobytes())
    texture.build_mipmaps()
    texture.filter = (context.LINEAR_MIPMAP_NEAREST, context.LINEAR)
    texture.repeat_x = texture.repeat_y = repeat
    return texture


def used(program: Any, layout: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """A buffer's layout and names, with padding for what the compiler dropped."""
    formats = [
        form if name in program else f"{4 * int(form[0])}x" for form, name in zip(layout.split(), names, strict=True)
    ]
    return (" ".join(formats), *(name for name in names if name in program))


def grain(size: int = 256) -> np.ndarray:
    """Four channels of noise (size, size, 4) uint8."""
    rng = np.random.default_rng(0)
    layers = [pixel_noise(rng, size, grain) for grain in (2, 6, 9, 16)]
    return np.clip(127.5 + 48 * np.dstack(layers), 0, 255).astype(np.uint8)
