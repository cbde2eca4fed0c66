"""The shaders. Textures and targets hold square roots of linear light; positions are in camera axes, cm."""

from __future__ import annotations

_TRANSFORM = """
#version 330
uniform mat4 head, body, projection;
invariant gl_Position;
vec4 placed(vec3 position, float sway) {
    return mix(head * vec4(position, 1.0), body * vec4(position, 1.0), sway);
}
vec3 turned(vec3 normal, float sway) { return mix(mat3(head) * normal, mat3(body) * normal, sway); }
"""

HEAD_VERTEX = (
    _TRANSFORM
    + """
in vec3 position; in vec3 normal; in vec2 uv; in vec4 extra;
out vec3 eye_position; out vec3 eye_normal; out vec3 head_position; out vec2 texel; out vec4 marks;
void main() {
    vec4 p = placed(position, extra.y);
    eye_position = p.xyz; eye_normal = turned(normal, extra.y);
    head_position = position; texel = uv; marks = extra;
    gl_Position = projection * p;
}
"""
)

PIECE_VERTEX = (
    _TRANSFORM
    + """
in vec3 position; in vec3 normal; in vec3 tangent; in vec3 color; in vec2 uv;
uniform float sway;
out vec3 eye_position; out vec3 eye_normal; out vec3 eye_tangent; out vec3 tint; out vec2 texel;
void main() {
    vec4 p = placed(position, sway);
    eye_position = p.xyz; eye_normal = turned(normal, sway); eye_tangent = turned(tangent, sway);
    tint = color; texel = uv;
    gl_Position = projection * p;
}
"""
)

DEPTH_VERTEX = (
    _TRANSFORM
    + """
in vec3 position; in float sway;
uniform mat4 light_view;
void main() { gl_Position = light_view * placed(position, sway); }
"""
)

FRONT_VERTEX = (
    _TRANSFORM
    + """
in vec3 position; uniform float sway;
void main() { gl_Position = projection * placed(position, sway); }
"""
)

DEPTH_PIECE_VERTEX = DEPTH_VERTEX.replace("in float sway;", "uniform float sway;")

DEPTH_FRAGMENT = """
#version 330
void main() {}
"""

_LIGHT = """
#version 330
uniform vec3 light_direction[3]; uniform vec3 light_color[3]; uniform vec3 sky, ground;
uniform float exposure, toon, toon_soft, flatness, shadow_dark, shadow_soft, line;
uniform sampler2DShadow shadow_map; uniform mat4 light_view;
out vec4 color;

vec3 in_shadow_map(vec3 p, vec3 n) {
    vec3 at = (light_view * vec4(p + 0.18 * n, 1.0)).xyz * 0.5 + 0.5;
    return vec3(at.xy, at.z - 0.0012);
}

float lit_share(vec3 p, vec3 n) {
    if (shadow_dark <= 0.0) return 1.0;
    return 1.0 - shadow_dark * (1.0 - texture(shadow_map, in_shadow_map(p, n)));
}

float lit_softly(vec3 p, vec3 n) {
    if (shadow_dark <= 0.0) return 1.0;
    vec3 at = in_shadow_map(p, n), r = vec3(shadow_soft, -0.6 * shadow_soft, 0.0);
    float lit = texture(shadow_map, at + r.xxz) + texture(shadow_map, at + r.yxz) + texture(shadow_map, at + r.xyz);
    return 1.0 - shadow_dark * (1.0 - lit / 3.0);
}

vec3 shade(vec3 albedo, vec3 n, vec3 v, float wet, vec3 wrap, float open, float lit) {
    float k = dot(n, light_direction[0]), f = dot(n, light_direction[1]), b = dot(n, light_direction[2]);
    float side = 1.0 - clamp(dot(n, v), 0.0, 1.0);
    vec3 key = max((vec3(k) + wrap) / (1.0 + wrap), 0.0);
    float band = smoothstep(0.08 - toon_soft, 0.08 + toon_soft, k) * 0.78 + 0.22 * smoothstep(0.55, 0.75, k);
    key = mix(key, vec3(band), toon) * lit;
    vec3 fill = max((vec3(f) + 0.5 * wrap) / (1.0 + 0.5 * wrap), 0.0);
    vec3 rim = vec3(max(b + 0.15, 0.0) * (0.25 + 0.75 * side * side));
    vec3 around = mix(ground, sky, 0.5 + 0.5 * n.y) * open;
    vec3 light = light_color[0] * key + (light_color[1] * fill + light_color[2] * rim) * (0.35 + 0.65 * open) + around;
    vec3 even = 0.8 * (0.65 * light_color[0] + 0.5 * light_color[1] + sky);
    vec3 result = albedo * mix(light, even * (0.75 + 0.25 * open), flatness);
    float sharp = exp2(2.6 + 4.2 * wet);
    vec3 h0 = normalize(light_direction[0] + v), h1 = normalize(light_direction[1] + v);
    vec2 facing = vec2(max(dot(n, h0), 0.0), max(dot(n, h1), 0.0));
    vec2 shine = pow(facing, vec2(sharp)) * vec2(smoothstep(-0.1, 0.2, k) * lit, max(f, 0.0));
    float edge = side * side; edge *= edge;
    float gloss = wet * wet * (0.75 + 1.6 * edge) * (1.0 - 0.7 * flatness);
    result += gloss * open * (light_color[0] * shine.x + light_color[1] * shine.y) + 0.12 * wet * edge * around;
    return result * exposure;
}

vec4 developed(vec3 light) {
    light = light * (1.0 + light * 0.11) / (1.0 + 0.62 * light);
    return vec4(sqrt(clamp(light, 0.0, 1.0)), 1.0);
}
"""

