"""The compiled shaders and their uniforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from musetalk.synthetic import glsl


class Shaders:
    """The programs of one context, by name."""

    def __init__(self, context: Any) -> None:
        self._programs = _compile(context)

    def __getitem__(self, name: str) -> Any:
        return self._programs[name]

    def set(self, values: dict[str, Any], *programs: str) -> None:
        """Set uniforms by name in these programs, in all if none are named; a program takes those it has."""
        for program in programs or tuple(self._programs):
            target = self._programs[program]
            for name, value in values.items():
                if name in target:  # the compiler drops unused uniforms
                    if isinstance(value, int):
                        target[name].value = value
                    else:
                        uniform = target[name]  # of an array only what is used may be left
                        numbers = np.asarray(value, "f4").ravel()
                        uniform.write(numbers[: uniform.array_length * uniform.dimension].tobytes())


def _compile(context: Any) -> dict[str, Any]:
    head, piece = glsl.HEAD_VERTEX, glsl.PIECE_VERTEX
    pairs = {
        "skin": (head, glsl.SKIN_FRAGMENT),
        "mouth": (head, glsl.MOUTH_FRAGMENT),
        "eyes": (head, glsl.EYE_FRAGMENT),
        "lashes": (head, glsl.LASH_FRAGMENT),
        "piece": (piece, glsl.PIECE_FRAGMENT),
        "cloth": (glsl.CLOTH_VERTEX, glsl.CLOTH_FRAGMENT),
        "depth": (glsl.DEPTH_VERTEX, glsl.DEPTH_FRAGMENT),
        "depth_piece": (glsl.DEPTH_PIECE_VERTEX, glsl.DEPTH_FRAGMENT),
        "front": (glsl.FRONT_VERTEX, glsl.DEPTH_FRAGMENT),
    }
    programs = {
        name: context.program(vertex_shader=vertex, fragment_shader=fragment)
        for name, (vertex, fragment) in pairs.items()
    }
    units = {"shadow_map": 0, "albedo_map": 1, "slope_map": 2, "grain": 3, "cloth": 4}
    for program in programs.values():
        for name, unit in units.items():
            if name in program:
                program[name].value = unit
    return programs
