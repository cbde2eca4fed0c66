"""The metrics of networks through an entry: with small or untrained networks in place of the published weights."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill
from media_factory import tone, write_sound, write_video
from safetensors.torch import save_file
from score_factory import Finder, face_points, texture
from syncnet_factory import FRAMES as WINDOW
from syncnet_factory import TINY, tiny_syncnet

from musetalk.errors import WeightsError
from musetalk.evaluation.catalogue import METRICS
from musetalk.evaluation.collect import Collector
from musetalk.evaluation.evidence import Entry
from musetalk.evaluation.lse.network import LseSyncNet
from musetalk.evaluation.perceptual.arcface import ArcFace
from musetalk.evaluation.perceptual.inception import FidInception
from musetalk.evaluation.perceptual.lpips import Lpips
from musetalk.evaluation.perceptual.metrics import PERCEPTUAL, csim, fid, lpips
from musetalk.evaluation.sync_metrics import SYNC, lse, lse_of_frames, offset_curves, syncnet
from musetalk.evaluation.sync_offset import SyncOffset
from musetalk.evaluation.track import measure_track
from musetalk.evaluation.values import NotMeasurable
from musetalk.evaluation.weights_needed import (
    ALEXNET,
    ARCFACE,
    INCEPTION,
    LPIPS_LINEAR,
    LSE_SYNCNET,
    SFACE,
    SYNCNET_CONFIG,
    SYNCNET_WEIGHTS,
)
from musetalk.face import s3fd
from musetalk.weights import files_for

FRAMES, SHORT = 30, 6
POINTS = face_points(5, at=(100.0, 50.0))


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    frames = [np.roll(texture(), k, axis=0) for k in range(FRAMES)]
    write_video(folder / "a.mp4", frames, options={"crf": "10"})
    write_video(folder / "b.mp4", [255 - frame for frame in frames], options={"crf": "10"})
    write_video(folder / "short.mp4", frames[:SHORT], options={"crf": "10"})
    write_video(folder / "short_b.mp4", [255 - frame for frame in frames[:SHORT]], options={"crf": "10"})
    write_sound(folder / "a.wav", tone(FRAMES / 25))
    return folder


def collected(media, models_dir, video="a.mp4", other="b.mp4", **more):
    entry = Entry("a", media / video, reference=media / other, audio=media / "a.wav", **more)
    return Collector(Finder([POINTS] * 2 * FRAMES), models_dir).collect(entry)


def put(models_dir: Path, name: Path, weights: dict[str, torch.Tensor]) -> None:
    path = models_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path)


def test_every_file_that_is_lacking_is_named_with_the_command(media, tmp_path):
    evidence = collected(media, tmp_path)
    lacking = {metric.name: metric.measure(evidence).reason for metric in (*SYNC, *PERCEPTUAL)}
    for name, files in {
        "lse_d": (LSE_SYNCNET, s3fd.WEIGHTS),
        "lse_c": (LSE_SYNCNET, s3fd.WEIGHTS),
        "lse_d_frames": (LSE_SYNCNET,),
        "fid": (INCEPTION,),
        "csim": (SFACE, ARCFACE),
        "lpips": (ALEXNET, LPIPS_LINEAR),
    }.items():
        for file in files:
            assert str(tmp_path / file) in lacking[name]
        assert "scripts.download_weights --parts evaluation" in lacking[name]
    assert str(tmp_path / SYNCNET_CONFIG) in lacking["syncnet_offset"]
    assert "download" not in lacking["syncnet_confidence"]
    assert offset_curves(evidence) == {}
    assert {metric.name for metric in (*SYNC, *PERCEPTUAL)} <= {metric.name for metric in METRICS}


def test_the_download_fetches_what_is_lacking():
    fetched = {file.path for file in files_for(["evaluation"])}
    assert fetched == {file.as_posix() for file in (LSE_SYNCNET, s3fd.WEIGHTS, INCEPTION, SFACE, ALEXNET, LPIPS_LINEAR)}


def test_lse_of_whole_frames_through_an_entry(media, tmp_path):
    put(tmp_path, LSE_SYNCNET, fill(LseSyncNet(), 1.4).state_dict())
    evidence = collected(media, tmp_path)
    found = lse_of_frames(evidence)
    assert found.windows == FRAMES - 5 and lse_of_frames(evidence) is found
    curves = offset_curves(evidence)
    assert curves["offsets"].tolist() == list(range(-15, 16))
    assert curves["offsets"][np.argmin(curves["lse_frames_by_offset"])] == found.offset
    with pytest.raises(NotMeasurable, match="s3fd"):
        lse(evidence)


def test_a_short_video_has_no_face_track(media, tmp_path, monkeypatch):
    put(tmp_path, LSE_SYNCNET, fill(LseSyncNet(), 1.4).state_dict())
    put(tmp_path, s3fd.WEIGHTS, {})

    class Detector:
        def __init__(self, weights, device):
            pass

        def candidates(self, frames):
            return (np.array([[5.0, 5, 45, 45, 0.99]]) for _ in frames)

    monkeypatch.setattr(s3fd, "S3FDDetector", Detector)
    with pytest.raises(NotMeasurable, match="more than 100 frames"):
        lse(collected(media, tmp_path))


def test_the_project_s_syncnet(media, tmp_path):
    network = fill(tiny_syncnet(), 1.4)
    (tmp_path / SYNCNET_CONFIG).parent.mkdir(parents=True)
    (tmp_path / SYNCNET_CONFIG).write_text(json.dumps(TINY))
    save_file(network.state_dict(), tmp_path / SYNCNET_WEIGHTS)
    evidence = collected(media, tmp_path)
    found = syncnet(evidence)
    values = {metric.name: metric.measure(evidence) for metric in SYNC}
    assert values["syncnet_offset"] == -found.offset
    assert values["syncnet_confidence"] == pytest.approx(found.confidence)
    curves = offset_curves(evidence)
    known = np.where(np.isfinite(curves["syncnet_by_offset"]), curves["syncnet_by_offset"], -2)
    assert curves["offsets"][np.argmax(known)] == -found.offset


def test_the_project_s_syncnet_looks_at_every_window(media, tmp_path, monkeypatch):
    """Faces are read as they are asked for: the same ones as when all are kept."""
    (tmp_path / SYNCNET_CONFIG).parent.mkdir(parents=True)
    (tmp_path / SYNCNET_CONFIG).write_text(json.dumps(TINY))
    save_file(fill(tiny_syncnet(), 1.4).state_dict(), tmp_path / SYNCNET_WEIGHTS)
    evidence = collected(media, tmp_path)
    seen = {}

    def watch(network, has_face, face_at, samples, *, starts):
        seen.update({start: [face_at(start + k) for k in range(WINDOW)] for start in starts})
        return SyncOffset(0, 0.0, np.zeros(31))

    monkeypatch.setattr("musetalk.evaluation.sync_metrics.clip_offset", watch)
    syncnet(evidence)
    assert list(seen) == list(range(len(evidence.generated.landmarks) - WINDOW + 1))
    for start in list(seen)[:-1]:
        for mine, next_one in zip(seen[start][1:], seen[start + 1], strict=False):
            assert np.array_equal(mine, next_one)
    assert not np.array_equal(seen[0][0], seen[WINDOW][0])


def test_the_project_s_syncnet_is_for_25_fps(media, tmp_path):
    (tmp_path / SYNCNET_CONFIG).parent.mkdir(parents=True)
    (tmp_path / SYNCNET_CONFIG).write_text(json.dumps(TINY))
    save_file(fill(tiny_syncnet(), 1.4).state_dict(), tmp_path / SYNCNET_WEIGHTS)
    evidence = collected(media, tmp_path)
    evidence.generated = measure_track(media / "a.mp4", Finder([POINTS] * 100), Fraction(30))
    with pytest.raises(NotMeasurable, match="25 fps"):
        syncnet(evidence)


@pytest.fixture(scope="module")
def perceptual_models(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    put(models, INCEPTION, fill(FidInception(), 1.4).state_dict())
    put(models, ARCFACE, fill(ArcFace((1, 1, 1, 1)), 1.4).state_dict())
    weights = {
        key: value.abs() if key.startswith("lin") else value for key, value in fill(Lpips(), 1.4).state_dict().items()
    }
    put(models, ALEXNET, {key: value for key, value in weights.items() if key.startswith("features.")})
    put(models, LPIPS_LINEAR, {key: value for key, value in weights.items() if key.startswith("lin")})
    return models


def test_a_video_against_itself(media, perceptual_models):
    same = collected(media, perceptual_models, "short.mp4", "short.mp4")
    assert fid(same) == pytest.approx(0, abs=1e-3)
    assert csim(same) == pytest.approx(1)
    assert lpips(same) == pytest.approx(0, abs=1e-9)
    assert same.remarks == ["CSIM is by ArcFace, against the reference"]


def test_a_video_against_another(media, perceptual_models):
    other = collected(media, perceptual_models, "short.mp4", "short_b.mp4")
    assert fid(other) > 0.1
    assert csim(other) < 0.99
    assert lpips(other) > 0.01


def test_csim_prefers_the_source(media, perceptual_models):
    both = collected(media, perceptual_models, "short.mp4", "short_b.mp4", source=media / "short.mp4")
    assert csim(both) == pytest.approx(1) and csim(both) == pytest.approx(1)
    assert both.remarks == ["CSIM is by ArcFace, against the source"]


def test_wrong_weights_are_an_error(media, tmp_path):
    put(tmp_path, INCEPTION, {"a": torch.zeros(1)})
    with pytest.raises(WeightsError, match="wrong shape"):
        fid(collected(media, tmp_path))
