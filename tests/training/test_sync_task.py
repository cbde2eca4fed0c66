from __future__ import annotations

import wave
from functools import partial
from pathlib import Path
from typing import Any

import clip_factory
import numpy as np
import pytest
import torch
from clip_factory import shown_frames, write_clip, write_clips
from formula_weights import fill
from syncnet_factory import COLUMNS, FRAMES, SIDE, TINY, tiny_syncnet

from musetalk.audio.mel import mel_window_start, sync_mel_slice
from musetalk.errors import ConfigError, WeightsError
from musetalk.models.syncnet import load_syncnet
from musetalk.models.syncnet_config import read_syncnet_settings
from musetalk.schema import read_settings
from musetalk.training.audio_store import open_samples
from musetalk.training.clip_meta import read_meta, write_list
from musetalk.training.clip_sync import load_sync_check, score_clip
from musetalk.training.crops import clip_boxes
from musetalk.training.dataset import ClipDataset, open_dataset
from musetalk.training.log import read_rows
from musetalk.training.sample import SampleSettings
from musetalk.training.sync_pairs import draw_pair, wrong_start
from musetalk.training.sync_task import SyncFile, decisions, pair_losses
from musetalk.training.tasks import train

SMOKE = Path("configs/training/smoke/syncnet.yaml")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, 4, frames=80)
    write_list(folder / "val.txt", [write_clip(folder, "held_out", 80, 9)])
    return folder


@pytest.fixture
def pairs(data: Path) -> ClipDataset:
    settings = SampleSettings(n_sample_frames=FRAMES, image_size=SIDE, min_face_size=60, use_twins=False)
    draw = partial(draw_pair, min_shift=3)
    return open_dataset([(data / "train.txt", 1.0)], settings, data / "features", None, draw)


@pytest.fixture
def tiny_files(tmp_path: Path) -> tuple[Path, Path]:
    """Settings and weights of a small SyncNet."""
    from omegaconf import OmegaConf

    (tmp_path / "tiny.yaml").write_text(str(OmegaConf.to_yaml(OmegaConf.create(TINY))))
    torch.save({"state_dict": fill(tiny_syncnet()).state_dict()}, tmp_path / "tiny.pt")
    return tmp_path / "tiny.yaml", tmp_path / "tiny.pt"


def overrides(data: Path, out: Path, **changes: Any) -> list[str]:
    values = {
        "train.output_dir": out,
        "train.samples.train_list": data / "train.txt",
        "train.samples.val_list": data / "val.txt",
    }
    return [f"{name}={value}" for name, value in (values | changes).items()]


def rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder / "test" / "losses.jsonl") if row["kind"] == kind]


def test_a_pair_is_a_window_with_its_sound_and_a_wrong_one(pairs: ClipDataset) -> None:
    for number in range(8):
        pair = pairs[number]
        assert pair["faces"].shape == (FRAMES, SIDE, SIDE, 3) and pair["faces"].dtype == np.uint8
        frames = shown_frames(pair["faces"])
        assert np.diff(frames).tolist() == [1] * (FRAMES - 1)
        samples = open_samples(read_meta(pairs.name(pair["clip"])).wav_path)
        expected = sync_mel_slice(samples, mel_window_start(frames[0]), COLUMNS)
        np.testing.assert_array_equal(pair["mel"], expected)
        assert pair["shifted_mel"].shape == (80, COLUMNS)
        assert not np.array_equal(pair["mel"], pair["shifted_mel"])


def test_pairs_are_a_function_of_their_number(pairs: ClipDataset) -> None:
    one, again = pairs[5], pairs[5]
    assert all(np.array_equal(one[name], again[name]) for name in ("faces", "mel", "shifted_mel"))


def test_wrong_starts_keep_their_distance_and_half_of_them_lie_near() -> None:
    rng = np.random.default_rng(1)
    found = [wrong_start(rng, 500, 1000, 3) for _ in range(400)]
    distances = np.abs(np.array(found) - 500)
    assert distances.min() == 3 and distances.max() > 300
    assert 0.4 < np.mean(distances <= 15) < 0.6


@pytest.mark.parametrize(("start", "count", "shift", "expected"), [(0, 3, 3, None), (0, 4, 3, 3), (9, 10, 9, 0)])
def test_wrong_starts_of_short_clips(start: int, count: int, shift: int, expected: int | None) -> None:
    assert wrong_start(np.random.default_rng(0), start, count, shift) == expected


