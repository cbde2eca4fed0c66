import threading

import pytest

from musetalk.pipeline.stages import Channel, Stages, Stopped, channel_depth


def test_items_keep_their_order_through_nested_stages():
    with Stages() as stages:
        doubled = stages.run("double", (2 * i for i in stages.run("count", range(200), 4)), 4)
        assert list(doubled) == list(range(0, 400, 2))
    assert stages.times["count"].items == stages.times["double"].items == 200


def test_stages_run_in_threads_of_their_own():
    def names():
        for _ in range(3):
            yield threading.current_thread().name

    with Stages() as stages:
        assert threading.current_thread().name not in set(stages.run("names", names(), 2))


def test_an_error_of_an_early_stage_reaches_the_end():
    def failing():
        yield 1
        raise KeyError("first stage")

    with Stages() as stages:
        end = stages.run("late", (i for i in stages.run("early", failing(), 2)), 2)
        assert next(end) == 1
        with pytest.raises(KeyError, match="first stage"):
            next(end)


def test_leaving_ends_stages_that_wait_and_closes_their_iterators():
    closed, before = threading.Event(), set(threading.enumerate())

    def endless():
        try:
            i = 0
            while True:
                yield i
                i += 1
        finally:
            closed.set()

    with pytest.raises(KeyboardInterrupt), Stages() as stages:
        items = stages.run("late", (i for i in stages.run("early", endless(), 2)), 2)
        next(items)
        raise KeyboardInterrupt
    assert closed.is_set()
    assert set(threading.enumerate()) <= before


def test_a_stage_runs_ahead_by_its_depth_only():
    made = []
    enough = threading.Event()

    def counting():
        for i in range(100):
            made.append(i)
            if i == 4:
                enough.set()
            yield i

    with Stages() as stages:
        items = stages.run("count", counting(), 3)
        next(items)
        assert enough.wait(30)  # one taken, three in the channel, the fifth in hand
        assert len(made) == 5


def test_time_is_counted_once(monkeypatch):
    clock = {"now": 0.0}
    monkeypatch.setattr("musetalk.pipeline.stages.time.perf_counter", lambda: clock["now"])

    def work(items, seconds):
        for item in items:
            clock["now"] += seconds
            yield item

    stages = Stages()
    inner = stages.time("inner", work(range(4), 1.0))
    assert list(stages.time("outer", work(inner, 10.0))) == [0, 1, 2, 3]
    with stages.spend("write"):
        clock["now"] += 5.0
    times = {name: (stage.items, stage.seconds) for name, stage in stages.times.items()}
    assert times == {"inner": (4, 4.0), "outer": (4, 40.0), "write": (1, 5.0)}


def test_progress_is_told_by_stage():
    told = []
    with Stages(told.append) as stages:
        list(stages.run("a", range(3), 2))
    assert told == ["a"] * 3


def test_a_stopped_channel_refuses_both_sides():
    channel = Channel(1)
    channel.put(1)
    channel.stop()
    with pytest.raises(Stopped):
        channel.put(2)
    with pytest.raises(Stopped):
        channel.take()


def test_channels_are_bounded_in_bytes():
    assert channel_depth(512 * 512 * 3) == 32
    assert channel_depth(3840 * 2160 * 3) == 2
    assert channel_depth(1920 * 1080 * 3) == 8
