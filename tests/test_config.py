from pathlib import Path

import pytest

from musetalk.config import InferenceTask, load_tasks
from musetalk.errors import ConfigError

REPOSITORY = Path(__file__).parent.parent


def write(tmp_path, text):
    path = tmp_path / "tasks.yaml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """
task_0:
  video_path: "data/video/a b.mp4"
  audio_path: data/audio/é.wav
task_1:
  video_path: x.png
  audio_path: y.mp3
  bbox_shift: -7
  result_name: z.mp4
"""


def test_published_files_load(tmp_path):
    assert load_tasks(write(tmp_path, GOOD)).tasks == [
        InferenceTask("task_0", Path("data/video/a b.mp4"), Path("data/audio/é.wav")),
        InferenceTask("task_1", Path("x.png"), Path("y.mp3"), -7, "z.mp4"),
    ]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs" / "inference").glob("*.yaml")), ids=lambda p: p.name)
def test_every_task_file_of_the_project_loads(path):
    if path.name != "realtime.yaml":
        file = load_tasks(path)
        assert file.tasks and not file.wrong


def test_overrides_replace_and_add(tmp_path):
    tasks = load_tasks(write(tmp_path, GOOD), ["task_0.bbox_shift=5", "task_1.result_name=other.mp4"]).tasks
    assert (tasks[0].bbox_shift, tasks[1].bbox_shift, tasks[1].result_name) == (5, -7, "other.mp4")


def test_the_values_of_one_task_are_not_those_of_the_next(tmp_path):
    text = GOOD + "task_2:\n  video_path: v.mp4\n  audio_path: a.wav\n"
    assert load_tasks(write(tmp_path, text)).tasks[2] == InferenceTask("task_2", Path("v.mp4"), Path("a.wav"))


def test_all_errors_at_once_with_the_nearest_key(tmp_path):
    text = """
task_0:
  video_pth: a.mp4
  audio_path: a.wav
task_1:
  video_path: 12
  audio_path: a.wav
  bbox_shift: "seven"
task_2: 5
task_3:
  video_path: a.mp4
  audio_path: a.wav
  result_name: ../a.mp4
task_4:
  video_path: a.mp4
  audio_path: ""
good:
  video_path: a.mp4
  audio_path: a.wav
"""
    file = load_tasks(write(tmp_path, text))
    told = "; ".join(error.what for error in file.wrong.values())
    for part in (
        "task_0: unknown key video_pth, did you mean video_path?",
        "task_0: video_path is missing",
        "task_1.video_path: 12 is not a text",
        "task_1.bbox_shift: 'seven' is not a whole number",
        "task_2: is 5, not a list of keys",
        "task_3.result_name: '../a.mp4' is not a plain file name",
        "task_4.audio_path is empty",
    ):
        assert part in told
    assert "\n" not in told
    assert [task.name for task in file.tasks] == ["good"]
    assert file.names == [*file.wrong, "good"]


@pytest.mark.parametrize("value", ["true", "1.5", "[1]"])
def test_only_whole_numbers_shift(tmp_path, value):
    file = load_tasks(write(tmp_path, GOOD), [f"task_0.bbox_shift={value}"])
    assert "bbox_shift" in file.wrong["task_0"].what


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("tsk_0.bbox_shift=5", "there is no task tsk_0, did you mean task_0?"),
        ("bbox_shift=5", "not of the form task.key=value"),
        ("task_0.bbox_shift", "not of the form task.key=value"),
    ],
)
def test_bad_overrides_are_named(tmp_path, override, told):
    with pytest.raises(ConfigError) as caught:
        load_tasks(write(tmp_path, GOOD), [override])
    assert told in caught.value.what


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [\n", "a: ${nothing}\n"])
def test_files_that_hold_no_tasks(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load_tasks(write(tmp_path, text))
    assert "tasks.yaml" in caught.value.what and "\n" not in caught.value.what


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_tasks(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_tasks(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        load_tasks(tmp_path / "binary.yaml")
