from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media_factory import tone, write_sound, write_video

from musetalk.config import InferenceTask
from musetalk.errors import OutputError, UsageError, WeightsError
from musetalk.models.versions import VERSIONS, network_paths
from musetalk.pipeline.backends import BackendChoice, choose_backends
from musetalk.pipeline.dubbing import DubSettings
from musetalk.pipeline.jobs import Job, JobOptions, check_job, colliding_jobs, plan_jobs
from musetalk.pipeline.requirements import check_weights

REPOSITORY = Path(__file__).parent.parent.parent
OPTIONS = JobOptions(Path("results"), "v15")


def task(name="task_0", video="in/clip.one.mp4", audio="in/speech.wav", **more):
    return InferenceTask(name, Path(video), Path(audio), **more)


def plan(*tasks, **options):
    return plan_jobs(tasks, DubSettings(bbox_shift=3), replace(OPTIONS, **options))


def collisions(*tasks, **options):
    return {name: error.what for name, error in colliding_jobs(plan(*tasks, **options)).items()}


def test_results_are_named_by_both_inputs_up_to_the_last_dot():
    assert plan(task())[0].output == Path("results/v15/clip.one_speech.mp4")


def test_a_folder_keeps_its_whole_name(tmp_path):
    (tmp_path / "frames.v2").mkdir()
    assert plan(task(video=str(tmp_path / "frames.v2")))[0].output.name == "frames.v2_speech.mp4"


def test_names_given_for_the_task_win_over_the_flag_and_stay_with_the_task():
    jobs = plan(
        task("a", result_name="mine"),
        task("b", audio="other.wav"),
        task("c", result_name="c.mp4"),
        output_vid_name="flag.mp4",
    )
    assert [job.output.name for job in jobs] == ["mine.mp4", "flag.mp4", "c.mp4"]


def test_bbox_shift_of_the_task_wins_over_the_flag():
    assert [job.settings.bbox_shift for job in plan(task("a", bbox_shift=-7), task("b", audio="b.wav"))] == [-7, 3]


@pytest.mark.parametrize(
    "tasks",
    [
        (task("a", "x/clip.mp4"), task("b", "y/clip.mp4")),
        (task("a", result_name="r"), task("b", audio="b.wav", result_name="r.mp4")),
    ],
)
def test_two_tasks_with_one_result_are_refused(tasks):
    told = collisions(*tasks, task("alone", "z/alone.mp4"))
    assert list(told) == ["a", "b"] and told["a"] == told["b"]
    assert told["a"].startswith("a and b both write results/v15/")


def test_one_name_for_several_tasks_is_refused():
    told = collisions(task("a"), task("b", audio="b.wav"), task("c", audio="c.wav"), output_vid_name="one.mp4")
    assert told["c"] == "a and b and c all write results/v15/one.mp4"


def test_a_result_over_its_own_input_is_refused():
    assert "its own input" in collisions(task("a", "results/v15/loop.mp4", result_name="loop.mp4"))["a"]
    assert "its own input" in collisions(task("a", "numbered"), frames_dir=Path("numbered"))["a"]


def test_box_files_are_named_by_the_video(tmp_path):
    options = {"result_dir": tmp_path, "saved_coord": True, "use_saved_coord": True}
    boxes = tmp_path / "coords" / "clip.one.mp4.json"
    first = plan(task(), **options)[0]
    assert (first.use_boxes, first.save_boxes) == (None, boxes)
    boxes.parent.mkdir()
    boxes.write_text("{}")
    second = plan(task(), **options)[0]
    assert (second.use_boxes, second.save_boxes) == (boxes, None)
    assert plan(task(), result_dir=tmp_path / "new", use_saved_coord=True)[0].use_boxes is not None


def test_boxes_of_two_videos_of_one_name_are_not_saved_over_each_other():
    told = collisions(task("a", "x/clip.mp4"), task("b", "y/clip.mp4", "b.wav"), saved_coord=True)
    assert list(told) == ["a", "b"] and "boxes of different videos" in told["a"]
    assert not collisions(task("a", "x/clip.mp4"), task("b", "x/clip.mp4", "b.wav"), saved_coord=True)


