"""Phones and their mouth shapes."""

from __future__ import annotations

import pytest

from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.synthetic.visemes import PHONE_TO_VISEME, VISEMES, phone_visemes


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("oʊ", ("mid_rounded", "near_close_rounded")),
        ("ˈɑː", ("open",)),
        ("t͡ʃ", ("palatoalveolar",)),
        ("pʰ", ("closed", )),
        ("y", ("close_rounded",)),
        ("õ", ("mid_rounded",)),
        ("ꜷ", ("schwa",)),
        ("ǂ", ("neutral",)),
    ],
)  # fmt: skip
def test_ipa_is_read_without_its_marks(phone: str, expected: tuple[str, ...]) -> None:
    assert phone_visemes(phone, arpabet=False) == expected


def test_arpabet_has_its_own_y_and_every_phone_a_known_viseme() -> None:
    assert phone_visemes("y", arpabet=True) == ("palatal",)
    assert phone_visemes("ay1", arpabet=True) == ("open", "near_close")
    assert {viseme for visemes in PHONE_TO_VISEME.values() for viseme in visemes} <= set(VISEMES)
    assert {channel for weights in VISEMES.values() for channel in weights} <= set(CHANNELS)
