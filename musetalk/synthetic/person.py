"""A person as geometry: the head's shape, how it moves, and what it wears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from musetalk.synthetic.garments import cloth_texture, torso
from musetalk.synthetic.hair import beard_piece, hair_piece, raised_scalp
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.lips import LipContact
from musetalk.synthetic.looks import Look, ShapeLook
from musetalk.synthetic.mouth_parts import MouthParts, mouth_parts, move_tongue, set_teeth
from musetalk.synthetic.pieces import Piece
from musetalk.synthetic.props import earrings, glasses
from musetalk.synthetic.surface import Anatomy, smooth_step


@dataclass(frozen=True)
class Mouth:
    """One moment's mouth.

    Attributes:
        weights: Expression weights by name, 0…1.
        wish: Centimetres of opening the weights ask for on the mean head; shuts the lips at 0. None: as it comes.
        tongue: How far the tongue's tip is raised and put out, 0…1.
    """

    weights: Mapping[str, float]
    wish: float | None = None
    tongue: tuple[float, float] = (0.0, 0.0)


class Body:
    """What all persons of a head model share; built once."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self.anatomy = Anatomy(head)
        self.lips = LipContact(head)
        self.parts: MouthParts = mouth_parts(head)


def _warp(body: Body, base: np.ndarray, shape: ShapeLook, enlarge: float) -> tuple[np.ndarray, np.ndarray]:
    """Gain and shift (V, 3) of a drawn figure's proportions: vertices · gain + shift."""
    head = body.head
    neutral = head.neutral
    gain, shift = np.ones_like(base), np.zeros_like(base)

    def scale(weight: np.ndarray, factor: np.ndarray, middle: np.ndarray) -> None:
        local = 1 + weight[:, None] * (factor - 1)
        gain[:] = gain * local
        shift[:] = shift * local + middle * (1 - local)

    if enlarge != 1:
        for side, name in ((1, "M_ScleraLeft"), (-1, "M_ScleraRight")):
            ball = head.materials[name]
            middle = base[ball].mean(axis=0)
            distance = np.linalg.norm((neutral - neutral[ball].mean(axis=0)) * [1, 1, 0.7], axis=1)
            weight = smooth_step(3.4, 1.7, distance) * (side * neutral[:, 0] > 0)
            weight[ball] = 1
            scale(weight, np.array([enlarge, enlarge * 1.04, 1.0]), middle)
    mouth = base[head.landmark_vertices[48:68]].mean(axis=0)
    if shape.mouth != 1:
        distance = np.linalg.norm(
            (neutral - neutral[head.landmark_vertices[48:68]].mean(axis=0)) * [0.8, 1, 0.6], axis=1
        )
        scale(smooth_step(4.6, 2.4, distance), np.array([shape.mouth, shape.mouth, 1.0]), mouth)
    lower = smooth_step(0.5, -7.0, neutral[:, 1]) * smooth_step(
        -10.5, -8.0, neutral[:, 1] + 0.3 * np.minimum(neutral[:, 2], 6)
    )
    if shape.chin != 1:
        scale(lower, np.array([shape.chin, 1.0, 1.0]), np.array([base[:, 0].mean(), 0, 0]))
    if shape.jaw_length:
        shift[:, 1] -= lower * shape.jaw_length * 0.6
    if shape.nose:
        nose = np.exp(-(((neutral[:, 0]) / 1.6) ** 2 + ((neutral[:, 1] - 0.6) / 1.7) ** 2)) * (neutral[:, 2] > 9)
        scale(nose * shape.nose, np.array([0.75, 0.9, 1.0]), base[head.landmark_vertices[30]])
        shift[:, 2] -= nose * shape.nose * 0.9
    return gain.astype(np.float32), shift.astype(np.float32)


class Person:
    """One look on a head.

    Attributes:
        base: (V, 3) cm: the shape without expression, hair's bulk included.
        hair, beard, torso, frames, lenses, earrings: what is added; None where there is none of it.
        cloth: (384, 768, 4) uint8, texture of the torso.
        rest: (V, 3) cm: the shape at rest, which the pieces fit.
        eye_left, eye_right: (3,) cm: the middles of the eyeballs.
    """

    def __init__(self, body: Body, look: Look, collar: bool = True) -> None:
        head = body.head
        self.body, self.look = body, look
        shape = head.with_closed_lips(head.identity(look.identity))
        if look.cloth.neckline not in ("vee", "boat"):  # what is under thick cloth must not show through it
            neutral = head.neutral
            under = smooth_step(-11.0, -13.5, neutral[:, 1]) * (neutral[:, 2] < 6)
            shape[:, [0, 2]] *= (1 - 0.14 * under)[:, None].astype(np.float32)
        shape = set_teeth(
            body.parts, shape, look.teeth.crooked, look.teeth.missing, np.random.default_rng((look.seed, 2))
        )
        self._gain, self._shift = _warp(body, shape, look.shape, look.eyes.enlarge)
        self._warped = bool((self._gain != 1).any() or (self._shift != 0).any())
        bare = shape * self._gain + self._shift
        raised = raised_scalp(head, body.anatomy, bare, look.hair)
        self._raise = raised - bare
        self.base = shape.astype(np.float32)
        rest = self.shape(Mouth({}))
        self.hair: Piece | None = hair_piece(head, body.anatomy, rest, look.hair)
        self.beard: Piece | None = beard_piece(head, body.anatomy, rest, look.beard, look.seed)
        breadth = float(np.random.default_rng((look.seed, 4)).uniform(0.88, 1.12))
        self.torso: Piece = torso(head, rest, look.cloth, breadth, collar)
        self.cloth = cloth_texture(look.cloth, np.random.default_rng((look.seed, 6)))
        both = glasses(head, rest, look.props)
        self.frames: Piece | None = None if both is None else both[0]
        self.lenses: Piece | None = None if both is None else both[1]
        self.earrings = earrings(head, rest, look.props)
        self.rest = rest
        self.eye_left = rest[head.materials["M_ScleraLeft"]].mean(axis=0)
        self.eye_right = rest[head.materials["M_ScleraRight"]].mean(axis=0)

    def shape(self, mouth: Mouth, expression: Mapping[str, float] | None = None) -> np.ndarray:
        """(V, 3) float32: the head with a mouth and the rest of the face's `expression` (the look's own by default)."""
        head = self.body.head
        weights = dict(self.look.expression if expression is None else expression)
        for name, value in mouth.weights.items():
            weights[name] = weights.get(name, 0.0) + value
        vertices = head.expression(self.base, weights)
        move_tongue(self.body.parts, vertices, *mouth.tongue)
        if self._warped:
            vertices = vertices * self._gain + self._shift
        vertices += self._raise
        return self.body.lips.resolve(vertices, mouth.wish)

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """The 68 landmarks (68, 3) cm of a shape."""
        return self.body.lips.landmarks(vertices, self.body.head.landmark_vertices)

    def beard_vertices(self, vertices: np.ndarray) -> np.ndarray | None:
        """Where the beard's vertices are on a shape: carried along by the skin."""
        if self.beard is None or self.beard.anchor is None:
            return None
        moved: np.ndarray = self.beard.position + (vertices - self.rest)[self.beard.anchor]
        return moved
