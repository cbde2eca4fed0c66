"""The dataset: a number always gives the same sample, and damaged clips among good ones stop nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_factory import StepEncoder, shown_clip, write_clip, write_clips
from torch.utils.data import DataLoader

from musetalk.errors import InputError
from musetalk.synthetic.mouth_channels import SPREAD
from musetalk.training.clip_meta import write_list
from musetalk.training.dataset import ClipDataset, open_dataset
from musetalk.training.loader import Share, batches
from musetalk.training.sample import DYNAMIC_MARGIN, SampleSettings

SETTINGS = SampleSettings(image_size=32, padding_pixel_mouth=2, crop_type=DYNAMIC_MARGIN, ref_dropout_rate=0.2)
SHORT = replace(SETTINGS, n_sample_frames=3)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips"), 5, frames=40)


def dataset(*lists: Path, settings: SampleSettings = SHORT, weights: list[float] | None = None) -> ClipDataset:
    given = list(zip(lists, weights or [1.0] * len(lists), strict=True))
    return open_dataset(given, settings, lists[0].parent / "cache", StepEncoder())  # type: ignore[arg-type]


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_sample_alone_equals_the_sample_in_sequence(clips: Path) -> None:
    forward = dataset(clips)
    samples = [forward[number] for number in range(25)]
    backward = dataset(clips)
    for number in reversed(range(25)):
        assert equal(backward[number], samples[number])
    assert equal(dataset(clips)[17], samples[17])
    assert not equal(samples[0], samples[5])
    other = dataset(clips, settings=replace(SHORT, seed=1))
    assert sum(equal(other[number], samples[number]) for number in range(25)) == 0


def test_every_clip_comes_once_an_epoch_and_is_named(clips: Path) -> None:
    data = dataset(clips, settings=SETTINGS)
    assert len(data) == 5
    for epoch in range(3):
        samples = [data[number] for number in range(epoch * 5, epoch * 5 + 5)]
        assert {sample["clip"] for sample in samples} == set(range(5))
        for sample in samples:
            assert data.name(sample["clip"]).stem == f"clip{shown_clip(sample['target'])}"


def test_workers_and_processes_and_resuming_change_nothing(clips: Path) -> None:
    single = batches(dataset(clips), Share(0, 1, 4), 0, 0, False)
    expected = [next(single) for _ in range(3)]
    data = dataset(clips)
    data.fixed(2)  # opens clips, which must not travel to the workers
    with_workers = batches(data, Share(0, 1, 4), 0, 2, False)
    processes = [batches(data, Share(rank, 2, 2), 0, 0, False) for rank in (0, 1)]
    resumed = batches(dataset(clips), Share(0, 1, 4), 8, 0, False)
    for batch in expected:
        loaded, parts = next(with_workers), [next(process) for process in processes]
        for name, value in batch.items():
            assert torch.equal(loaded[name], value)
            assert torch.equal(torch.cat([part[name] for part in parts]), value)
    assert all(torch.equal(value, expected[2][name]) for name, value in next(resumed).items())


def test_batches_have_the_shapes_that_the_tasks_take(clips: Path) -> None:
    batch = next(iter(DataLoader(dataset(clips), batch_size=2, sampler=range(4))))
    assert batch["target"].shape == batch["reference"].shape == batch["mask_source"].shape == (2, 3, 32, 32, 3)
    assert batch["windows"].shape == (2, 3, 20, 3) and batch["windows"].dtype == torch.float16
    assert batch["mouth_box"].shape == (2, 3, 4) and batch["mouth_box"].dtype == torch.int32
    assert batch["mel"].shape == (2, 80, 10) and batch["frames"].shape == (2, 3)
    assert batch["clip"].shape == (2,)


def test_lists_are_drawn_from_by_weight(clips: Path, tmp_path: Path) -> None:
    other = write_clips(tmp_path, 2, frames=40, first=10)
    data = dataset(clips, other, settings=SETTINGS, weights=[1.0, 3.0])
    seen = Counter(shown_clip(data[number]["target"]) >= 10 for number in range(400))
    assert 260 < seen[True] < 340
    assert len(data) == 7


def test_fixed_samples_are_always_the_same_and_of_different_clips(clips: Path) -> None:
    first, second = dataset(clips), dataset(clips)
    second[100]
    for a, b in zip(first.fixed(5), second.fixed(5), strict=True):
        assert equal(a, b)
    assert len({sample["clip"] for sample in first.fixed(5)}) == 5


def damaged_clips(folder: Path) -> Path:
    """Eight clips: the regions of 1 are no regions, those of 2 are cut short, those of 3 have a damaged picture, all of
    them, 4 has regions of another clip, 5 and 6 and 7 and 0 are good."""
    clips = write_clips(folder, 8, frames=40)
    regions = [folder / f"clip{index}.regions" for index in range(8)]
    regions[1].write_bytes(b"nothing")
    regions[2].write_bytes(regions[2].read_bytes()[:-1000])
    data = regions[3].read_bytes()
    regions[3].write_bytes(data[:3000] + bytes(len(data) - 3000))
    write_clip(folder / "short", "other", 20)
    (folder / "short" / "other.regions").replace(regions[4])
    return clips


def test_damaged_clips_are_replaced_counted_and_named_once(tmp_path: Path) -> None:
    data = dataset(damaged_clips(tmp_path))
    assert data.warnings() == [] and data.damaged == 0
    samples = [data[number] for number in range(16)]
    assert {shown_clip(sample["target"]) for sample in samples} == {0, 5, 6, 7}
    warnings = data.warnings()
    assert data.damaged == len(warnings) == 4
    for index in (1, 2, 3, 4):
        assert sum(f"clip{index}.json" in line and f"clip{index}.regions" in line for line in warnings) == 1
    for number in range(16, 32):
        data[number]
    assert data.warnings() == [] and data.damaged == 4
    again = dataset(tmp_path / "train.txt")
    for number in reversed(range(16)):
        assert equal(again[number], samples[number])


def test_what_workers_find_damaged_is_known_here(tmp_path: Path) -> None:
    data = dataset(damaged_clips(tmp_path))
    loader = batches(data, Share(0, 1, 8), 0, 1, False)
    next(loader)
    assert data.damaged == 4
    assert {line.split(" ")[1].split("/")[-1] for line in data.warnings()} == {f"clip{i}.json" for i in (1, 2, 3, 4)}


def test_clips_that_give_no_samples_are_left_out_with_the_reason(tmp_path: Path) -> None:
    good = write_clips(tmp_path, 1, frames=40).parent / "clip0.json"
    clips = [
        good,
        write_clip(tmp_path, "short", 29),
        write_clip(tmp_path, "faceless", 40, no_face=[i for i in range(40) if i % 3 == 0]),
        write_clip(tmp_path, "dropped", 40, isvalid=False, dropped="several people"),
        write_clip(tmp_path, "bare", 40, regions_path=None),
        write_clip(tmp_path, "silent", 40),
        tmp_path / "gone.json",
    ]
    (tmp_path / "silent.wav").write_bytes(b"RIFF")
    write_list(tmp_path / "all.txt", clips)
    (tmp_path / "all.txt").write_text(
        "# a comment\n\n" + (tmp_path / "all.txt").read_text() + f"{tmp_path}/gone.json\n"
    )
    data = dataset(tmp_path / "all.txt")
    assert len(data) == 1 and data.name(0) == good
    lines = data.warnings()
    expected = {
        "short": "fewer than 30 frames",
        "faceless": "no 3 frames in a row with a face",
        "dropped": "several people",
        "bare": "no face regions",
        "silent": "silent.wav",
    }
    for name, reason in expected.items():
        assert sum(f"{name}.json" in line and reason in line for line in lines) == 1
    assert sum("gone.json" in line and line.startswith("2 clips") for line in lines) == 1
    assert len(lines) == 6 and data.warnings() == []


def test_clips_without_true_mouths_are_left_out_where_these_are_asked_for(tmp_path: Path) -> None:
    mouths = np.random.default_rng(0).uniform(0, 1, (40, 13)).round(3).astype(np.float32)
    clips = [write_clip(tmp_path, "real", 40), write_clip(tmp_path, "rendered", 40, clip=1, mouths=mouths)]
    write_list(tmp_path / "all.txt", clips)
    assert "mouths" not in dataset(tmp_path / "all.txt")[0]
    data = dataset(tmp_path / "all.txt", settings=replace(SHORT, true_mouths=True))
    assert len(data) == 1 and data.name(0) == clips[1]
    assert any("real.json" in line and "no true mouths" in line for line in data.warnings())
    sample = data[0]
    assert sample["mouths"].dtype == np.float32
    np.testing.assert_allclose(sample["mouths"] * SPREAD, mouths[sample["frames"]], atol=1e-6)


def test_lists_without_any_usable_clip_are_an_error_that_tells_why(tmp_path: Path) -> None:
    write_list(tmp_path / "all.txt", [write_clip(tmp_path, "short", 12)])
    with pytest.raises(InputError, match="fewer than 30 frames"):
        dataset(tmp_path / "all.txt")


def test_when_every_clip_is_damaged_the_error_names_the_last(tmp_path: Path) -> None:
    clips = write_clips(tmp_path, 2, frames=40)
    data = dataset(clips)
    for regions in tmp_path.glob("*.regions"):
        regions.unlink()
    with pytest.raises(InputError, match=r"clip[01]\.regions"):
        data[0]


def test_only_what_is_missing_is_encoded(clips: Path, tmp_path: Path) -> None:
    encoder = StepEncoder()
    for calls in (5, 5):
        open_dataset([(clips, 1.0)], SHORT, tmp_path, encoder)  # type: ignore[arg-type]
        assert encoder.calls == calls


def test_without_an_encoder_there_are_no_windows(clips: Path, tmp_path: Path) -> None:
    sample = open_dataset([(clips, 1.0)], SHORT, tmp_path, None)[0]
    assert "windows" not in sample and sample["mel"].shape == (80, 10)
