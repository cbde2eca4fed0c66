"""Draws a person with OpenGL (moderngl, EGL; Mesa's software renderer does without a GPU)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from musetalk.synthetic.camera import WHOLE, Pose, View
from musetalk.synthetic.gpu import Loaded, grain, load_texture, open_context, used
from musetalk.synthetic.head_mesh import HeadMesh, head_mesh
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.looks import Lighting, Look
from musetalk.synthetic.openness import openness
from musetalk.synthetic.person import Body, Person
from musetalk.synthetic.pieces import Piece
from musetalk.synthetic.shaders import Shaders
from musetalk.synthetic.skin import paint_skin
from musetalk.synthetic.uniforms import SHADOW_SIZE, scene_uniforms
from musetalk.synthetic.unwrap import Tile, unwrap

FACE_TEXELS, BACK_TEXELS = 1024, 512
_PIECES = {"hair": 0, "beard": 0, "torso": -1, "frames": 1, "earrings": 1, "lenses": 2}
"""How the pieces' shader draws each; the torso has a shader of its own."""
_SHADOWED = ("hair", "torso")


class Renderer:
    """Draws one person at a time into a square picture.

    Args:
        head: The head model.
        size: Pixels of a side of the pictures.
        supersampling: Pixels drawn for each pixel of the result, on a side: smoother and, in software, much cheaper
            than multisampling.
        face_texels: Side of the face's texture.
    """

    def __init__(self, head: HeadModel, size: int, supersampling: float = 1.25, face_texels: int = FACE_TEXELS) -> None:
        self._context = open_context()
        self.head, self.size = head, size
        self.body = Body(head)
        self.step = 4
        """Pixels to whose multiples a part of a picture keeps; `size` must be one for parts to be drawn."""
        self._inner = round(size * supersampling)
        context = self._context
        self._shaders = Shaders(context)
        self._target = context.framebuffer(
            [context.renderbuffer((self._inner, self._inner), 4)],
            context.depth_renderbuffer((self._inner, self._inner)),
        )
        self._shadow_depth = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_depth.compare_func = "<="
        self._shadow_depth.filter = (context.LINEAR, context.LINEAR)
        self._shadow_depth.repeat_x = self._shadow_depth.repeat_y = False
        self._shadow_target = context.framebuffer([], self._shadow_depth)
        self._tiles: tuple[Tile, Tile] = (
            unwrap(context, head, "M_Face", face_texels),
            unwrap(context, head, "M_BackHead", face_texels * BACK_TEXELS // FACE_TEXELS),
        )
        self._grain = load_texture(context, grain(), repeat=True)
        self._load_head(head_mesh(self.body, openness(context, head)))
        self._loaded: Loaded | None = None

    def close(self) -> None:
        """Release everything; nothing can be drawn afterwards."""
        self._context.gc_mode = None
        self._context.release()

    def _load_head(self, mesh: HeadMesh) -> None:
        context = self._context
        self._source = mesh.source
        constant = context.buffer(np.hstack([mesh.uv, mesh.marks]).astype("f4").tobytes())
        sway = context.buffer(np.ascontiguousarray(mesh.marks[:, 1]).tobytes())
        self._moving = context.buffer(reserve=len(mesh.source) * 24, dynamic=True)
        self._groups = {}
        for name, triangles in mesh.groups.items():
            triangles = triangles if len(triangles) else np.zeros((1, 3), "i4")  # a crude head has no cavity
            program = self._shaders[{"face": "skin", "back": "skin", "cavity": "mouth"}.get(name, name)]
            content = [
                (self._moving, *used(program, "3f 3f", ("position", "normal"))),
                (constant, *used(program, "2f 4f", ("uv", "extra"))),
            ]
            self._groups[name] = context.vertex_array(program, content, context.buffer(triangles.tobytes()))
        # the back of the head shades nothing that is seen
        face = context.buffer(mesh.groups["face"].tobytes())
        content = [(self._moving, "3f 12x", "position"), (sway, "1f", "sway")]
        self._shadow_array = context.vertex_array(self._shaders["depth"], content, face)

    @contextmanager
    def person(self, look: Look) -> Iterator[Person]:
        """A person ready to be drawn; one at a time."""
        person = Person(self.body, look)
        loaded = Loaded(person)
        try:
            for name, tile, part in (("face", self._tiles[0], 0), ("back", self._tiles[1], 1)):
                first, second = paint_skin(tile, self.body.anatomy, look, part)
                loaded.textures[name] = (
                    loaded.hold(load_texture(self._context, first)),
                    loaded.hold(load_texture(self._context, second)),
                )
            loaded.textures["cloth"] = loaded.hold(load_texture(self._context, person.cloth))
            loaded.textures["cloth"].repeat_x = True
            for name in _PIECES:
                piece = getattr(person, name)
                if piece is not None:
                    self._load_piece(loaded, name, piece)
            self._loaded = loaded
            yield person
        finally:
            self._loaded = None
            loaded.release()

    def _load_piece(self, loaded: Loaded, name: str, piece: Piece) -> None:
        packed = piece.packed()
        program = self._shaders["cloth" if name == "torso" else "piece"]
        positions = loaded.hold(self._context.buffer(np.ascontiguousarray(packed[:, :3]).tobytes(), dynamic=True))
        rest = loaded.hold(self._context.buffer(np.ascontiguousarray(packed[:, 3:]).tobytes()))
        triangles = loaded.hold(self._context.buffer(piece.triangles.astype("i4").tobytes()))
        names = ("normal", "tangent", "color", "uv")
        content = [(positions, "3f", "position"), (rest, *used(program, "3f 3f 3f 2f", names))]
        loaded.arrays[name] = loaded.hold(self._context.vertex_array(program, content, triangles))
        loaded.buffers[name] = positions
        if name in _SHADOWED:
            for held, program in ((loaded.shadows, "depth_piece"), (loaded.fronts, "front")):
                content = [(positions, "3f", "position")]
                held[name] = loaded.hold(self._context.vertex_array(self._shaders[program], content, triangles))

    def draw(
        self,
        vertices: np.ndarray,
        lighting: Lighting,
        pose: Pose,
        background: np.ndarray,
        view: View = WHOLE,
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """The part `view` of the camera picture over `background`.

        Args:
            vertices: (V, 3) from the loaded person's `shape`.
            lighting: The lights.
            pose: Head and camera.
            background: BGR uint8 of any size.
            view: x1, y1, x2, y2 of the camera picture, 0…1.
            gaze: Where the eyes look, radians to the subject's left and up.

        Returns:
            BGR uint8 (size, size, 3).
        """
        drawn = self.draw_layer(vertices, lighting, pose, view, gaze)
        if background.shape[:2] != (self.size, self.size):
            background = cv2.resize(background, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return compose(drawn, background)

    def draw_layer(
        self,
        vertices: np.ndarray,
        lighting: Lighting,
        pose: Pose,
        view: View = WHOLE,
        gaze: tuple[float, float] = (0.0, 0.0),
        only: tuple[int, int, int, int] | None = None,
    ) -> np.ndarray:
        """The person alone: BGRA uint8 (size, size, 4), colours already multiplied by their cover.

        Args:
            vertices: See `draw`.
            lighting: See `draw`.
            pose: See `draw`.
            view: See `draw`.
            gaze: See `draw`.
            only: A part x1, y1, x2, y2 in multiples of `step` pixels; the result is that part.
        """
        loaded = self._loaded
        if loaded is None:
            raise RuntimeError("Renderer.draw outside of Renderer.person")
        person = loaded.person
        normals = self.head.normals(vertices)
        self._moving.write(np.hstack([vertices, normals])[self._source].astype("f4").tobytes())
        beard = person.beard_vertices(vertices)
        if beard is not None:
            loaded.buffers["beard"].write(beard.astype("f4").tobytes())
        aperture = person.body.lips.aperture(vertices)
        self._shaders.set(scene_uniforms(person, vertices, aperture, lighting, pose, view, gaze))
        if lighting.shadow > 0:
            self._draw_shadow(loaded)
        x1, y1, x2, y2 = only or (0, 0, self.size, self.size)
        scale = self._inner / self.size
        left, top, right, bottom = (round(edge * scale) for edge in (x1, y1, x2, y2))
        part = (left, self._inner - bottom, right - left, bottom - top)
        self._target.scissor = part
        self._draw_person(loaded, mouth_open=bool(aperture.gap.max() > 0))
        raw = np.frombuffer(self._target.read(part, components=4), np.uint8).reshape(bottom - top, right - left, 4)
        layer: np.ndarray = cv2.cvtColor(raw[::-1], cv2.COLOR_RGBA2BGRA)
        if self._inner == self.size:
            return layer
        return cv2.resize(layer, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)

    def _draw_shadow(self, loaded: Loaded) -> None:
        self._shadow_target.use()
        self._context.enable_only(self._context.DEPTH_TEST)
        self._shadow_target.clear(depth=1.0)
        self._shadow_array.render()
        for name, array in loaded.shadows.items():
            self._shaders.set({"sway": float(name == "torso")}, "depth_piece")
            array.render()

    def _draw_person(self, loaded: Loaded, mouth_open: bool = True) -> None:
        context, look = self._context, loaded.person.look
        self._shadow_depth.use(0)
        self._grain.use(3)
        self._target.use()
        context.enable_only(context.DEPTH_TEST)
        context.depth_func = "<="
        self._target.clear(0, 0, 0, 0)
        if "hair" in loaded.fronts:  # many locks lie over each other and the face: shade the foremost only
            self._target.color_mask = False, False, False, False
            self._shaders.set({"sway": 0.0}, "front")
            loaded.fronts["hair"].render()
            self._target.color_mask = True, True, True, True
        context.enable(context.CULL_FACE)
        for name in ("face", "back"):
            for unit, texture in enumerate(loaded.textures[name], 1):
                texture.use(unit)
            self._groups[name].render()
        self._groups["eyes"].render()
        self._groups["cavity"].render()
        if mouth_open:
            self._groups["mouth"].render()
        context.disable(context.CULL_FACE)
        self._groups["lashes"].render()
        loaded.textures["cloth"].use(4)
        for name, kind in _PIECES.items():
            if name not in loaded.arrays or name == "lenses":
                continue
            gloss = {"hair": look.hair.gloss, "beard": 0.15}.get(name, 0.8)
            if name == "torso":
                self._shaders.set({"sway": 1.0}, "cloth")
            else:
                self._shaders.set({"kind": kind, "sway": 0.0, "gloss": gloss}, "piece")
            loaded.arrays[name].render()
        if "lenses" in loaded.arrays:
            context.enable(context.BLEND)
            context.blend_func = (
                context.SRC_ALPHA,
                context.ONE_MINUS_SRC_ALPHA,
                context.ONE,
                context.ONE_MINUS_SRC_ALPHA,
            )
            self._shaders.set({"kind": _PIECES["lenses"], "sway": 0.0, "opacity": look.props.tint}, "piece")
            loaded.arrays["lenses"].render()
            context.disable(context.BLEND)


def compose(layer: np.ndarray, background: np.ndarray) -> np.ndarray:
    """BGRA (h, w, 4) multiplied by its cover, over BGR (h, w, 3); uint8."""
    rest = 255 - layer[..., 3]
    behind = cv2.multiply(background, cv2.merge([rest, rest, rest]), scale=1 / 255)
    return cv2.add(np.ascontiguousarray(layer[..., :3]), behind)
