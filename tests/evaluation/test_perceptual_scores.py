"""FID, LPIPS and CSIM. The golden numbers are those of pytorch-fid 0.3.0, lpips 0.1.4 and torchvision 0.29.1."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from formula_weights import fill, formula_tensor
from score_factory import face_points, texture

from musetalk.errors import WeightsError
from musetalk.evaluation.perceptual.arcface import ArcFace, depths_of, load_arcface
from musetalk.evaluation.perceptual.frechet import Features, cloud_of, frechet_distance
from musetalk.evaluation.perceptual.identity import TEMPLATE, align, cosine, five_points, load_recogniser
from musetalk.evaluation.perceptual.identity import similarity_to_template as similarity
from musetalk.evaluation.perceptual.inception import FidInception, load_inception
from musetalk.evaluation.perceptual.lpips import Lpips, distances, load_lpips

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "perceptual.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def values(golden):
    return json.loads(str(golden["values"]))


@pytest.fixture(scope="module")
def images(golden, values):
    height, width = values["size"]
    return [cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in golden["images_small"]]


@pytest.fixture(scope="module")
def inception(values):
    return fill(FidInception(), values["fid_gain"]).eval()


def shapes(manifest):
    return {key: tuple(shape) for key, shape in json.loads(str(manifest)).items()}


def test_inception_has_the_keys_of_the_published_file(golden, inception):
    published = {key: shape for key, shape in shapes(golden["inception_manifest"]).items() if not key.startswith("fc.")}
    assert {key: tuple(value.shape) for key, value in inception.state_dict().items()} == published


def test_inception_features(golden, inception, images):
    network = inception
    rgb = np.stack([image[..., ::-1] for image in images]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    with torch.inference_mode():
        found = network(torch.from_numpy(rgb)).numpy()
    assert found.shape == (3, 2048)
    np.testing.assert_allclose(found[:, ::16], golden["fid_features"], rtol=1e-3, atol=1e-4)


def test_pictures_are_collected_in_batches_of_one_size(golden, inception, images):
    features = Features(inception)
    for image in [*images, np.zeros((20, 30, 3), np.uint8)]:
        features.add(image)
    cloud = features.cloud()
    assert cloud.mean.shape == (2048,) and cloud.spread.shape == (4, 2048)
    assert Features(inception).cloud() is None


def test_frechet_distance_equals_the_published_one(golden, values):
    first, second = cloud_of(golden["features_a"]), cloud_of(golden["features_b"])
    assert frechet_distance(first, second) == pytest.approx(values["frechet"], rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(values["frechet"], rel=1e-6)


def test_frechet_distance_by_hand():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(40, 5))
    assert frechet_distance(cloud_of(cloud), cloud_of(cloud)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(cloud_of(cloud), cloud_of(cloud + 2)) == pytest.approx(5 * 4)
    line = np.linspace(-1, 1, 50)[:, None]
    # In one dimension: (difference of means)² + (difference of deviations)².
    expected = 9 + (2 * line.std(ddof=1)) ** 2
    assert frechet_distance(cloud_of(line), cloud_of(3 * line + 3)) == pytest.approx(expected)


def test_fewer_pictures_than_features_have_a_distance():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(4, 30))
    assert frechet_distance(cloud_of(few), cloud_of(few)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(cloud_of(few), cloud_of(few + 1)) == pytest.approx(30)


def test_inception_weights_are_read_with_their_classifier(tmp_path, inception):
    weights = {**inception.state_dict(), "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(weights, tmp_path / "pt_inception.pth")
    loaded = load_inception(tmp_path / "pt_inception.pth")
    assert torch.equal(loaded.Mixed_7c.branch1x1.bn.bias, weights["Mixed_7c.branch1x1.bn.bias"])
    with pytest.raises(WeightsError):
        load_inception(tmp_path / "missing.pth")


@pytest.fixture(scope="module")
def lpips_files(golden, values, tmp_path_factory):
    """Both files as they are published, with weights by formula; the linear ones are not negative."""
    folder = tmp_path_factory.mktemp("lpips")
    alexnet = {
        key: torch.from_numpy(np.asarray(formula_tensor(key, shape, values["alexnet_gain"])))
        for key, shape in shapes(golden["alexnet_manifest"]).items()
        if key.startswith("features.")
    }
    alexnet["classifier.1.weight"] = torch.zeros(2, 2)
    linear = {
        key: torch.from_numpy(np.abs(formula_tensor(key, shape, values["alexnet_gain"])))
        for key, shape in shapes(golden["linear_manifest"]).items()
    }
    torch.save(alexnet, folder / "alexnet.pth")
    torch.save(linear, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


def test_lpips_equals_the_published_one(golden, images, lpips_files):
    network = load_lpips(*lpips_files)
    found = distances(network, [(images[0], images[1]), (images[1], images[2])])
    np.testing.assert_allclose(found, golden["lpips"], rtol=1e-4)


def test_lpips_of_equal_pictures_is_nothing(images, lpips_files):
    network = load_lpips(*lpips_files)
    (same,) = distances(network, [(images[0], images[0])])
    assert same == 0
    near, far = (np.clip(images[0].astype(int) + step, 0, 255).astype(np.uint8) for step in (5, 60))
    one, other = distances(network, [(images[0], near), (images[0], far)])
    assert 0 < one < other


def test_lpips_refuses_other_weights(lpips_files):
    with pytest.raises(WeightsError):
        load_lpips(lpips_files[1], lpips_files[0])
    assert sum(key.startswith("lin") for key in Lpips().state_dict()) == 5


def test_alignment_brings_five_points_to_the_template():
    turn = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = (TEMPLATE - 50) @ turn.T + (300, 200)
    matrix = similarity(points)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)
    estimated = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)[0]
    np.testing.assert_allclose(matrix, estimated, atol=1e-3)


def test_alignment_is_least_squares_and_never_mirrors():
    rng = np.random.default_rng(1)
    points = TEMPLATE + rng.normal(0, 3, (5, 2))

    def error(matrix):
        return np.square(points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).sum()

    best = similarity(points)
    for step in range(4):
        a, b, x, y = (1e-3 * (np.arange(4) == step)).tolist()
        nudge = np.array([[a, -b, 0], [b, a, 0]]) + np.array([[0, 0, x], [0, 0, y]])
        assert error(best + nudge) > error(best) and error(best - nudge) > error(best)
    mirrored = TEMPLATE * (-1, 1)
    assert np.linalg.det(similarity(mirrored)[:, :2]) > 0


def test_an_aligned_face_is_the_same_wherever_it_was():
    frame = cv2.GaussianBlur(texture(size=(260, 260)), (0, 0), 3)
    landmarks = face_points(5, at=(130.0, 60.0))
    moved = cv2.warpAffine(frame, np.float64([[1, 0, 17], [0, 1, -9]]), (260, 260))
    first, second = align(frame, landmarks), align(moved, landmarks + np.array([17, -9]))
    assert first.shape == (112, 112, 3)
    assert np.abs(first.astype(int) - second)[20:100, 20:90].max() <= 2
    assert five_points(landmarks)[0, 0] < five_points(landmarks)[1, 0]


def test_arcface_keys_are_those_of_iresnet50():
    keys = set(ArcFace((3, 4, 14, 3)).state_dict())
    assert {"conv1.weight", "prelu.weight", "layer3.13.bn3.running_var", "layer1.0.downsample.1.weight"} <= keys
    assert {"bn2.weight", "fc.bias", "features.running_mean", "layer4.2.prelu.weight"} <= keys
    assert "layer1.1.downsample.0.weight" not in keys and "layer3.14.bn1.weight" not in keys
    assert depths_of(keys) == (3, 4, 14, 3)
    assert depths_of(["layer1.0.bn1.weight"]) is None


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protocol buffer."""

    def varint(value: int) -> bytes:
        return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)

    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def write_onnx(path: Path) -> Path:
    """A network that hands out its input as a row of numbers."""

    def tensor(name: bytes, *shape: int) -> bytes:
        dimensions = b"".join(field(1, field(1, size)) for size in shape)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dimensions)))

    node = field(1, b"data") + field(2, b"fc1") + field(3, b"flatten") + field(4, b"Flatten")
    ends = field(11, tensor(b"data", 1, 3, 112, 112)) + field(12, tensor(b"fc1", 1, 3 * 112 * 112))
    path.write_bytes(field(1, 7) + field(7, field(1, node) + field(2, b"g") + ends) + field(8, field(2, 13)))
    return path


