"""Half an hour of a stream with all that can happen to sound, in time that does not pass."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from avatar_factory import HEIGHT, WIDTH, knowing, mini_model, write_source
from streaming_factory import FakeClock

from musetalk.avatar.avatar import Avatar
from musetalk.media.audio_file import read_audio
from musetalk.media.pcm import open_pcm
from musetalk.media.pcm_format import PcmFormat
from musetalk.media.stream_output import StreamOutput
from musetalk.pipeline.settings import DubSettings
from musetalk.streaming.stream import build_engine
from musetalk.streaming.stream_frame import Kind

SPEECH = Path(__file__).parent.parent.parent / "assets" / "demo" / "speech.wav"
FPS = Fraction(25)
RATE = 8000
BLOCK = RATE // 25
MINUTES = 30


def arriving(ticks):
    """Blocks of 40 ms at 8 kHz, or None: speech, silence, stalls, clicks, clipped speech, noise; 20 s of each."""
    rng = np.random.default_rng(0)
    speech = read_audio(SPEECH, RATE)
    for tick in range(ticks):
        what = tick // 500 % 6
        start = tick * BLOCK % (len(speech) - BLOCK)
        block = speech[start : start + BLOCK]
        if what == 1:
            block = np.zeros(BLOCK, np.float32)
        elif what == 2 and tick % 100 < 60:
            yield None
            continue
        elif what == 3:
            block = np.zeros(BLOCK, np.float32)
            block[0] = 1.0
        elif what == 4:
            block = np.clip(block * 30, -1, 1)
        elif what == 5:
            block = rng.normal(0, 0.003, BLOCK).astype(np.float32)
        yield block


def packets_of(path, kind):
    """(number of packets, end of the last one in seconds) of a stream of a file."""
    count, end = 0, 0
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        for packet in container.demux(stream):
            if packet.size:
                count += 1
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return count, end


@pytest.mark.slow
def test_half_an_hour(tmp_path):
    model = knowing(mini_model(tmp_path / "models"), 7)
    source = write_source(tmp_path / "source", 7)
    ticks = MINUTES * 60 * 25
    clock = FakeClock()
    process = psutil.Process()
    memory, buffered, sound_in, samples, frames = [], [], 0, 0, 0
    kinds = {kind: 0 for kind in Kind}
    target = tmp_path / "out.ts"
    with (
        Avatar.prepare(model, source, tmp_path / "anna", DubSettings()) as avatar,
        StreamOutput(target, WIDTH, HEIGHT, FPS) as out,
        open_pcm(arriving(ticks), PcmFormat(rate=RATE)) as sound,
    ):
        engine = build_engine(avatar, None, True, clock)
        for tick in range(ticks):
            block = next(sound)
            if block is not None:
                sound_in += len(block)
                engine.push(block)
            while engine.listen() or engine.generate():
                pass
            while (frame := engine.frame()) is not None:
                assert frame.index == frames and frame.time == frames / FPS
                out.write_frame(frame.image)
                out.write_sound(frame.sound)
                frames += 1
                samples += len(frame.sound)
                assert samples == frames * 640  # sound and picture: not one sample of drift
                kinds[frame.kind] += 1
            clock.now = 100.0 + (tick + 1) / 25
            if tick % (60 * 25) == 0:
                gc.collect()
                memory.append(process.memory_info().rss)
                buffered.append(engine.buffered)
    assert ticks - 2 <= frames <= ticks
    assert kinds[Kind.REPEATED] == 0 and kinds[Kind.SPEECH] > ticks / 4 and kinds[Kind.IDLE] > ticks / 4
    assert max(buffered) < 1.0  # neither drift nor a growing queue
    print([round(value / 1e6) for value in memory])
    assert memory[-1] - memory[5] < 20e6
    (count, video_end), (_, audio_end) = packets_of(target, "video"), packets_of(target, "audio")
    assert count == frames
    assert abs(video_end - audio_end) <= 1 / FPS