# marks: openness to light, sway, part, number
SKIN_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec3 head_position; in vec2 texel; in vec4 marks;
uniform sampler2D albedo_map, slope_map; uniform mat4 head; uniform float slope_range, thickness;
void main() {
    vec3 v = normalize(-eye_position), plain = normalize(eye_normal);
    vec4 first = texture(albedo_map, texel), second = texture(slope_map, texel);
    vec3 n = normalize(plain + mat3(head) * ((second.xyz - 0.5) * 2.0 * slope_range));
    float bare = 1.0 - second.a, open = marks.x;
    vec3 albedo = first.rgb * first.rgb;
    float lit = lit_softly(eye_position, plain);
    vec3 light = shade(albedo, n, v, first.a, vec3(0.34, 0.17, 0.11) * bare, open, lit);
    light *= 1.0 - line * smoothstep(0.38, 0.18, dot(plain, v));
    color = developed(light);
}
"""
)

# part: 0 cheek and palate, 1 gums, 2 tongue, 3 teeth
MOUTH_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec3 head_position; in vec2 texel; in vec4 marks;
uniform mat4 head; uniform sampler2D grain; uniform vec3 teeth, gums, tongue; uniform float contrast, uneven, wetness;
uniform vec3 mouth_middle; uniform vec2 mouth_half; uniform float upper_edge, lower_edge;
void main() {
    vec3 v = normalize(-eye_position), n = normalize(eye_normal);
    if (dot(n, v) < 0.0) n = -n;
    int part = int(marks.z + 0.5);
    // light enters through the opening and is lost with depth
    float depth = max(mouth_middle.z - 0.9 - head_position.z, 0.0);
    float area = mouth_half.x * mouth_half.y;
    float reach = area / (area + 0.45 * depth * depth + 0.05);
    float cheek = smoothstep(0.55, -0.35, abs(head_position.x - mouth_middle.x) + 0.30 * depth - mouth_half.x);
    float below_lip = smoothstep(-0.12, 0.30, upper_edge - head_position.y);
    float above_lip = smoothstep(-0.10, 0.18, head_position.y - lower_edge);
    float open = reach * (0.48 + 0.52 * below_lip) * (0.55 + 0.45 * above_lip) * (0.25 + 0.75 * cheek);
    vec3 albedo; float wet = wetness;
    vec4 spots = texture(grain, texel * 3.0) - 0.5;
    if (part == 3) {
        float number = floor(marks.w), across = fract(marks.w) * 2.5 - 1.25, edge = texel.y;
        float jitter = fract(sin(number * 12.9898) * 43758.5453) - 0.5;
        albedo = teeth * (1.0 + uneven * jitter * vec3(0.25, 0.3, 0.45));
        albedo *= 1.0 - contrast * smoothstep(0.60, 1.10, abs(across)) * vec3(0.42, 0.50, 0.54);
        albedo *= mix(vec3(1.0), vec3(0.92, 0.86, 0.76), smoothstep(0.3, 1.0, edge));
        albedo = mix(albedo, albedo * vec3(0.80, 0.86, 0.95), 0.5 * smoothstep(0.16, 0.0, edge));
        albedo = mix(albedo, gums, smoothstep(1.00, 1.12, edge + 0.18 * across * across));
        wet *= 0.8;
        n = normalize(mix(n, normalize(mat3(head) * (head_position - vec3(0.0, head_position.y, 4.5))), 0.45));
    } else if (part == 2) {
        float groove = exp(-pow(head_position.x / 0.12, 2.0));
        albedo = tongue * (1.0 + 0.5 * spots.x) * (1.0 - 0.25 * groove);
        n = normalize(n + 0.25 * vec3(spots.y, spots.z, 0.0));
        wet *= 0.75;
    } else if (part == 1) {
        albedo = gums * (1.0 + 0.3 * spots.x);
    } else {
        albedo = gums * vec3(0.62, 0.45, 0.45) * (1.0 + 0.2 * spots.x); wet *= 0.6;
    }
    vec3 light = shade(albedo, n, v, wet, vec3(0.35, 0.25, 0.22), open, mix(1.0, 0.6 + 0.4 * open, 0.5));
    color = developed(light * open * mix(vec3(0.95, 0.62, 0.58), vec3(1.0), open));  // what gets in is red with flesh
}
"""
)

