"""The loader's benchmark measures real clips: what it makes can be trained on."""

from __future__ import annotations

from pathlib import Path

import av

from musetalk.training.clip_meta import read_list, read_meta
from musetalk.training.loader_benchmark import benchmark_dataset, make_clips, time_decoding, time_loader
from musetalk.training.sample import SampleSettings


def test_the_clips_are_whole_and_give_samples_of_the_published_shape(tmp_path: Path) -> None:
    clips = make_clips(tmp_path, 2, seconds=2, side=128)
    metas = [read_meta(path) for path in read_list(clips)]
    assert len(metas) == 2
    with av.open(str(metas[0].mp4_path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == metas[0].frames == 50
    sample = benchmark_dataset(clips, tmp_path, SampleSettings(control_face_min_size=False))[0]
    assert sample["target"].shape == (1, 256, 256, 3) and sample["windows"].shape == (1, 50, 384)
    assert time_decoding(clips) > 0
    timed = time_loader(clips, tmp_path, frames=4, batch=2, workers=0, samples=4)
    assert (timed.frames, timed.workers) == (4, 0) and timed.samples_per_second > 0