def test_losses_by_hand() -> None:
    """Two clips: the first mouth has cosine ½ with its sound and 0 with the other's, the second the reverse."""
    half = 0.75**0.5
    seen = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    heard = torch.tensor([[0.5, half], [0.5, half]])
    losses = pair_losses(seen, heard, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1]))
    assert losses["aligned_loss"].item() == pytest.approx(-(np.log(0.5) + np.log(half)) / 2, rel=1e-5)
    assert losses["other_loss"].item() == pytest.approx(-(np.log(1 - half) + np.log(0.5)) / 2, rel=1e-4)
    assert losses["shifted_loss"].item() == pytest.approx(0, abs=2e-6)


def test_sounds_of_the_same_clip_are_not_other_ones() -> None:
    seen = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    losses = pair_losses(seen, seen.detach(), seen.detach(), torch.tensor([7, 7]))
    assert losses["other_loss"].item() == 0
    losses["other_loss"].backward()  # it is a loss like others, for every process has to go back through the network
    assert seen.grad is not None and seen.grad.abs().max() == 0


def test_decisions_by_hand() -> None:
    found = decisions(torch.tensor([0.9, 0.4, 0.6, 0.7]), torch.tensor([0.1, 0.3, 0.8, 0.5]))
    assert found["accuracy"] == pytest.approx((3 + 3) / 8)
    assert found["prefers_aligned"] == pytest.approx(3 / 4)
    assert found["aligned_cosine"] == pytest.approx(0.65)


def test_trains_measures_and_exports_what_the_sync_loss_takes(data: Path, tmp_path: Path) -> None:
    assert train("syncnet", SMOKE, overrides(data, tmp_path)) == 0
    steps = rows(tmp_path, "train")
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    assert {"aligned_loss", "shifted_loss", "other_loss", "loss"} < steps[0].keys()
    first = steps[0]
    assert first["loss"] == pytest.approx(
        first["aligned_loss"] + 0.5 * first["shifted_loss"] + 0.5 * first["other_loss"], rel=1e-3
    )
    measured = rows(tmp_path, "validation")[-1]
    assert {"accuracy", "prefers_aligned", "offset_accuracy", "offset_confidence"} < measured.keys()
    settings = read_syncnet_settings(tmp_path / "test" / "syncnet.yaml")
    assert settings.data == read_syncnet_settings(SMOKE).data
    network = load_syncnet(settings, settings.ckpt.inference_ckpt_path)
    assert network.shapes.num_frames == 5


def test_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    constant = {"train.solver.lr_scheduler": "constant"}
    train("syncnet", SMOKE, overrides(data, tmp_path / "whole", **constant))
    train("syncnet", SMOKE, overrides(data, tmp_path / "cut", **constant, **{"train.solver.max_train_steps": 2}))
    train("syncnet", SMOKE, overrides(data, tmp_path / "cut", **constant))
    whole, cut = ([row["loss"] for row in rows(tmp_path / name, "train")] for name in ("whole", "cut"))
    assert cut == whole and len(set(whole)) == 4


def test_begins_with_given_weights(data: Path, tmp_path: Path) -> None:
    train("syncnet", SMOKE, overrides(data, tmp_path / "one"))
    init = {"train.init": tmp_path / "one" / "test" / "syncnet.pt", "train.solver.max_train_steps": 1}
    train("syncnet", SMOKE, overrides(data, tmp_path / "two", **init, **{"train.solver.learning_rate": 1e-12}))
    first, second = (torch.load(tmp_path / name / "test" / "syncnet.pt") for name in ("one", "two"))
    for key, value in first["state_dict"].items():
        torch.testing.assert_close(second["state_dict"][key], value, atol=1e-6, rtol=1e-5)


def test_a_typo_and_weights_of_another_network_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.samples\.min_shfit, did you mean min_shift"):
        train("syncnet", SMOKE, overrides(data, tmp_path, **{"train.samples.min_shfit": 3}))
    torch.save({"state_dict": tiny_syncnet().state_dict()}, tmp_path / "tiny.pt")
    with pytest.raises(WeightsError, match=r"tiny\.pt: checkpoint of the wrong shape"):
        train("syncnet", SMOKE, overrides(data, tmp_path, **{"train.init": tmp_path / "tiny.pt"}))


@pytest.mark.parametrize("path", sorted(Path("configs/training").rglob("syncnet.yaml")), ids=str)
def test_every_file_of_the_repository_is_read(path: Path) -> None:
    config, warnings = read_settings(SyncFile, path)
    assert not warnings and config.model == read_syncnet_settings(path).model


