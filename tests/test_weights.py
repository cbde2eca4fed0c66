from __future__ import annotations

from pathlib import Path

import pytest

from musetalk.errors import UsageError
from musetalk.face import dwpose_finder, s3fd
from musetalk.weights import CHOICES, FILES, download_command, files_for, missing_files


def put(models_dir: Path, *paths: str) -> None:
    for path in paths:
        (models_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (models_dir / path).write_bytes(b"weights")


def test_published_layout_is_complete():
    assert {file.path for file in FILES} == {
        "musetalk/musetalk.json",
        "musetalk/pytorch_model.bin",
        "musetalkV15/musetalk.json",
        "musetalkV15/unet.pth",
        "sd-vae/config.json",
        "sd-vae/diffusion_pytorch_model.bin",
        "whisper/config.json",
        "whisper/pytorch_model.bin",
        "whisper/preprocessor_config.json",
        "dwpose/dw-ll_ucoco_384.pth",
        "face-parse-bisent/79999_iter.pth",
        "face-parse-bisent/resnet18-5c106cde.pth",
        "syncnet/latentsync_syncnet.pt",
        "vgg19/vgg19-dcbb9e9d.pth",
        "s3fd/s3fd-619a316812.pth",
        "evaluation/syncnet_v2.model",
        "evaluation/pt_inception-2015-12-05-6726825d.pth",
        "evaluation/alexnet-owt-7be5be79.pth",
        "evaluation/lpips_alex_v0.1.pth",
        "evaluation/face_recognition_sface_2021dec.onnx",
    }


def test_every_part_of_the_manifest_can_be_chosen_and_every_choice_has_its_parts():
    assert {part for parts in CHOICES.values() for part in parts} == {file.part for file in FILES}


def test_a_hash_in_a_name_is_checked():
    for file in FILES:
        if file.sha256_prefix is not None:
            assert file.path.endswith(f"-{file.sha256_prefix}.pth")
    assert sum(file.sha256_prefix is not None for file in FILES) == 4


def test_finders_read_the_files_of_the_manifest():
    assert {dwpose_finder.WEIGHTS.as_posix(), s3fd.WEIGHTS.as_posix()} == {file.path for file in files_for(["dwpose"])}


def test_the_small_model_needs_no_files(tmp_path):
    assert not missing_files(["mini", "mediapipe", "landmarks"], tmp_path)


def test_files_that_are_there_satisfy(tmp_path):
    put(tmp_path, *(file.path for file in files_for(["v1", "dwpose", "bisenet"])))

    assert not missing_files(["v1", "mmpose", "bisenet"], tmp_path)


def test_empty_files_folders_and_kept_parts_count_as_missing(tmp_path):
    put(tmp_path, "face-parse-bisent/79999_iter.part.pth")
    (tmp_path / "s3fd").mkdir()
    (tmp_path / "s3fd" / "s3fd-619a316812.pth").touch()
    (tmp_path / "dwpose" / "dw-ll_ucoco_384.pth").mkdir(parents=True)

    assert missing_files(["bisenet", "dwpose"], tmp_path) == files_for(["bisenet", "dwpose"])


def test_resnet18_is_not_needed_for_parsing():
    assert [file.path for file in files_for(["bisenet"])] == ["face-parse-bisent/79999_iter.pth"]


def test_unknown_choices_are_refused():
    with pytest.raises(UsageError, match="v2"):
        files_for(["v2"])


def test_command_quotes_the_folder():
    assert download_command(["v1"]) == "python -m scripts.download_weights --parts v1"
    assert download_command(["v1"], "my models") == (
        "python -m scripts.download_weights --parts v1 --models_dir 'my models'"
    )
