from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_weights import fill

from musetalk.errors import WeightsError
from musetalk.face import dwpose_finder
from musetalk.face.dwpose_finder import DWPoseFinder, WholeBodyKeypoints, face_landmarks, input_region, network_image
from musetalk.face.s3fd import Detection
from musetalk.models.rtmpose import RTMPose

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "dwpose.npz"


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def network() -> RTMPose:
    return fill(RTMPose(), gain=1.4).eval()


class DetectorOf:
    """A detector whose answers are known."""

    def __init__(self, detections: list[Detection | None]) -> None:
        self.detections = detections

    def detect(self, frames: Sequence[np.ndarray]) -> list[Detection | None]:
        return self.detections[: len(frames)]


@pytest.mark.parametrize("region", ["whole_image", "box"])
@pytest.mark.parametrize("flip", ["flip", "noflip"])
def test_keypoints_equal_the_published_ones(golden, network, region, flip):
    boxes = None if region == "whole_image" else [golden["box"].tolist()]

    keypoints, scores = WholeBodyKeypoints(network, flip_test=flip == "flip").find([golden["image"]], boxes)

    np.testing.assert_allclose(keypoints, golden[f"keypoints_{region}_{flip}"], atol=0.5)
    np.testing.assert_allclose(scores, golden[f"scores_{region}_{flip}"], atol=1e-3)


def test_frames_of_several_sizes_in_one_pass_give_what_each_gives_alone(golden, network):
    finder = WholeBodyKeypoints(network)
    frames = [golden["image"], np.ascontiguousarray(golden["image"][50:301, 100:400])]

    together, _ = finder.find(frames)

    for frame, keypoints in zip(frames, together, strict=True):
        np.testing.assert_allclose(keypoints, finder.find([frame])[0][0], atol=0.5 * max(frame.shape) / 288)


def test_no_frames_give_no_keypoints(network):
    assert WholeBodyKeypoints(network).find([])[0].shape == (0, 133, 2)


def test_region_has_the_aspect_of_the_network_and_holds_the_enlarged_box():
    wide = input_region((0, 0, 600, 300))
    tall = input_region((10, 20, 110, 420))

    assert wide.center.tolist() == [300, 150]
    assert wide.size.tolist() == [750, 1000]
    assert tall.center.tolist() == [60, 220]
    assert tall.size.tolist() == [375, 500]


def test_network_image_is_black_outside_the_frame():
    frame = np.full((300, 300, 3), 255, dtype=np.uint8)

    image = network_image(frame, input_region((0, 0, 300, 300)))

    assert image.shape == (384, 288, 3)
    assert image[192, 144].tolist() == [255, 255, 255]
    assert not image[:76].any()
    assert not image[:, :20].any()


def test_landmarks_are_the_face_keypoints_truncated():
    keypoints = np.arange(266, dtype=np.float64).reshape(133, 2) + 0.9
    keypoints[23] = (-0.5, 3.99)

    landmarks = face_landmarks(keypoints)

    assert landmarks.shape == (68, 2)
    assert landmarks[0].tolist() == [0.0, 3.0]
    assert landmarks[67].tolist() == [180.0, 181.0]


def test_only_frames_with_a_face_get_landmarks_and_order_is_kept(golden, network):
    frames = [golden["image"], golden["image"][::-1].copy(), golden["image"][:, ::-1].copy()]
    keypoints = WholeBodyKeypoints(network)
    boxes: list[Detection | None] = [(1.0, 2.0, 30.0, 40.0), None, (5.0, 6.0, 70.0, 80.0)]

    faces = DWPoseFinder(keypoints, DetectorOf(boxes)).find(frames)

    assert [face and face.detection for face in faces] == boxes
    for face, frame in zip(faces, frames, strict=True):
        if face is not None:
            expected = face_landmarks(keypoints.find([frame])[0][0])
            np.testing.assert_allclose(face.landmarks, expected, atol=2)
            assert np.array_equal(face.landmarks, np.trunc(face.landmarks))


def test_load_reads_the_published_checkpoint_layout(tmp_path, network):
    path = tmp_path / "dw-ll_ucoco_384.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": network.state_dict()}, path)

    loaded = dwpose_finder.load_rtmpose(path)

    assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_another_networks_checkpoint_is_refused(tmp_path):
    path = tmp_path / "dw-ll_ucoco_384.pth"
    torch.save({"state_dict": {"conv.weight": torch.zeros(3)}}, path)

    with pytest.raises(WeightsError, match=r"dw-ll_ucoco_384.pth: checkpoint of the wrong shape: backbone.stem"):
        dwpose_finder.load_rtmpose(path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match="s3fd-619a316812"):
        DWPoseFinder.load(tmp_path)