def test_crops_of_a_clip_cover_its_faces(data: Path) -> None:
    meta = read_meta(write_clip(data / "gaps", "gaps", 20, 3, no_face=(4, 5)))
    for geometry in ("published", "inference"):
        boxes = clip_boxes(meta.landmarks, meta.detections, meta.video_size, geometry, 10)
        assert [frame for frame, box in enumerate(boxes) if box is None] == [4, 5]
        for box, landmarks in zip(boxes, meta.landmarks, strict=True):
            if box is not None:
                lips = landmarks[48:68]
                assert box[0] < lips[:, 0].min() and lips[:, 0].max() < box[2]
                assert box[1] < lips[:, 1].min() and lips[:, 1].max() < box[3]
    low, high = (
        clip_boxes(meta.landmarks, meta.detections, meta.video_size, "published", margin)[0] for margin in (10, 0)
    )
    assert low is not None and high is not None and low[3] - high[3] == 10


def test_a_clip_is_scored_from_its_files(data: Path, tiny_files: tuple[Path, Path]) -> None:
    meta = read_meta(data / "held_out.json")
    found = score_clip(fill(tiny_syncnet()).eval(), meta)
    assert found is not None and -15 <= found.offset <= 15
    score = load_sync_check(*tiny_files)(meta)
    assert (score.offset, score.confidence) == (found.offset, pytest.approx(found.confidence, rel=1e-4))


def test_a_clip_with_too_few_faces_counts_as_in_sync(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    meta = read_meta(write_clip(tmp_path, "short", FRAMES - 1, 3))
    assert score_clip(tiny_syncnet().eval(), meta) is None
    score = load_sync_check(*tiny_files)(meta)
    assert (score.offset, score.confidence) == (0, 0.0)


def openness(clip: int, frames: int) -> np.ndarray:
    """How far a mouth is open, 0 … 1, four times a frame."""
    noise = np.random.default_rng(clip).standard_normal(4 * frames)
    smooth = np.convolve(noise, np.hanning(24), "same")
    return 1 / (1 + np.exp(-1.5 * smooth / smooth.std()))


def write_talking_clip(folder: Path, clip: int, frames: int, late: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip whose dark mouth opens as far as its noise is loud, the noise `late` frames later."""
    curve = openness(clip, frames)

    def picture(frame: int, clip: int) -> np.ndarray:
        image = np.full((clip_factory.HEIGHT, clip_factory.WIDTH, 3), 150, np.uint8)
        image[150 : 154 + round(36 * curve[4 * frame]), 120:160] = 20
        return image

    def write_sound(path: Path, seconds: float, seed: int) -> Path:
        loudness = np.roll(np.repeat(curve, 160), 640 * late)
        samples = np.random.default_rng(seed).uniform(-1, 1, len(loudness)) * (0.02 + 0.9 * loudness**3)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((samples * 32767).astype("<i2").tobytes())
        return path

    monkeypatch.setattr(clip_factory, "picture", picture)
    monkeypatch.setattr(clip_factory, "write_sound", write_sound)
    return write_clip(folder, f"talking{clip}", frames, clip)


@pytest.mark.slow
def test_learns_which_sound_belongs_to_a_mouth_and_by_how_much_one_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, clips in (("train", range(8)), ("val", range(20, 24))):
        metas = [write_talking_clip(tmp_path, clip, 200, 0, monkeypatch) for clip in clips]
        write_list(tmp_path / f"{name}.txt", metas)
    changes = {
        "train.solver.max_train_steps": 130,
        "train.solver.gradient_checkpointing": False,
        "train.samples.train_bs": 16,
        "train.val_freq": 130,
        "train.checkpointing_steps": 130,
        "train.val_pairs": 64,
        "train.val_clips": 4,
        "train.log_every": 65,
    }
    train("syncnet", SMOKE, overrides(tmp_path, tmp_path, **changes))
    measured = rows(tmp_path, "validation")[-1]
    assert measured["prefers_aligned"] > 0.65 and measured["accuracy"] > 0.6  # some windows hardly move
    assert measured["offset_accuracy"] == 1.0
    settings = read_syncnet_settings(tmp_path / "test" / "syncnet.yaml")
    network = load_syncnet(settings, settings.ckpt.inference_ckpt_path)
    for late in (-6, 8):
        found = score_clip(network, read_meta(write_talking_clip(tmp_path, 30, 200, late, monkeypatch)))
        assert found is not None and abs(found.offset - late) <= 1
