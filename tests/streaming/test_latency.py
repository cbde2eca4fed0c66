from musetalk.streaming.latency import Histogram, Latency
from musetalk.streaming.stream_frame import FrameTiming


def test_percentiles_are_those_of_the_durations():
    histogram = Histogram()
    assert histogram.percentile(50) == 0
    for milliseconds in range(1, 101):
        histogram.add(milliseconds / 1000)
    assert [histogram.percentile(p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert len(histogram) == 100
    histogram.add(3600.0)
    assert histogram.percentile(100) == 10_000


def test_parts_add_up_to_the_whole():
    latency = Latency()
    latency.add(FrameTiming(sounded=1.0, arrived=1.1, heard=1.11, generated=1.2, taken=1.25, composed=1.255), 1.263)
    found = {name: part.percentile(50) for name, part in latency.parts.items()}
    assert found == {
        "look-ahead": 100,
        "features": 10,
        "network": 90,
        "waiting": 50,
        "blending": 5,
        "output": 8,
        "beyond look-ahead": 163,
        "in all": 263,
    }
    assert "p95" in latency.table() and "beyond look-ahead" in latency.table()
