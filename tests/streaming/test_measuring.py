"""That the measurements count what they say; how fast anything is, is nothing for a test."""

from fractions import Fraction

import numpy as np
from avatar_factory import HEIGHT, WIDTH, knowing, mini_model, write_source

from musetalk.avatar.avatar import Avatar
from musetalk.media.stream_output import StreamOutput
from musetalk.pipeline.settings import DubSettings
from musetalk.streaming.measuring import measure_latency, measure_throughput


def test_frames_are_counted(tmp_path):
    model = knowing(mini_model(tmp_path / "models"), 3)
    source = write_source(tmp_path / "source", 3)
    noise = np.random.default_rng(0).normal(0, 0.2, 8000).astype(np.float32)
    with Avatar.prepare(model, source, tmp_path / "anna", DubSettings()) as avatar:
        output = StreamOutput(tmp_path / "out.mp4", WIDTH, HEIGHT, Fraction(25))
        done = measure_latency(avatar, noise, 1.0, output)
        assert done.statistics.frames >= 25 and output.encoded == done.statistics.frames
        assert done.statistics.speech == 25
        made = measure_throughput(avatar, noise, 3, 1.0)
        assert made.frames == [25, 25, 25] and made.faces_per_pass >= 1 and made.fps > 0
