"""What the user of a live stream is told."""

from __future__ import annotations

from fractions import Fraction

from musetalk.streaming.options import advice
from musetalk.streaming.stream_frame import StreamStatistics


def test_many_late_faces_are_worth_a_longer_delay() -> None:
    few, many = (StreamStatistics(frames=500, speech=475, repeated=repeated) for repeated in (9, 109))
    assert advice(few, Fraction(6, 25)) is None
    assert advice(StreamStatistics(), Fraction(6, 25)) is None
    assert advice(many, Fraction(6, 25)) == "more faces come in time with a longer --delay (now 0.24)"
