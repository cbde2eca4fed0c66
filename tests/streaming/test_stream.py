"""Streams as programs use them: with threads, with asyncio, several at once; tiny untrained networks."""

from __future__ import annotations

import asyncio
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from avatar_factory import knowing, mini_model, write_source
from streaming_factory import FRAME, Faces, Frames, LevelWindows, LoudActivity, mouth, speech

from musetalk.audio.streaming import StreamingFeatures
from musetalk.avatar.avatar import Avatar
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.settings import DubSettings
from musetalk.pipeline.speaking import speak
from musetalk.pipeline.stages import Stages
from musetalk.streaming.engine import SpeechEngine
from musetalk.streaming.settings import StreamSettings
from musetalk.streaming.sound_units import SoundUnits
from musetalk.streaming.stream import SpeechStream
from musetalk.streaming.stream_frame import Kind

FPS = Fraction(25)
AT_ONCE = StreamSettings(blend_frames=0)


class AlwaysActive(LoudActivity):
    def push(self, samples):
        return [True] * len(super().push(samples))


def stub_stream(faces=None, paced=False):
    units = SoundUnits(LevelWindows(), LoudActivity(), FPS)
    return SpeechStream(SpeechEngine(Frames(), units, faces or Faces(), AT_ONCE, time.monotonic, paced, Compositor()))


@pytest.fixture(scope="module")
def avatar(tmp_path_factory):
    folder = tmp_path_factory.mktemp("avatar")
    model = knowing(mini_model(folder / "models"), 5)
    source = write_source(folder / "source", 5)
    with Avatar.prepare(model, source, folder / "anna", DubSettings(batch_size=4)) as avatar:
        yield avatar


def noise(frames, seed=0):
    return np.random.default_rng(seed).normal(0, 0.2, frames * FRAME).astype(np.float32)


def test_frames_are_those_of_the_one_pipeline(avatar):
    """The same windows through `speak` and through a stream."""
    sound = noise(12)
    features = StreamingFeatures(avatar.model.streaming_encoder(), FPS)
    windows = features.push(sound) + features.finish()
    with Stages() as stages:
        located = stages.run("faces", avatar.states().locate(avatar.states().frames(), 12), 2)
        model = avatar.model
        expected = list(speak(avatar.states(), located, iter(windows), model.generator, model.compositor, stages, 4))
    features.reset()
    units = SoundUnits(features, AlwaysActive(), FPS)
    engine = SpeechEngine(avatar.frames, units, model.batcher, AT_ONCE, time.monotonic, False, model.compositor)
    with SpeechStream(engine) as stream:
        stream.push(sound)
        stream.end()
        frames = list(stream)
    assert [frame.kind for frame in frames] == [Kind.SPEECH] * 12
    # What is behind the end of the sound is silence here and nothing there: the windows of the last frames differ.
    for frame, other in list(zip(frames, expected, strict=True))[:-3]:
        assert np.abs(frame.image.astype(int) - other).max() <= 1


def test_the_real_parts_speak_and_rest(avatar):
    with avatar.stream(paced=False) as stream:
        stream.push(np.concatenate([np.zeros(20 * FRAME, np.float32), noise(10), np.zeros(30 * FRAME, np.float32)]))
        stream.end()
        frames = list(stream)
    kinds = "".join(frame.kind.value[0] for frame in frames)
    assert len(kinds) == 60 and kinds.startswith("i" * 18) and kinds.endswith("i" * 15)
    assert 10 <= kinds.count("s") <= 24
    assert [frame.time for frame in frames] == [k / FPS for k in range(60)]


def test_a_program_pushes_while_another_thread_takes_frames():
    levels = list(range(10, 200))
    with stub_stream() as stream:

        def give():
            for level in levels:
                stream.push(speech(level))
            stream.end()

        giver = threading.Thread(target=give)
        giver.start()
        assert [mouth(frame.image) for frame in stream] == levels
        giver.join()
        assert stream.statistics.speech == len(levels) and stream.statistics.repeated == 0


def test_in_real_time_frames_come_without_any_sound():
    with stub_stream(paced=True) as stream:
        frames = [stream.next_frame() for _ in range(3)]
        assert [frame.kind for frame in frames] == [Kind.IDLE] * 3
        stream.push(speech(*range(10, 15)))
        stream.end()
        assert [mouth(frame.image) for frame in stream if frame.kind is not Kind.IDLE][-1] == 14


def test_closing_ends_the_iteration_of_another_thread():
    stream = stub_stream()
    taken = []
    taker = threading.Thread(target=lambda: taken.extend(stream))
    taker.start()
    stream.close()
    taker.join(30)
    assert not taker.is_alive() and not taken
    assert not any(thread.name == "musetalk-stream" for thread in threading.enumerate())
    stream.close()


def test_an_error_of_the_networks_reaches_whoever_takes_frames():
    class Failing(Faces):
        def generate(self, latents, windows, visible_from):
            if windows.any():  # practice is silent
                raise RuntimeError("out of memory")
            return super().generate(latents, windows, visible_from)

    with stub_stream(Failing()) as stream:
        stream.push(speech(*[50] * 20))
        with pytest.raises(RuntimeError, match="out of memory"):
            list(stream)


def test_a_source_of_hours_waits_for_room():
    with stub_stream() as stream:
        given = []

        def give():
            for _ in range(200):
                stream.wait_for_room(1.0)
                stream.push(speech(50, 60, 70, 80, 90))
                given.append(stream.buffered)
            stream.end()

        giver = threading.Thread(target=give)
        giver.start()
        assert sum(1 for _ in stream) == 1000
        giver.join()
        assert max(given) < 1.3


def test_asyncio():
    levels = list(range(10, 60))

    async def talk():
        with stub_stream() as stream:

            async def give():
                for level in levels:
                    stream.push(speech(level))
                    await asyncio.sleep(0)
                stream.end()

            giver = asyncio.create_task(give())
            shown = [mouth(frame.image) async for frame in stream]
            await giver
            return shown

    assert asyncio.run(talk()) == levels


def test_a_frame_that_nobody_waited_for_is_not_lost():
    async def talk():
        with stub_stream() as stream:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)
            stream.push(speech(10, 11, 12))
            stream.end()
            return [mouth(frame.image) async for frame in stream]

    assert asyncio.run(talk()) == [10, 11, 12]


def test_many_streams_share_the_networks(avatar):
    sounds = [noise(30, seed) for seed in range(4)]
    counts = [0] * 4
    streams = [avatar.stream(AT_ONCE, paced=False) for _ in sounds]
    batcher = avatar.model.batcher
    passes, faces = batcher.passes, batcher.faces

    def take(number):
        for frame in streams[number]:
            counts[number] += frame.kind is Kind.SPEECH

    takers = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for taker in takers:
        taker.start()
    for stream, sound in zip(streams, sounds, strict=True):
        stream.push(sound)
        stream.end()
    for taker in takers:
        taker.join(120)
    for stream in streams:
        stream.close()
    assert counts == [30] * 4
    passes, faces = batcher.passes - passes, batcher.faces - faces
    assert faces >= 120 and passes < faces / 2
