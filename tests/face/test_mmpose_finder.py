from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from musetalk.errors import DeviceError, WeightsError
from musetalk.face.dwpose_finder import MEAN, STD, WholeBodyKeypoints, load_rtmpose
from musetalk.face.mmpose_finder import MMPoseFinder, MMPoseKeypoints, mmpose_config
from scripts.compare_mmpose import main, random_images, write_random_weights

INSTALLED = importlib.util.find_spec("mmpose") is not None
needs_mmpose = pytest.mark.skipif(not INSTALLED, reason="mmpose is an extra: `make test-mmlab`")


def test_importing_the_module_does_not_import_mmpose():
    code = "import sys, musetalk.face.mmpose_finder; print({'mmpose', 'mmcv', 'mmengine', 'mmdet'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(INSTALLED, reason="mmpose is installed")
def test_without_mmpose_the_command_that_installs_it_is_named(tmp_path, capsys):
    with pytest.raises(DeviceError) as caught:
        MMPoseFinder.load(tmp_path)

    assert "mmpose" in caught.value.what
    assert "sh scripts/install_mmlab.sh" in caught.value.fix
    assert main([]) == 1
    assert "install_mmlab.sh" in capsys.readouterr().err


@pytest.mark.parametrize("flip_test", [True, False])
def test_configuration_is_that_of_the_plain_network(flip_test):
    config = mmpose_config(with_mmdet=True, flip_test=flip_test)

    model = config["model"]
    assert model["data_preprocessor"]["mean"] == list(MEAN)
    assert model["data_preprocessor"]["std"] == list(STD)
    assert model["head"]["input_size"] == (288, 384)
    assert model["test_cfg"] == {"flip_test": flip_test}
    assert model["backbone"]["_scope_"] == "mmdet"
    assert mmpose_config(with_mmdet=False)["model"]["backbone"] == {"type": "MuseTalkCSPNeXt"}


def test_comparison_has_images_and_weights_of_the_published_layout(tmp_path):
    load_rtmpose(write_random_weights(tmp_path / "dw-ll_ucoco_384.pth"))

    assert {image.shape for image in random_images()} == {(360, 640, 3), (1216, 704, 3), (512, 512, 3), (97, 61, 3)}


def test_random_weights_answer_to_the_image(tmp_path):
    network = load_rtmpose(write_random_weights(tmp_path / "dw-ll_ucoco_384.pth"))
    wide, _, square, _ = random_images()

    keypoints, _ = WholeBodyKeypoints(network, flip_test=False).find([wide, square], [(0, 0, 360, 360)] * 2)

    assert len(np.unique(keypoints[0], axis=0)) > 50
    assert (np.abs(keypoints[0] - keypoints[1]).max(axis=1) > 1).mean() > 0.5


@needs_mmpose
def test_mmpose_and_dwpose_give_equal_keypoints(capsys):
    assert main([]) == 0
    assert "equal keypoints" in capsys.readouterr().out


@needs_mmpose
def test_mmpose_reads_the_checkpoint_with_this_projects_reader(tmp_path):
    (tmp_path / "dw-ll_ucoco_384.pth").write_text("no checkpoint")

    with pytest.raises(WeightsError):
        MMPoseKeypoints(tmp_path / "dw-ll_ucoco_384.pth")
