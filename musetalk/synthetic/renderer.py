"""Draws a head with OpenGL (moderngl, EGL; Mesa's software renderer does without a GPU)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import moderngl
import numpy as np

from musetalk.synthetic.appearance import Lighting, Look
from musetalk.synthetic.head_model import HeadModel
from musetalk.synthetic.surface import SurfaceFields, surface_fields

VERTEX_SHADER = """
#version 330
in vec3 position; in vec3 normal; in vec3 neutral; in vec4 fields_a; in vec4 fields_b;
uniform mat4 model_view; uniform mat4 projection;
out vec3 eye_position; out vec3 eye_normal; out vec3 body; out vec4 fa; out vec4 fb;
void main() {
    vec4 p = model_view * vec4(position, 1.0);
    eye_position = p.xyz; eye_normal = mat3(model_view) * normal; body = neutral; fa = fields_a; fb = fields_b;
    gl_Position = projection * p;
}
"""
# fa: lip, brow, hairline, depth; fb: beard, moustache, blush, material
FRAGMENT_SHADER = """
#version 330
in vec3 eye_position; in vec3 eye_normal; in vec3 body; in vec4 fa; in vec4 fb;
uniform sampler3D noise; uniform vec3 noise_offset;
uniform vec3 light_direction[3]; uniform vec3 light_color[3]; uniform vec3 ambient;
uniform float exposure; uniform float flatness;
uniform vec3 skin, lip, hair, eye, teeth, cloth;
uniform float shine, mottling, freckles, blush, beard, moustache, brow, lashes, bald, hair_drop;
uniform vec3 eye_left, eye_right; uniform vec2 gaze;
out vec4 color;
const int SKIN = 0, MOUTH = 1, GUMS = 2, TEETH = 3, EYE = 4, LASHES = 5;

vec3 lit(vec3 n, vec3 v, vec3 l, vec3 c, vec3 albedo, float rough, vec3 wrap, float gloss) {
    vec3 diffuse = max((vec3(dot(n, l)) + wrap) / (1.0 + wrap), 0.0);
    vec3 h = normalize(l + v);
    float spec = pow(max(dot(n, h), 0.0), mix(110.0, 9.0, rough)) * mix(0.9, 0.12, rough) * max(dot(n, l), 0.0);
    float fresnel = 0.35 + 0.65 * pow(1.0 - max(dot(v, h), 0.0), 4.0);
    return c * (albedo * diffuse + gloss * spec * fresnel);
}

