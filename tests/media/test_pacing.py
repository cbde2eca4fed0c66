from fractions import Fraction

from musetalk.media.pacing import Pacer


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_items_are_due_one_after_another():
    clock = FakeClock()
    pacer = Pacer(Fraction(25), clock)
    assert not pacer.started
    pacer.start()
    assert [pacer.due(item) for item in (0, 1, 25)] == [100.0, 100.04, 101.0]
    clock.now = 100.03
    assert abs(pacer.wait(1) - 0.01) < 1e-9 and pacer.wait(0) == 0


def test_no_drift_after_a_day():
    pacer = Pacer(Fraction(30000, 1001), FakeClock())
    pacer.start()
    frames = 24 * 3600 * 30000 // 1001
    assert abs(pacer.due(frames) - 100 - frames * 1001 / 30000) < 1e-6


def test_late_counts_whole_items():
    clock = FakeClock()
    pacer = Pacer(Fraction(25), clock)
    pacer.start()
    late = []
    for clock.now in (99.0, 100.0, 100.039, 100.041, 100.121):
        late.append(pacer.late(0))
    assert late == [0, 0, 0, 1, 3]


def test_asking_starts_and_starting_anew_goes_on_from_an_item():
    clock = FakeClock()
    pacer = Pacer(10, clock)
    assert pacer.due(5) == 100.5
    clock.now = 200.0
    pacer.start(5)
    assert pacer.due(5) == 200.0 and pacer.due(6) == 200.1
