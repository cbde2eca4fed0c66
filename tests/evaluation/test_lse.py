"""LSE-C and LSE-D against the published implementation's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from formula_weights import fill

from musetalk.errors import WeightsError
from musetalk.evaluation.lse.distance import FaceEmbedder, embed_sound, from_embeddings
from musetalk.evaluation.lse.mfcc import mfcc
from musetalk.evaluation.lse.network import FACE_SIZE, LseSyncNet, load_lse_syncnet

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "lse.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def network():
    return fill(LseSyncNet(), 1.4).eval()


def test_keys_and_shapes_are_the_published_ones(golden, network):
    manifest = {key: tuple(shape) for key, shape in json.loads(str(golden["manifest"])).items()}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == manifest


def test_mfcc(golden):
    found = mfcc(golden["audio"])
    assert found.shape == golden["mfcc"].shape
    np.testing.assert_allclose(found, golden["mfcc"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3)])
def test_mfcc_fills_up_the_last_frame(samples, rows):
    found = mfcc(np.arange(samples, dtype=np.int16))
    assert found.shape == (rows, 13) and np.isfinite(found).all()


def test_silence_has_finite_coefficients():
    assert np.isfinite(mfcc(np.zeros(16000, np.int16))).all()


def test_scores_equal_the_published_ones(golden, network):
    size = FACE_SIZE, FACE_SIZE
    faces = [cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in golden["images_small"]]
    embedder = FaceEmbedder(network, len(golden["audio"]) * 25 // 16000)
    for face in faces:
        embedder.push(face)
    seen = embedder.finish()
    heard = embed_sound(network, golden["audio"], len(seen))
    np.testing.assert_allclose(seen[:, ::16], golden["lip_features"], rtol=1e-4, atol=1e-4 * np.abs(seen).max())
    np.testing.assert_allclose(heard[:, ::16], golden["audio_features"], rtol=1e-4, atol=1e-4 * np.abs(heard).max())
    score = from_embeddings(seen, heard)
    values = json.loads(str(golden["values"]))
    np.testing.assert_allclose(score.by_shift, golden["mean_distance_by_shift"], rtol=1e-4)
    assert score.distance == pytest.approx(values["lse_d"], rel=1e-4)
    # A difference of two numbers near 5000: their tolerance, not its own.
    assert score.confidence == pytest.approx(values["lse_c"], abs=1e-4 * values["lse_d"])
    assert score.offset == values["offset"]
    assert score.windows == values["frames"] - 5


@pytest.mark.parametrize("late", [-15, -4, 0, 6, 15])
def test_a_shifted_sound_gives_that_offset(late):
    """Faces that come `late` frames after the sound that belongs to them."""
    common = np.random.default_rng(4).normal(size=(120, 64))
    score = from_embeddings(common[20 - late : 100 - late], common[20:100])
    assert score.offset == late
    assert score.distance < 5 < score.confidence + score.distance
    assert np.argmin(score.by_shift) == 15 - late


@pytest.mark.parametrize(("faces", "with_sound", "looks"), [(5, 9, 0), (8, 5, 0), (8, 7, 2), (7, 99, 2), (23, 40, 18)])
def test_looks_are_five_less_than_faces_with_sound(network, faces, with_sound, looks):
    embedder = FaceEmbedder(network, with_sound)
    for level in range(faces):
        embedder.push(np.full((FACE_SIZE, FACE_SIZE, 3), 10 * level, np.uint8))
    found = embedder.finish()
    assert found.shape == (looks, 1024)
    assert len(np.unique(found[:, 0])) == looks  # none is made twice


def test_weights_are_read_and_others_refused(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "syncnet_v2.model", _use_new_zipfile_serialization=False)
    loaded = load_lse_syncnet(tmp_path / "syncnet_v2.model")
    assert torch.equal(loaded.netfclip[3].weight, network.netfclip[3].weight)
    with pytest.raises(WeightsError, match="no such file"):
        load_lse_syncnet(tmp_path / "missing.model")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.model")
    with pytest.raises(WeightsError, match="wrong shape"):
        load_lse_syncnet(tmp_path / "other.model")
