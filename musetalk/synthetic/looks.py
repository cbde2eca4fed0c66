"""How a rendered person looks: plain numbers only. Colours are linear RGB (3,), amounts 0…1, lengths cm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BALD, BUZZ, SHORT, PARTED, FRINGE, SLICK, BOB, LONG, CURLY, TAIL, SPIKES = HAIR_KINDS = (
    "bald", "buzz", "short", "parted", "fringe", "slick", "bob", "long", "curly", "tail", "spikes",
)  # fmt: skip
NECKLINES = ("crew", "vee", "shirt", "suit", "turtleneck", "boat")
PATTERNS = ("plain", "stripes", "checks", "dots", "mottled")
GLASSES = ("round", "square", "half", "thick")


@dataclass(frozen=True)
class SkinLook:
    """Skin without hair: `spots` is a number of moles and pimples; `age` draws wrinkles; `shine` is oil or sweat."""

    tone: np.ndarray
    mottling: float
    pores: float
    freckles: float
    blotches: float
    blush: float
    spots: int
    age: float
    shine: float
    strokes: float = 0.0  # painted with a brush
    paint: np.ndarray | None = None  # face paint


@dataclass(frozen=True)
class LipLook:
    """`edge` is how crisp the border is; `height` moves it, cm; `liner` darkens it; `inner` darkens the seam."""

    color: np.ndarray
    edge: float
    height: float
    wet: float
    creases: float
    liner: float
    inner: float


@dataclass(frozen=True)
class EyeLook:
    """`iris_size` is the iris' radius in cm, `enlarge` the factor of drawn figures' eyes."""

    iris: np.ndarray
    white: np.ndarray
    iris_size: float
    lashes: float
    liner: float
    shadow: np.ndarray
    shadow_amount: float
    rings: float  # dark rings under the eyes
    enlarge: float = 1.0


@dataclass(frozen=True)
class BrowLook:
    """`thickness` is half a brow's width in cm; `drawn` brows have no single hairs."""

    color: np.ndarray
    density: float
    thickness: float
    arch: float
    lift: float
    drawn: float


@dataclass(frozen=True)
class BeardLook:
    """Amounts of stubble painted on the skin and of hairs that stand out, by region; `over_lip` hangs on the lip."""

    color: np.ndarray
    stubble: float
    chin: float
    jaw: float
    moustache: float
    length: float
    over_lip: float
    grey: float


@dataclass(frozen=True)
class HairLook:
    """`kind` is one of HAIR_KINDS; `streak` colours a share `streaks` of the locks; `shift` > 0 recedes, cm."""

    kind: str
    color: np.ndarray
    streak: np.ndarray
    streaks: float
    volume: float
    length: float
    shift: float
    curl: float
    parting: float  # −1 … 1: the subject's right to left
    gloss: float
    seed: int


@dataclass(frozen=True)
class TeethLook:
    """`contrast` darkens the gaps between teeth; `uneven` varies their colour; `missing` is a tooth's number or −1."""

    color: np.ndarray
    gums: np.ndarray
    tongue: np.ndarray
    contrast: float
    uneven: float
    crooked: float
    missing: int
    wet: float


@dataclass(frozen=True)
class ClothLook:
    """`neckline` is one of NECKLINES, `pattern` one of PATTERNS; `under` is the shirt below a jacket, `tie` or None."""

    neckline: str
    pattern: str
    color: np.ndarray
    second: np.ndarray
    under: np.ndarray
    tie: np.ndarray | None
    scale: float


@dataclass(frozen=True)
class PropsLook:
    """`glasses` is one of GLASSES or None; `tint` is how dark their lenses are."""

    glasses: str | None
    glasses_color: np.ndarray
    tint: float
    earrings: float  # radius, cm; 0: none
    earring_color: np.ndarray


@dataclass(frozen=True)
class ShapeLook:
    """What drawn figures have and scans have not: factors and shares on top of the identity."""

    chin: float = 1.0  # width of the lower face
    nose: float = 0.0  # how much flatter
    mouth: float = 1.0  # size of the mouth
    jaw_length: float = 0.0  # cm


@dataclass(frozen=True)
class StyleLook:
    """How it is drawn: 0 is a photograph. `toon` bands the light, `line` draws silhouettes, `smear` paints."""

    toon: float = 0.0
    toon_soft: float = 0.2
    line: float = 0.0
    smear: int = 0  # radius in pixels of the brush that flattens the finished picture
    levels: int = 0  # grey levels left by posterising; 0: all
    flat: float = 0.0  # how little shading there is
    detail: float = 1.0  # how much of the skin's texture is left
    outlook: float = 0.0  # ink lines around everything in the finished picture


@dataclass(frozen=True)
class Look:
    """A person. `identity` (I,) are the head model's weights; `expression` is the resting face (not the mouth)."""

    identity: np.ndarray
    skin: SkinLook
    lips: LipLook
    eyes: EyeLook
    brows: BrowLook
    beard: BeardLook
    hair: HairLook
    teeth: TeethLook
    cloth: ClothLook
    props: PropsLook
    shape: ShapeLook
    style: StyleLook
    seed: int
    expression: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lighting:
    """Key, fill and rim light and what comes from all around; linear RGB.

    Attributes:
        directions: (3, 3) unit vectors towards the lights, camera axes.
        colors: (3, 3).
        sky, ground: (3,) light from above and from below.
        exposure: Factor on everything.
        shadow: 0…1 how dark the key light's cast shadows are; 0: none are computed.
        softness: 0…1 of their edges.
    """

    directions: np.ndarray
    colors: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    exposure: float
    shadow: float = 0.0
    softness: float = 0.5
