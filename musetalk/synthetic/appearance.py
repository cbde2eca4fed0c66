"""Random people: about one in four is drawn or painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musetalk.synthetic.colors import EYE_TONES, HAIR_TONES, SKIN_TONES, between, linear, random_paint
from musetalk.synthetic.looks import (
    BALD,
    BOB,
    CURLY,
    FRINGE,
    GLASSES,
    HAIR_KINDS,
    LONG,
    NECKLINES,
    PARTED,
    PATTERNS,
    SPIKES,
    TAIL,
    BeardLook,
    BrowLook,
    ClothLook,
    EyeLook,
    HairLook,
    LipLook,
    Look,
    PropsLook,
    ShapeLook,
    SkinLook,
    StyleLook,
    TeethLook,
)

_HAIR_CHANCES = (0.07, 0.08, 0.13, 0.11, 0.11, 0.09, 0.09, 0.12, 0.08, 0.08, 0.04)


def _at_times(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    """A number between `low` and `high` in a share of `chance`, else 0."""
    value, happens = rng.uniform(low, high), rng.random() < chance
    return float(value) if happens else 0.0


def _skin(rng: np.random.Generator, drawn: float) -> SkinLook:
    tone = between(SKIN_TONES, rng.uniform(0, len(SKIN_TONES) - 1)) * rng.normal(1, 0.05, 3) * rng.uniform(0.9, 1.1)
    if drawn and rng.random() < 0.12:  # a creature of fantasy
        tone = 0.4 * tone + 0.6 * random_paint(rng, 0.6)
    return SkinLook(
        tone=np.clip(tone, 0.015, 0.92),
        mottling=rng.uniform(0.25, 1.2),
        pores=rng.uniform(0.2, 1.2),
        freckles=_at_times(rng, 0.25, 0.2, 0.9),
        blotches=_at_times(rng, 0.15, 0.15, 0.8),
        blush=rng.uniform(0, 0.55),
        spots=int(max(0, rng.normal(1.5, 3))),
        age=max(0.0, rng.uniform(-0.4, 1.0)),
        shine=rng.uniform(0.0, 0.7) ** 1.3,
        strokes=_at_times(rng, 0.6, 0.2, 1.0) if drawn else 0.0,
        paint=random_paint(rng) if rng.random() < 0.03 else None,
    )


def _lips(rng: np.random.Generator, skin: np.ndarray, drawn: float) -> LipLook:
    color = skin * np.array([rng.uniform(0.78, 1.12), rng.uniform(0.42, 0.82), rng.uniform(0.45, 0.88)])
    kind = rng.random()
    made_up = kind < 0.30
    if kind < 0.2:  # lipstick
        painted = linear([rng.uniform(110, 220), rng.uniform(15, 110), rng.uniform(30, 120)])
        color = 0.25 * color + 0.75 * painted
    elif kind < 0.26:  # any colour
        color = 0.2 * color + 0.8 * random_paint(rng)
    elif kind < 0.30:  # pale
        color = np.clip(skin * rng.uniform(1.0, 1.2) * [1, 0.92, 0.93], 0, 0.95)
    elif kind < 0.42:  # hardly any other colour than the skin's
        color = skin * np.array([0.97, 0.86, 0.87])
    return LipLook(
        color=np.clip(color, 0.004, 0.95),
        edge=rng.uniform(0.6, 1.0) if made_up or drawn else rng.uniform(0, 0.6),
        height=rng.normal(0, 0.05) if not drawn else rng.uniform(-0.16, 0.05),
        wet=rng.uniform(0.12, 0.85),
        creases=rng.uniform(0.2, 1.4) * (0.3 if drawn else 1),
        liner=_at_times(rng, 0.25, 0.1, 0.7),
        inner=rng.uniform(0.1, 0.8),
    )


def _hair(rng: np.random.Generator, drawn: float) -> HairLook:
    color = HAIR_TONES[rng.integers(len(HAIR_TONES))] * rng.uniform(0.6, 1.3)
    if rng.random() < (0.45 if drawn else 0.06):
        color = random_paint(rng)
    chances = np.array(_HAIR_CHANCES)
    if drawn:
        chances[-1] *= 6
    kind = HAIR_KINDS[rng.choice(len(HAIR_KINDS), p=chances / chances.sum())]
    return HairLook(
        kind=kind,
        color=np.clip(color, 0.003, 0.9),
        streak=np.clip(random_paint(rng) if rng.random() < 0.5 else color * rng.uniform(1.5, 3.0), 0.003, 0.95),
        streaks=_at_times(rng, 0.2, 0.1, 0.5),
        volume=rng.uniform(0.4, 1.3),
        length=rng.uniform(0.7, 1.35),
        shift=rng.normal(0.1, 0.6) + (_at_times(rng, 0.12, 0.8, 2.2)),
        curl=rng.uniform(0.6, 1.0) if kind == CURLY else _at_times(rng, 0.4, 0.1, 0.8),
        parting=rng.uniform(-1, 1),
        gloss=rng.uniform(0.2, 1.0),
        seed=int(rng.integers(1 << 30)),
    )


def _beard(rng: np.random.Generator, hair: np.ndarray) -> BeardLook:
    kind = rng.choice(6, p=(0.66, 0.11, 0.07, 0.06, 0.06, 0.04))
    none, stubble, goatee, moustache, full, long_ = range(6)
    return BeardLook(
        color=np.clip(hair * rng.uniform(0.7, 1.2) * [1.08, 1, 0.95], 0.003, 0.9),
        stubble=rng.uniform(0.15, 0.85) if kind == stubble else (0.0 if kind == none else rng.uniform(0, 0.4)),
        chin=rng.uniform(0.5, 1) if kind in (goatee, full, long_) else 0.0,
        jaw=rng.uniform(0.5, 1) if kind in (full, long_) else 0.0,
        moustache=rng.uniform(0.5, 1)
        if kind in (moustache, full, long_) or (kind == goatee and rng.random() < 0.6)
        else 0.0,
        length=rng.uniform(1.5, 6) if kind == long_ else rng.uniform(0.2, 1.4),
        over_lip=max(0.0, rng.uniform(-0.6, 1.0)),
        grey=_at_times(rng, 0.3, 0.1, 0.8),
    )


def _cloth(rng: np.random.Generator) -> ClothLook:
    color = linear(np.clip(rng.uniform(15, 240) + rng.normal(0, 40, 3), 4, 252))
    return ClothLook(
        neckline=NECKLINES[rng.choice(len(NECKLINES), p=(0.26, 0.16, 0.2, 0.18, 0.1, 0.1))],
        pattern=PATTERNS[rng.choice(len(PATTERNS), p=(0.6, 0.12, 0.1, 0.06, 0.12))],
        color=color,
        second=linear(np.clip(rng.uniform(15, 240) + rng.normal(0, 40, 3), 4, 252)),
        under=linear(np.clip(rng.normal(215, 30) + rng.normal(0, 12, 3), 40, 252)),
        tie=random_paint(rng, 0.8) * 0.6 if rng.random() < 0.6 else None,
        scale=rng.uniform(0, 1),
    )


def _style(rng: np.random.Generator, drawn: float) -> tuple[StyleLook, ShapeLook, float]:
    """Style, proportions and the eyes' enlargement; `drawn` is 0 for people, up to 1 for cartoons."""
    if drawn <= 0:
        return StyleLook(), ShapeLook(), 1.0
    style = StyleLook(
        toon=rng.uniform(0.3, 1.0),
        toon_soft=rng.uniform(0.02, 0.35),
        line=_at_times(rng, 0.6, 0.3, 0.95),
        smear=int(rng.choice([0, 0, 0, 1, 2, 2, 3])),
        levels=int(rng.choice([0, 0, 0, 0, 10, 16])),
        flat=_at_times(rng, 0.5, 0.1, 0.8),
        detail=float(rng.choice([0.0, 0.15, 0.4, 1.0])),
        outlook=_at_times(rng, 0.3, 0.3, 0.9),
    )
    shape = ShapeLook(
        chin=1 - 0.16 * drawn * rng.random(),
        nose=drawn * rng.uniform(0, 0.9),
        mouth=1 - drawn * rng.uniform(-0.08, 0.22),
        jaw_length=drawn * rng.normal(0, 0.5),
    )
    return style, shape, 1 + drawn * rng.uniform(-0.05, 0.4)