EYE_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec3 head_position; in vec2 texel; in vec4 marks;
uniform mat4 head; uniform sampler2D grain; uniform vec3 iris, white, eye_left, eye_right; uniform vec2 gaze;
uniform float iris_size, enlarge;
void main() {
    vec3 v = normalize(-eye_position), n = normalize(eye_normal);
    vec3 middle = head_position.x > 0.0 ? eye_left : eye_right;
    vec3 away = (head_position - middle) / enlarge;
    vec2 at = away.xy - gaze * 1.35;
    float r = length(at) / iris_size, angle = atan(at.y, at.x);
    float fiber = texture(grain, vec2(angle * 0.9, r * 0.12)).x, vein = texture(grain, away.xy * 0.25).y;
    vec3 red = vec3(0.02, 0.10, 0.10) * smoothstep(0.5, 0.75, vein) + vec3(0.05, 0.13, 0.14) * smoothstep(1.2, 2.6, r);
    vec3 ball = white * (1.0 - red);
    vec3 ring = iris * (0.45 + 1.1 * fiber) * (1.15 - 0.75 * smoothstep(0.75, 1.0, r));
    ring *= 1.0 + 0.5 * smoothstep(0.2, -0.8, at.y / iris_size);
    vec3 albedo = mix(ring, ball, smoothstep(0.93, 1.08, r));
    albedo = mix(vec3(0.004), albedo, smoothstep(0.34, 0.44, r));
    float open = marks.x * (0.55 + 0.45 * smoothstep(0.75, 0.15, away.y));
    vec3 light = shade(albedo, n, v, 0.25, vec3(0.3, 0.25, 0.25), open, lit_share(eye_position, n));
    // the wet cornea bulges: its highlight is small and bright
    vec3 cornea = normalize(n + mat3(head) * vec3(0.35 * at / iris_size * step(r, 1.4), 0.0));
    vec3 h = normalize(light_direction[0] + v);
    light += exposure * light_color[0] * 1.4 * pow(max(dot(cornea, h), 0.0), 220.0) * (1.0 - 0.5 * flatness);
    light += exposure * sky * 0.25 * smoothstep(0.86, 0.97, dot(cornea, normalize(vec3(-0.25, 0.42, 0.9))));
    color = developed(light);
}
"""
)

LASH_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec3 head_position; in vec2 texel; in vec4 marks;
uniform float lashes; uniform vec3 lash_color;
void main() {
    float along = texel.x, out_ = texel.y;
    float hair = abs(fract(along * 38.0 + 0.6 * out_ * sin(along * 40.0)) - 0.5) * 2.0;
    float length = marks.w * lashes * (0.75 + 0.25 * sin(along * 97.0));
    if (out_ > length || hair > 0.8 * (1.0 - out_ / length)) discard;
    color = developed(lash_color * (0.4 * light_color[0] + sky) * exposure);
}
"""
)

