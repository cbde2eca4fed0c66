from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill

from musetalk.errors import WeightsError
from musetalk.face.landmarks import Face
from musetalk.face.s3fd import S3FDDetector, batches_of_one_size, others, strongest


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights by formula that see a face here and there."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    network = fill(s3fd(), gain=1.4)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # The deeper layers have no norm: without these factors their boxes are endless and their scores all 1.
            if "mbox" in name:
                parameter.mul_(20 if "norm_mbox_conf" in name else 1 if "norm" in name else 0.002)
    path = tmp_path_factory.mktemp("s3fd") / "s3fd-619a316812.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(3)]
    return [*noise, noise[0][:64, :96].copy()]


def test_takes_the_first_box_of_the_package(weights, frames):
    from face_alignment.detection.sfd import FaceDetector

    package = FaceDetector("cpu", path_to_detector=str(weights))

    found = S3FDDetector(weights, batch_size=2).detect(frames)

    assert any(box is not None for box in found)
    for frame, box in zip(frames, found, strict=True):
        expected = package.detect_from_image(np.ascontiguousarray(frame[..., ::-1]))
        if box is None:
            assert len(expected) == 0
        else:
            np.testing.assert_allclose(box, np.trunc(np.clip(expected[0][:4], 0, None)), atol=1)


def test_no_frames_give_no_boxes(weights):
    assert S3FDDetector(weights).detect([]) == []


def test_strongest_is_the_most_certain_not_the_largest():
    candidates = np.array([[0, 0, 100, 100, 0.6], [10, 20, 30.9, 40.9, 0.9], [12, 20, 30, 40, 0.8]])

    assert strongest(candidates) == (10, 20, 30, 40)


def test_strongest_does_not_leave_the_image_at_the_left_or_top():
    assert strongest(np.array([[-3.5, -0.2, 30.9, 40.9, 0.9]])) == (0, 0, 30, 40)


@pytest.mark.parametrize("candidates", [np.zeros((0,)), np.zeros((0, 5)), np.array([[0, 0, 9, 9, 0.5]])])
def test_uncertain_candidates_are_no_face(candidates):
    assert strongest(candidates) is None


def test_others_are_distinct_certain_and_not_much_smaller():
    main = (10.0, 10.0, 110.0, 110.0)
    candidates = np.array(
        [
            [*main, 0.9],
            [15, 12, 112, 112, 0.95],  # the main one again
            [200, 0, 300, 100, 0.8],
            [205, 0, 305, 100, 0.7],  # the same again
            [400, 0, 449, 49, 0.9],  # less than half as wide
            [400, 200, 451, 251, 0.6],
            [600, 0, 700, 100, 0.5],  # uncertain
        ]
    )
    assert others(candidates, main) == 2
    assert others(candidates[:2], main) == 0 and others(np.zeros((0,)), main) == 0


def test_counting_follows_the_frames(weights, frames):
    detector = S3FDDetector(weights, batch_size=2)
    found = detector.detect(frames)
    faces = [Face(np.zeros((68, 2)), box) for box in found]

    counts = detector.count(frames, faces)

    assert len(counts) == len(frames) and all(count >= 1 for count in counts)
    assert counts == [detector.count([frame], [face])[0] for frame, face in zip(frames, faces, strict=True)]


def test_batches_keep_order_and_split_where_the_size_changes():
    sizes = [(4, 4), (4, 4), (4, 4), (2, 4), (4, 4)]
    frames = [np.full((*size, 3), index, dtype=np.uint8) for index, size in enumerate(sizes)]

    batches = list(batches_of_one_size(frames, 2))

    assert [[int(frame[0, 0, 0]) for frame in batch] for batch in batches] == [[0, 1], [2], [3], [4]]


def test_nothing_is_downloaded_when_the_file_is_missing(tmp_path, monkeypatch):
    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("tried to download")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", no_network)
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)

    with pytest.raises(WeightsError, match="no such file"):
        S3FDDetector(tmp_path / "s3fd-619a316812.pth")