def _illustrated(look: Look, rng: np.random.Generator) -> Look:
    """The look as an illustrator would paint it: clean skin, crisp shadows, dark brows and lids, quiet lips."""
    rose = look.skin.tone * np.array([rng.uniform(0.85, 1.05), rng.uniform(0.5, 0.75), rng.uniform(0.52, 0.78)])
    return replace(
        look,
        skin=replace(look.skin, mottling=0.15, spots=0, age=0.0, blotches=0.0, freckles=0.0, pores=0.0, paint=None),
        lips=replace(
            look.lips,
            color=np.clip(rose, 0.005, 0.95),
            edge=rng.uniform(0.5, 0.9),
            wet=rng.uniform(0.3, 0.7),
            creases=0.1,
            inner=rng.uniform(0.3, 0.9),
        ),
        brows=replace(look.brows, color=look.brows.color * 0.4, density=rng.uniform(0.7, 1.0), drawn=1.0),
        eyes=replace(look.eyes, liner=rng.uniform(0.5, 1.0), lashes=rng.uniform(0.6, 1.0), rings=0.0),
        hair=replace(
            look.hair,
            kind=str(rng.choice([SPIKES, PARTED, TAIL, LONG, FRINGE, BOB, look.hair.kind])),
            streaks=_at_times(rng, 0.4, 0.1, 0.4),
            gloss=rng.uniform(0.6, 1.0),
        ),
        style=replace(
            look.style,
            toon=rng.uniform(0.4, 0.85),
            toon_soft=rng.uniform(0.06, 0.3),
            line=rng.uniform(0.0, 0.4),
            smear=int(rng.integers(0, 2)),
            levels=0,
            flat=rng.uniform(0.0, 0.35),
            detail=rng.uniform(0.0, 0.2),
            outlook=0.0,
        ),
    )


