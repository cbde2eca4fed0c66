"""Which frame shows what, in time that only the tests move."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from streaming_factory import (
    FPS,
    FRAME,
    IDLE_GREY,
    Faces,
    FakeClock,
    Frames,
    LevelWindows,
    LoudActivity,
    mouth,
    source_index,
    speech,
)

from musetalk.avatar.prepared import ping_pong_index
from musetalk.errors import UsageError
from musetalk.pipeline.compositing import Compositor
from musetalk.streaming.engine import SpeechEngine
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.sound_units import SoundUnits
from musetalk.streaming.stream_frame import Kind

DELAY = Fraction(16, 100)  # four frames
AT_ONCE = StreamSettings(delay=DELAY, blend_frames=0)
PUBLISHED = Compositor()


class Simulation:
    """An engine in fake time: sound comes, networks work and frames are taken when the test says so."""

    def __init__(self, settings=AT_ONCE, paced=True, seconds=0.0, frames=None, fps=FPS, compositor=PUBLISHED):
        self.clock = FakeClock()
        self.frames = frames or Frames(fps=fps)
        self.faces = Faces(self.clock, seconds)
        units = SoundUnits(LevelWindows(fps), LoudActivity(fps), fps)
        self.engine = SpeechEngine(self.frames, units, self.faces, settings, self.clock, paced, compositor)
        self.taken = []

    def work(self):
        while self.work_once():
            pass

    def work_once(self):
        listened = self.engine.listen()
        return self.engine.generate() or listened

    def take(self):
        """All frames that can be had now."""
        new = []
        while (frame := self.engine.frame()) is not None:
            new.append(frame)
        self.taken += new
        return new

    def run(self, ticks, sound=None):
        """Some frames of real time; `sound(k)` is what comes in the k-th."""
        new = []
        for tick in range(ticks):
            if sound is not None and (samples := sound(tick)) is not None:
                self.engine.push(samples)
            self.work()
            new += self.take()
            self.clock.now += 1 / 25 + 1e-9
        return new


class CountingCompositor(Compositor):
    """Counts the frames that it composes."""

    composed = 0

    def compose(self, source, face):
        type(self).composed += 1
        return super().compose(source, face)


def test_a_frame_at_rest_is_composed_once():
    simulation = Simulation(compositor=CountingCompositor(), frames=Frames(count=10))
    frames = simulation.run(60)
    assert len(frames) >= 50 and set(mouths(frames)) == {IDLE_GREY}
    assert CountingCompositor.composed == 10


def mouths(frames):
    return [mouth(frame.image) for frame in frames]


def kinds(frames):
    return "".join(frame.kind.value[0] for frame in frames)


def test_without_sound_the_avatar_rests_and_moves_on():
    simulation = Simulation()
    frames = simulation.run(25)
    assert kinds(frames) == "i" * 25 and set(mouths(frames)) == {IDLE_GREY}
    assert [source_index(frame.image) for frame in frames][:21] == [*range(10), *reversed(range(10)), 0]
    assert [frame.time for frame in frames] == [k / FPS for k in range(25)]
    assert not simulation.faces.batches
    assert all(len(frame.sound) == FRAME and not frame.sound.any() for frame in frames)


def test_an_utterance_is_spoken_whole_with_its_sound_after_the_delay():
    simulation = Simulation()
    simulation.run(5)
    levels = range(10, 100, 5)
    simulation.engine.push(speech(*levels))
    frames = simulation.run(40)
    spoken = [frame for frame in frames if frame.kind is Kind.SPEECH]
    assert mouths(spoken) == list(levels)
    np.testing.assert_array_equal(np.concatenate([frame.sound for frame in spoken]), speech(*levels))
    # Sound and picture of the same frame belong together, and frame 5 + delay is the first.
    assert spoken[0].index == 5 + 4 and [frame.index for frame in spoken] == list(range(9, 9 + len(levels)))
    assert kinds(frames).strip("i") == "s" * len(levels)


def test_a_live_microphone_has_a_constant_delay():
    simulation = Simulation()
    rng = np.random.default_rng(0)
    levels = [int(level) for level in rng.integers(1, 200, 100)]
    frames = simulation.run(100, lambda tick: speech(levels[tick]))
    spoken = [frame for frame in frames if frame.kind is Kind.SPEECH]
    assert mouths(spoken) == levels[: len(spoken)]
    assert len(spoken) >= 100 - 9
    # Its sound came in tick k, its look-ahead three ticks later, the frame four after that.
    assert {frame.index - k for k, frame in enumerate(spoken)} == {7}
    assert simulation.engine.statistics.repeated == 0
    timing = spoken[50].timing
    assert timing.arrived - timing.sounded == pytest.approx(3 / 25)
    assert timing.composed - timing.arrived == pytest.approx(4 / 25)


def test_uneven_sound_is_evened_out_within_the_delay():
    simulation = Simulation()
    levels = list(range(20, 80))
    frames = simulation.run(70, lambda tick: speech(*levels[tick : tick + 3]) if tick % 3 == 0 and tick < 60 else None)
    assert mouths(frame for frame in frames if frame.kind is Kind.SPEECH) == levels


def test_silence_within_the_sound_needs_no_network_but_keeps_its_time():
    simulation = Simulation()
    sound = speech(*[50] * 5, *[0] * 20, *[60] * 5)
    simulation.engine.push(sound)
    simulation.engine.flush()
    frames = simulation.run(50)
    shown = kinds(frames).strip("i")
    assert shown == "s" * 5 + "i" * 19 + "s" * 6
    assert sum(simulation.faces.batches) == 11
    first = next(frame.index for frame in frames if frame.kind is Kind.SPEECH)
    heard = np.concatenate([frame.sound for frame in frames[first : first + 30]])
    np.testing.assert_array_equal(heard, sound)


def test_speech_begins_and_ends_over_some_frames():
    simulation = Simulation(StreamSettings(delay=DELAY, blend_frames=4))
    simulation.engine.push(speech(*[0] * 4, *[250] * 12))
    simulation.engine.flush()
    frames = simulation.run(40)
    shown = mouths(frames)
    first, last = kinds(frames).index("s"), kinds(frames).rindex("s")
    # The frame before the voice shows a quarter of its own, silent face (grey 0).
    assert shown[first : first + 5] == [22, 140, 195, 250, 250]
    assert shown[last : last + 5] == [250, 195, 140, 85, IDLE_GREY]
    # The image around the face is never a mixture of two frames.
    assert all(source_index(frame.image) == ping_pong_index(frame.index, 10) for frame in frames)


def test_an_interruption_is_seen_in_the_next_frame():
    simulation = Simulation()
    simulation.engine.push(speech(*[50] * 100))
    before = simulation.run(20)
    assert kinds(before)[-1] == "s"
    simulation.engine.interrupt()
    after = simulation.run(10)
    assert kinds(after) == "i" * 10 and not any(frame.sound.any() for frame in after)
    assert after[0].index == before[-1].index + 1


def test_a_new_utterance_cuts_off_the_old_one():
    simulation = Simulation()
    simulation.engine.push(speech(*[50] * 100))
    simulation.run(20)
    simulation.engine.push(speech(*[80] * 6), interrupt=True)
    frames = simulation.run(30)
    assert 50 not in mouths(frames)
    assert mouths(frame for frame in frames if frame.kind is Kind.SPEECH) == [80] * 6
    assert kinds(frames).strip("i") == "s" * 6 and kinds(frames).index("s") == 4


def test_an_interruption_while_the_networks_work():
    simulation = Simulation()
    generate = simulation.faces.generate

    def interrupted(latents, windows, visible_from):
        simulation.engine.interrupt()
        return generate(latents, windows)

    simulation.faces.generate = interrupted
    simulation.engine.push(speech(*[50] * 20))
    assert 50 not in mouths(simulation.run(30))


def test_networks_that_are_too_slow_repeat_faces_and_keep_the_time():
    simulation = Simulation(seconds=0.07)  # of 0.04
    levels = [40 + k for k in range(100)]
    simulation.engine.push(speech(*levels))
    simulation.engine.flush()
    frames = []
    while len(frames) < 140:
        worked = simulation.work_once()
        frames += simulation.take()
        if not worked:
            simulation.clock.now += 0.005
    statistics = simulation.engine.statistics
    spoken = [frame for frame in frames if frame.kind is not Kind.IDLE]
    # All of the sound, in consecutive frames; the picture is never later than it, and seldom older than three frames.
    np.testing.assert_array_equal(np.concatenate([frame.sound for frame in spoken]), speech(*levels))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert 30 <= statistics.repeated <= 65 and statistics.speech == 100
    ages = [levels[k] - mouth(frame.image) for k, frame in enumerate(spoken) if mouth(frame.image) != IDLE_GREY]
    assert min(ages) == 0 and np.mean(ages) < 2
    assert sum(simulation.faces.batches) <= 100 - statistics.repeated + 2  # none is made that is not shown


def test_a_taker_that_is_late_gets_all_frames():
    simulation = Simulation()
    simulation.engine.push(speech(*range(10, 60)))
    simulation.engine.flush()
    simulation.work()
    simulation.run(10)
    simulation.clock.now += 0.6
    frames = simulation.take()
    assert len(frames) >= 15
    assert simulation.engine.statistics.behind == 0


def test_far_behind_the_schedule_begins_anew():
    simulation = Simulation()
    simulation.run(5)
    simulation.clock.now += 30
    assert len(simulation.take()) == 1
    assert simulation.engine.statistics.behind == 1
    assert len(simulation.run(4)) == 3


def test_sound_that_stops_coming_is_spoken_to_its_end():
    simulation = Simulation()
    levels = [60 + k for k in range(30)]
    frames = simulation.run(60, lambda tick: speech(levels[tick]) if tick < 30 else None)
    spoken = [frame for frame in frames if frame.kind is Kind.SPEECH]
    assert mouths(spoken) == levels
    assert kinds(frames).strip("i") == "s" * 30  # without a gap before the last ones
    assert kinds(frames)[-10:] == "i" * 10


def test_sound_that_goes_on_after_a_stall():
    simulation = Simulation()
    frames = simulation.run(120, lambda tick: None if 20 <= tick < 60 else speech(70))
    heard = np.concatenate([frame.sound for frame in frames])
    assert np.count_nonzero(heard) >= (120 - 40 - 10) * FRAME
    assert 20 <= kinds(frames).strip("i").count("i") <= 60


def test_frames_without_a_face_pass_through_and_keep_the_order():
    simulation = Simulation(frames=Frames(4, without_face=[1, 2]))
    simulation.engine.push(speech(*range(10, 30)))
    simulation.engine.flush()
    frames = simulation.run(40)
    spoken = [frame for frame in frames if frame.kind is not Kind.IDLE]
    assert kinds(spoken) == "s" * 20
    for level, frame in zip(range(10, 30), spoken, strict=True):
        index = source_index(frame.image)
        assert mouth(frame.image) == (100 + index if index in (1, 2) else level)
    assert sum(simulation.faces.batches) < 20


def test_not_in_real_time_frames_come_with_their_sound_alone():
    simulation = Simulation(paced=False)
    assert simulation.run(5) == []
    simulation.engine.push(speech(*range(10, 20)))
    first = simulation.run(1)
    assert mouths(first) == list(range(10, 18))[: len(first)] and len(first) >= 7
    simulation.engine.end()
    assert mouths(simulation.run(1)) == list(range(10 + len(first), 20))
    assert simulation.engine.over
    with pytest.raises(ValueError, match="ended"):
        simulation.engine.push(speech(1))


def test_in_real_time_the_end_is_the_end_of_the_sound():
    simulation = Simulation()
    simulation.engine.push(speech(*range(10, 20)))
    simulation.engine.end()
    frames = simulation.run(40)
    assert simulation.engine.over and kinds(frames) == "iiii" + "s" * 10


def test_all_sound_that_is_not_shown_yet_is_buffered():
    simulation = Simulation(paced=False)
    simulation.engine.push(speech(*[50] * 40))
    for _ in range(4):
        assert simulation.engine.buffered == pytest.approx(40 / 25)
        simulation.work_once()
    assert simulation.engine.buffered == pytest.approx(40 / 25)
    shown = len(simulation.take())
    assert shown > 0 and simulation.engine.buffered == pytest.approx((40 - shown) / 25)
    simulation.engine.interrupt()
    assert simulation.engine.buffered == 0


def test_much_sound_at_once_is_not_held_twice():
    simulation = Simulation(paced=False)
    simulation.engine.push(np.full(60 * 16000, 0.5, np.float32))
    simulation.work_once()
    simulation.work()
    assert len(simulation.engine._units) <= 100
    simulation.engine.end()
    assert len(simulation.run(100)) == 60 * 25
    assert simulation.engine.buffered == 0


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(12), Fraction(50)])
def test_sound_and_picture_share_one_timeline_at_any_rate(fps):
    simulation = Simulation(fps=fps, paced=False)
    sound = np.full(5 * 16000, 0.5, np.float32)
    for start in range(0, len(sound), 700):
        simulation.engine.push(sound[start : start + 700])
        simulation.run(1)
        if start % 21000 == 0:
            simulation.engine.flush()
            simulation.run(1)
    simulation.engine.end()
    simulation.run(10)
    ends = np.cumsum([len(frame.sound) for frame in simulation.taken])
    assert ends.tolist() == [int((frame.index + 1) * 16000 / fps) for frame in simulation.taken]
    heard = np.concatenate([frame.sound for frame in simulation.taken])
    assert np.count_nonzero(heard) == len(sound)


def test_settings_out_of_range_are_refused():
    for wrong in ({"batch_size": 0}, {"blend_frames": -1}, {"delay": Fraction(-1)}):
        with pytest.raises(UsageError):
            StreamSettings(**wrong)


def test_the_first_faces_are_practised():
    simulation = Simulation(seconds=0.05)
    simulation.engine.warm_up()
    assert simulation.faces.batches == [1, 1, 2, 3, 4]
    assert simulation.engine._times.predict(8) == pytest.approx(0.4)
    assert kinds(simulation.run(5)) == "iiiii"