void main() {
    vec3 v = normalize(-eye_position), n = normalize(eye_normal);
    if (dot(n, v) < 0.0) n = -n;
    int material = int(fb.w + 0.5);
    vec3 q = body + noise_offset;
    vec4 coarse = texture(noise, q / 16.0) - 0.5, middle = texture(noise, q / 4.1) - 0.5;
    vec4 fine = texture(noise, q / 1.1) - 0.5;
    vec3 albedo = skin, wrap = vec3(0.32, 0.17, 0.12), bump = vec3(0.0);
    float rough = 0.62, gloss = shine, occlusion = fa.w;
    if (material == SKIN) {
        albedo *= 1.0 + mottling * (vec3(0.18, 0.36, 0.4) * coarse.x + 0.16 * middle.y + 0.10 * fine.z);
        float spot = smoothstep(0.16, 0.28, fine.x + 0.3 * middle.x);
        albedo = mix(albedo, albedo * vec3(0.62, 0.45, 0.38), freckles * spot);
        albedo = mix(albedo, albedo * vec3(1.05, 0.72, 0.72), blush * fb.z);
        bump = (0.10 * fine.xyz + 0.07 * middle.yzw) * mottling;
        float on_lip = smoothstep(-0.06, 0.10, fa.x + 0.05 * middle.z);
        albedo = mix(albedo, lip * (1.0 + 0.22 * fine.y + 0.2 * middle.x), on_lip);
        rough = mix(rough, 0.34, on_lip); gloss = mix(gloss, max(shine, 0.3), on_lip);
        float strand = texture(noise, vec3(q.x / 1.5, q.y / 7.0, q.z / 2.0)).x - 0.5;
        float on_brow = brow * smoothstep(-0.12, 0.16, fa.y + 0.35 * strand);
        float grown = max(beard * fb.x, moustache * fb.y) * (1.0 - on_lip);
        float on_beard = grown * smoothstep(0.35, 0.75, grown + 0.8 * fine.w + 0.3);
        float fuzzy = max(on_brow, on_beard);
        albedo = mix(albedo, hair * (1.0 + 1.1 * fine.y), fuzzy); gloss *= 1.0 - fuzzy; bump += fuzzy * 0.35 * fine.yzw;
        float on_hair = (1.0 - bald) * smoothstep(-0.25, 0.35, fa.z + 0.9 * strand + hair_drop);
        float lock_shade = texture(noise, vec3(q.x / 5.0, q.y / 26.0, q.z / 5.0)).y;
        albedo = mix(albedo, hair * (0.35 + 1.3 * lock_shade + 0.5 * strand), on_hair);
        bump = mix(bump, vec3(0.9 * strand, 0.15 * strand, 0.9 * (lock_shade - 0.5)), on_hair);
        rough = mix(rough, 0.45, on_hair); gloss = mix(gloss, 0.35, on_hair);
        wrap *= 1.0 - 0.7 * max(on_hair, fuzzy);
        float below_collar = -11.6 - 0.09 * max(body.z, 0.0) * max(0.0, 4.0 - abs(body.x)) - body.y;
        float on_cloth = smoothstep(-0.04, 0.04, below_collar);
        float weave = texture(noise, vec3(body.xy * 1.6, 0.3)).z - 0.5;
        vec3 shade = cloth * (1.0 + 0.25 * weave + 0.2 * coarse.x);
        albedo = mix(albedo, shade * smoothstep(-0.1, 0.35, below_collar), on_cloth);
        gloss *= 1.0 - on_cloth; wrap *= 1.0 - on_cloth;
    } else if (material == MOUTH) {
        albedo = vec3(0.22, 0.045, 0.04) * (0.6 + 0.5 * coarse.x); rough = 0.4; gloss = 0.25;
    } else if (material == GUMS) {
        albedo = vec3(0.38, 0.10, 0.10) * (1.0 + 0.5 * middle.x); rough = 0.3; gloss = 0.5;
    } else if (material == TEETH) {
        albedo = teeth * (1.0 + 0.12 * coarse.x); rough = 0.22; gloss = 0.5;
    } else if (material == EYE) {
        vec3 centre = body.x > 0.0 ? eye_left : eye_right;
        float r = length(body.xy - centre.xy - gaze);
        albedo = vec3(0.72, 0.68, 0.66);
        vec3 iris = eye * (0.6 + 0.9 * smoothstep(0.2, 0.55, r) + 0.6 * fine.x);
        albedo = mix(iris, albedo, smoothstep(0.56, 0.64, r));
        albedo = mix(vec3(0.004), albedo, smoothstep(0.20, 0.26, r));
        rough = 0.02; gloss = 0.9; wrap = vec3(0.25);
        occlusion = 0.85;
    } else {
        albedo = mix(skin, hair * 0.2, 0.25 + 0.6 * lashes); gloss = 0.0;  // a translucent fringe, not a solid strip
    }
    n = normalize(n + bump);
    vec3 shaded = ambient * albedo;
    for (int i = 0; i < 3; i++) shaded += lit(n, v, light_direction[i], light_color[i], albedo, rough, wrap, gloss);
    shaded = mix(shaded, albedo * 0.95 * (ambient + 0.55 * (light_color[0] + light_color[1])), flatness) * occlusion;
    shaded *= exposure;
    shaded = shaded * (1.0 + shaded * 0.11) / (1.0 + 0.62 * shaded);
    color = vec4(pow(clamp(shaded, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}
"""


@dataclass(frozen=True)
class Pose:
    """Head rotation (radians) and where the camera sees it.

    yaw turns to the subject's left, pitch nods down, roll tilts; `offset` (x, y) cm moves the head; `distance` cm.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    distance: float = 90.0
    field_of_view: float = 24.0  # degrees, of the unit square view


def view_matrix(pose: Pose) -> np.ndarray:
    """Model-view matrix (4, 4) float64, column vectors."""
    cy, sy, cp, sp = np.cos(pose.yaw), np.sin(pose.yaw), np.cos(pose.pitch), np.sin(pose.pitch)
    cr, sr = np.cos(pose.roll), np.sin(pose.roll)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = yaw @ pitch @ roll
    matrix[:3, 3] = [pose.offset[0], pose.offset[1], -pose.distance]
    return matrix


def projection_matrix(pose: Pose, view: tuple[float, float, float, float]) -> np.ndarray:
    """Perspective whose image is the part `view` (x1, y1, x2, y2; 0…1, y down) of the square camera picture."""
    scale = 1 / np.tan(np.radians(pose.field_of_view) / 2)
    near, far = 10.0, 400.0
    matrix = np.array(
        [
            [scale, 0, 0, 0],
            [0, scale, 0, 0],
            [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
            [0, 0, -1, 0],
        ]
    )
    x1, y1, x2, y2 = view
    zoom_x, zoom_y = 1 / (x2 - x1), 1 / (y2 - y1)
    crop = np.eye(4)
    crop[0, 0], crop[0, 3] = zoom_x, -(x1 + x2 - 1) * zoom_x
    crop[1, 1], crop[1, 3] = zoom_y, (y1 + y2 - 1) * zoom_y
    return crop @ matrix


def project(points: np.ndarray, pose: Pose) -> np.ndarray:
    """(n, 3) cm → (n, 2) in the square camera picture, 0…1, y down."""
    homogeneous = np.hstack([points, np.ones((len(points), 1))])
    clip = homogeneous @ (projection_matrix(pose, (0, 0, 1, 1)) @ view_matrix(pose)).T
    ndc = clip[:, :2] / clip[:, 3:]
    return np.stack([(ndc[:, 0] + 1) / 2, (1 - ndc[:, 1]) / 2], axis=1)


def _noise_volume(size: int = 64, seed: int = 0) -> np.ndarray:
    """Tiling smooth noise, (size, size, size, 4) uint8, four independent channels of two octaves."""
    rng = np.random.default_rng(seed)
    volume = np.zeros((size, size, size, 4), np.float32)
    for cells, weight in ((16, 0.65), (64, 0.35)):
        coarse = rng.random((cells, cells, cells, 4)).astype(np.float32)
        factor = size // cells
        up = coarse.repeat(factor, 0).repeat(factor, 1).repeat(factor, 2)
        for axis in range(3):  # periodic box blur turns the steps into slopes
            up = np.mean([np.roll(up, shift, axis) for shift in range(factor)], axis=0)
        volume += weight * up
    volume = (volume - volume.mean()) / volume.std()
    return np.clip(127.5 + 46 * volume, 0, 255).astype(np.uint8)


class Renderer:
    """Draws one head at a time into a square picture.

    Args:
        head: The head model.
        size: Width and height of the picture in pixels.
        samples: Multisampling per pixel.
    """

    def __init__(self, head: HeadModel, size: int, samples: int = 4) -> None:
        self.head, self.size = head, size
        self.fields: SurfaceFields = surface_fields(head)
        settings: dict[str, Any] = {"standalone": True, "backend": "egl"}
        self._context: Any = moderngl.create_context(**settings)
        self._program: Any = self._context.program(vertex_shader=VERTEX_SHADER, fragment_shader=FRAGMENT_SHADER)
        self._target = self._context.framebuffer(
            [self._context.renderbuffer((size, size), 4, samples=samples)],
            self._context.depth_renderbuffer((size, size), samples=samples),
        )
        self._resolved = self._context.framebuffer([self._context.renderbuffer((size, size), 4)])
        self._noise = self._context.texture3d((64, 64, 64), 4, _noise_volume().tobytes())
        self._noise.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._noise.repeat_x = self._noise.repeat_y = self._noise.repeat_z = True
        f = self.fields
        constant = np.stack(
            [f.lip, f.brow, f.hairline, f.depth, f.beard, f.moustache, f.blush, f.material], axis=1
        ).astype("f4")
        constant = np.hstack([head.neutral.astype("f4"), constant])
        self._constant = self._context.buffer(np.ascontiguousarray(constant).tobytes())
        self._moving = self._context.buffer(reserve=len(head.neutral) * 24, dynamic=True)
        self._array = self._context.vertex_array(
            self._program,
            [
                (self._moving, "3f 3f", "position", "normal"),
                (self._constant, "3f 4f 4f", "neutral", "fields_a", "fields_b"),
            ],
            self._context.buffer(head.triangles.astype("i4").tobytes()),
        )
        eyes = [head.neutral[head.materials[name]] for name in ("M_ScleraLeft", "M_ScleraRight")]
        self._set("eye_left", eyes[0].mean(axis=0))
        self._set("eye_right", eyes[1].mean(axis=0))

    def _set(self, name: str, value: object) -> None:
        if name in self._program:  # the compiler drops unused uniforms
            array = np.asarray(value, "f4")
            self._program[name].write(array.tobytes())

    def base_vertices(self, look: Look) -> np.ndarray:
        """(V, 3) of a person without expression, hair included."""
        base = self.head.with_closed_lips(self.head.identity(look.identity))
        if look.hair_style >= 0:
            cover = np.clip((self.fields.hairline - look.hairline_shift) / 1.5, 0, 1)[:, None]
            x, z = self.head.neutral[:, :1], self.head.neutral[:, 2:]
            waves = 0.75 + 0.35 * np.sin(2.1 * x + z + look.noise_offset[0])
            base = base + self.head.normals(base) * cover * look.hair_volume * waves
        return base.astype(np.float32)

    def draw(
        self,
        vertices: np.ndarray,
        look: Look,
        lighting: Lighting,
        pose: Pose,
        background: np.ndarray,
        view: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        gaze: tuple[float, float] = (0.0, 0.0),
    ) -> np.ndarray:
        """The part `view` of the camera picture over `background` (any size BGR uint8); BGR uint8 (size, size, 3)."""
        normals = self.head.normals(vertices)
        self._moving.write(np.hstack([vertices.astype("f4"), normals]).tobytes())
        self._set("model_view", view_matrix(pose).T)
        self._set("projection", projection_matrix(pose, view).T)
        self._set("light_direction", lighting.directions)
        self._set("light_color", lighting.colors)
        self._set("ambient", lighting.ambient)
        self._set("exposure", lighting.exposure)
        self._set("flatness", lighting.flatness)
        for name in ("skin", "lip", "hair", "eye", "teeth", "cloth", "shine", "mottling", "freckles", "blush"):
            self._set(name, getattr(look, name))
        for name in ("beard", "moustache", "brow", "lashes"):
            self._set(name, getattr(look, name))
        self._set("bald", float(look.hair_style < 0))
        self._set("hair_drop", -look.hairline_shift)
        self._set("noise_offset", look.noise_offset)
        self._set("gaze", gaze)
        self._noise.use(0)
        self._target.use()
        self._context.enable(moderngl.DEPTH_TEST)
        self._target.clear(0, 0, 0, 0)
        self._array.render()
        self._context.copy_framebuffer(self._resolved, self._target)
        raw = np.frombuffer(self._resolved.read(components=4), np.uint8).reshape(self.size, self.size, 4)[::-1]
        alpha = raw[..., 3:].astype(np.float32) / 255.0
        if background.shape[:2] != (self.size, self.size):
            background = cv2.resize(background, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        return (raw[..., 2::-1] + background * (1 - alpha) + 0.5).clip(0, 255).astype(np.uint8)