def random_look(rng: np.random.Generator, identity_modes: int) -> Look:
    """A random person; about one in four is drawn or painted.

    Args:
        rng: Decides everything.
        identity_modes: The number of the head model's identity weights.
    """
    drawn = rng.uniform(0.3, 1.0) if rng.random() < 0.26 else 0.0
    weights = rng.normal(0, 0.8, identity_modes)
    weights[:20] *= rng.uniform(0.8, 1.35)
    style, shape, enlarge = _style(rng, drawn)
    skin = _skin(rng, drawn)
    hair = _hair(rng, drawn)
    brow_color = hair.color * rng.uniform(0.5, 1.1) if hair.kind != BALD else HAIR_TONES[rng.integers(5)]
    eye = EYE_TONES[rng.integers(len(EYE_TONES))] * rng.uniform(0.5, 1.3)
    if drawn and rng.random() < 0.4:
        eye = random_paint(rng)
    made_up = rng.random() < 0.3
    look = Look(
        identity=weights,
        skin=skin,
        lips=_lips(rng, skin.tone, drawn),
        eyes=EyeLook(
            iris=np.clip(eye, 0.003, 0.9),
            white=linear([rng.uniform(205, 240), rng.uniform(198, 236), rng.uniform(190, 232)]),
            iris_size=rng.uniform(0.54, 0.66) * (1 + 0.2 * drawn * rng.random()),
            lashes=rng.uniform(0.3, 1.0),
            liner=rng.uniform(0.3, 0.9) if made_up or drawn else rng.uniform(0, 0.25),
            shadow=random_paint(rng, 0.7) if rng.random() < 0.5 else skin.tone * [0.6, 0.45, 0.42],
            shadow_amount=rng.uniform(0.2, 0.75) if made_up else rng.uniform(0, 0.25),
            rings=rng.uniform(0, 0.6),
            enlarge=enlarge,
        ),
        brows=BrowLook(
            color=np.clip(brow_color, 0.003, 0.6),
            density=rng.uniform(0.25, 1.0),
            thickness=rng.uniform(0.2, 0.48),
            arch=rng.uniform(-0.05, 0.3),
            lift=rng.normal(0.08, 0.14),
            drawn=rng.uniform(0.4, 1.0) if drawn or made_up else rng.uniform(0, 0.3),
        ),
        beard=_beard(rng, hair.color),
        hair=hair,
        teeth=_teeth(rng, drawn),
        cloth=_cloth(rng),
        props=PropsLook(
            glasses=GLASSES[rng.integers(len(GLASSES))] if rng.random() < 0.2 else None,
            glasses_color=random_paint(rng, 0.6) * rng.choice([0.1, 1.0]),
            tint=float(rng.choice([0.0, 0.03, 0.08, 0.55], p=(0.4, 0.3, 0.2, 0.1))),
            earrings=_at_times(rng, 0.18, 0.12, 0.45),
            earring_color=random_paint(rng, 0.6),
        ),
        shape=shape,
        style=style,
        seed=int(rng.integers(1 << 30)),
        expression=_resting_face(rng),
    )
    return _illustrated(look, rng) if drawn and rng.random() < 0.45 else look


def _teeth(rng: np.random.Generator, drawn: float) -> TeethLook:
    plain = drawn * rng.random()
    return TeethLook(
        color=linear(rng.uniform(205, 244) * np.array([1, rng.uniform(0.945, 0.99), rng.uniform(0.83, 0.965)])),
        gums=linear(
            np.array([rng.uniform(165, 205), rng.uniform(78, 105), rng.uniform(80, 108)]) * rng.uniform(0.7, 1)
        ),
        tongue=linear(
            np.array([rng.uniform(185, 220), rng.uniform(92, 122), rng.uniform(96, 126)]) * rng.uniform(0.8, 1)
        ),
        contrast=rng.uniform(0.3, 1.0) * (1 - plain),
        uneven=rng.uniform(0, 0.8) ** 2 * (1 - plain),
        crooked=rng.uniform(0, 0.045) * (1 - plain),
        missing=int(rng.integers(6, 12)) if rng.random() < 0.03 else -1,
        wet=rng.uniform(0.25, 0.75) * (1 - 0.6 * plain),
    )


def _resting_face(rng: np.random.Generator) -> dict[str, float]:
    return {
        "browInnerUp": max(0.0, rng.normal(0, 0.2)),
        "browDown": max(0.0, rng.normal(0, 0.25)),
        "browOuterUp": max(0.0, rng.normal(0, 0.12)),
        "eyeSquint": max(0.0, rng.normal(0, 0.2)),
        "eyeWide": max(0.0, rng.normal(-0.1, 0.2)),
        "cheekSquint": max(0.0, rng.normal(-0.05, 0.15)),
    }