# kind: 0 hair, 1 solid, 2 lens
PIECE_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec3 eye_tangent; in vec3 tint; in vec2 texel;
uniform int kind; uniform sampler2D grain; uniform float gloss, opacity;
void main() {
    vec3 v = normalize(-eye_position), n = normalize(eye_normal);
    if (dot(n, v) < 0.0) n = -n;
    if (kind == 0) {
        vec3 t = normalize(eye_tangent);
        float lock = tint.r / (tint.g + 0.002);  // every lock has a tone of its own, lighter along its length
        float strand = texture(grain, vec2(texel.x * 0.028 + lock * 9.0, texel.y * 0.010 + lock * 5.0)).x;
        float k = dot(n, light_direction[0]), rim = max(dot(n, light_direction[2]) + 0.4, 0.0);
        float lit = lit_share(eye_position, n);
        float th = dot(t, normalize(light_direction[0] + v)) + 0.22 * (strand - 0.5), sine2 = max(1.0 - th * th, 0.0);
        float narrow = sine2 * sine2; narrow *= narrow; narrow *= narrow;
        float wide = narrow; narrow *= narrow; narrow *= narrow * narrow;
        float lamp = mix(max((k + 0.25) / 1.25, 0.0), smoothstep(0.08 - toon_soft, 0.08 + toon_soft, k), toon) * lit;
        vec3 light = light_color[0] * lamp + mix(ground, sky, 0.5 + 0.5 * n.y) * 0.9;
        light += light_color[1] * max(dot(n, light_direction[1]) + 0.1, 0.0);
        light = mix(light, 0.75 * (0.65 * light_color[0] + sky), flatness) * tint * (0.62 + 0.76 * strand);
        light += gloss * light_color[0] * smoothstep(-0.25, 0.5, k) * lit * (0.10 * narrow + 0.7 * tint * wide);
        light += gloss * light_color[2] * rim * (0.03 + 0.6 * tint);
        light *= 1.0 - line * smoothstep(0.75, 1.0, abs(texel.x));
        color = developed(light * exposure);
    } else if (kind == 1) {
        color = developed(shade(tint, n, v, gloss, vec3(0.1), 0.9, lit_share(eye_position, n)));
    } else {
        vec3 h = normalize(light_direction[0] + v);
        float window = smoothstep(0.88, 0.96, dot(n, normalize(vec3(0.2, 0.5, 0.9))));
        float glare = pow(max(dot(n, h), 0.0), 60.0) + 0.25 * window;
        vec3 shine = developed(exposure * light_color[0] * glare).rgb;
        color = vec4(shine, clamp(opacity + glare, 0.0, 1.0));
    }
}
"""
)

# A large, dull surface: lit at its vertices
CLOTH_VERTEX = (
    _TRANSFORM
    + """
in vec3 position; in vec3 normal; in vec2 uv;
uniform float sway, toon, toon_soft, flatness, exposure, line;
uniform vec3 light_direction[3]; uniform vec3 light_color[3]; uniform vec3 sky, ground;
out vec3 eye_position; out vec3 eye_normal; out vec2 texel; out vec3 keyed; out vec3 rest;
void main() {
    vec4 p = placed(position, sway);
    vec3 n = normalize(turned(normal, sway)), v = normalize(-p.xyz);
    if (dot(n, v) < 0.0) n = -n;
    eye_position = p.xyz; eye_normal = n; texel = uv;
    float k = dot(n, light_direction[0]), side = 1.0 - clamp(dot(n, v), 0.0, 1.0);
    float lamp = mix(max((k + 0.1) / 1.1, 0.0), smoothstep(0.08 - toon_soft, 0.08 + toon_soft, k), toon);
    float scale = (1.0 - line * smoothstep(0.70, 0.88, side)) * exposure;
    keyed = light_color[0] * lamp * (1.0 - flatness) * scale;
    rest = light_color[1] * max(dot(n, light_direction[1]), 0.0) + mix(ground, sky, 0.5 + 0.5 * n.y) * 0.85
         + light_color[2] * max(dot(n, light_direction[2]) + 0.15, 0.0) * side * side;
    rest = mix(rest, 0.75 * (0.65 * light_color[0] + sky), flatness) * scale;
    gl_Position = projection * p;
}
"""
)

CLOTH_FRAGMENT = (
    _LIGHT
    + """
in vec3 eye_position; in vec3 eye_normal; in vec2 texel; in vec3 keyed; in vec3 rest;
uniform sampler2D cloth;
void main() {
    vec4 found = texture(cloth, texel);
    if (found.a < 0.5) discard;
    color = developed((keyed * lit_share(eye_position, eye_normal) + rest) * found.rgb * found.rgb);
}
"""
)