def test_sface_is_read_from_onnx_and_aligns_as_opencv_does(tmp_path):
    path = write_onnx(tmp_path / "sface.onnx")
    recogniser = load_recogniser(tmp_path / "missing.pth", path)
    assert recogniser.name == "SFace"
    frame, landmarks = texture(size=(260, 260)), face_points(5, at=(130.0, 60.0)) @ [[0.9, 0.1], [-0.1, 0.9]]
    box = np.zeros((1, 15), np.float32)
    box[0, 4:14] = five_points(landmarks).ravel()
    own = align(frame, landmarks)
    opencv = cv2.FaceRecognizerSF.create(str(path), "").alignCrop(frame, box)
    assert np.abs(own.astype(int) - opencv).max() <= 1
    embedded = recogniser.embed(own)
    assert embedded.shape == (3 * 112 * 112,)
    assert cosine(embedded, embedded) == pytest.approx(1)


def test_a_recogniser_is_taken_where_its_file_is(tmp_path):
    arcface, sface = tmp_path / "arcface.pth", tmp_path / "sface.onnx"
    assert load_recogniser(arcface, sface) is None
    sface.write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"sface\.onnx"):
        load_recogniser(arcface, sface)
    torch.save(fill(ArcFace((1, 1, 1, 1)), 1.4).state_dict(), arcface)
    recogniser = load_recogniser(arcface, sface)
    assert recogniser.name == "ArcFace"
    face = texture(size=(112, 112))
    one, other = recogniser.embed(face), recogniser.embed(255 - face)
    assert one.shape == (512,)
    assert cosine(one, one) == pytest.approx(1) and cosine(one, other) < 0.9
    torch.save({"a": torch.zeros(1)}, arcface)
    with pytest.raises(WeightsError, match="not an ArcFace"):
        load_arcface(arcface)
    assert cosine(one, 0 * one) == 0