def test_frames_of_several_tasks_go_to_folders_of_their_own():
    assert plan(task(), frames_dir=Path("png"))[0].frames_dir == Path("png")
    jobs = plan(task("a"), task("b", audio="b.wav"), frames_dir=Path("png"))
    assert [job.frames_dir for job in jobs] == [Path("png/a"), Path("png/b")]


def test_missing_weights_are_all_named_with_the_command(tmp_path):
    choice = BackendChoice("dwpose", "bisenet")
    with pytest.raises(WeightsError) as caught:
        check_weights(VERSIONS["v15"], network_paths("v15", tmp_path), choice, tmp_path)
    for name in (
        "unet.pth",
        "musetalk.json",
        "sd-vae/diffusion_pytorch_model.bin",
        "whisper/pytorch_model.bin",
        "preprocessor_config.json",
        "dw-ll_ucoco_384.pth",
        "79999_iter.pth",
    ):
        assert name in caught.value.what
    assert "scripts.download_weights" in caught.value.fix and "v15" in caught.value.fix
    assert "resnet18" not in caught.value.what


def test_the_way_to_missing_weights_is_about_those_that_are_missing(tmp_path):
    fixes = {}
    for chosen in (BackendChoice("mediapipe", "bisenet"), BackendChoice("mediapipe", "landmarks")):
        with pytest.raises(WeightsError) as caught:
            check_weights(VERSIONS["mini"], network_paths("mini", tmp_path), chosen, tmp_path)
        fixes[chosen.parser] = caught.value.fix
    assert "--parts bisenet" in fixes["bisenet"] and "part of the project" in fixes["bisenet"]
    assert "download_weights" not in fixes["landmarks"] and "--models_dir" in fixes["landmarks"]
    assert str(tmp_path / "mini" / "refiner" / "model.safetensors") in caught.value.what
    whole = network_paths("mini", REPOSITORY / "models")
    with pytest.raises(WeightsError) as caught:
        check_weights(VERSIONS["mini"], whole, BackendChoice("mediapipe", "bisenet"), tmp_path)
    assert "part of the project" not in caught.value.fix


def test_auto_takes_the_published_part_where_its_weights_are(tmp_path):
    assert choose_backends(VERSIONS["v15"], tmp_path) == BackendChoice(
        "mediapipe",
        "landmarks",
        (
            f"Face finder: mediapipe (the published dwpose has no weights under {tmp_path}).",
            f"Parser: landmarks (the published bisenet has no weights under {tmp_path}).",
        ),
    )
    for name in ("face-parse-bisent/79999_iter.pth", "dwpose/dw-ll_ucoco_384.pth", "s3fd/s3fd-619a316812.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert choose_backends(VERSIONS["v15"], tmp_path).finder == "dwpose"
    assert choose_backends(VERSIONS["v1"], tmp_path).parser == "bisenet"
    assert choose_backends(VERSIONS["mini"], tmp_path).finder == "mediapipe"
    chosen = choose_backends(VERSIONS["v15"], tmp_path, "mediapipe", "landmarks")
    assert (chosen.finder, chosen.parser, chosen.notes) == ("mediapipe", "landmarks", ())
    with pytest.raises(UsageError, match="retinaface"):
        choose_backends(VERSIONS["v15"], tmp_path, "retinaface")


def test_a_frames_folder_that_cannot_be_made_is_found_before_any_work(tmp_path):
    (tmp_path / "taken").write_text("a file")
    write_video(tmp_path / "clip.mp4", [np.full((32, 32, 3), 90, np.uint8)] * 5)
    write_sound(tmp_path / "speech.wav", tone(0.2))
    job = Job(
        "a",
        tmp_path / "clip.mp4",
        tmp_path / "speech.wav",
        tmp_path / "out.mp4",
        DubSettings(),
        frames_dir=tmp_path / "taken" / "frames",
    )
    with pytest.raises(OutputError, match="taken"):
        check_job(job)
