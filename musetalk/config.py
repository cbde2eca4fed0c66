"""The task files of inference: read, merged with overrides and checked in one place, all errors of a task at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from musetalk.errors import ConfigError


@dataclass(frozen=True)
class InferenceTask:
    """One entry of configs/inference/test.yaml.

    Attributes:
        name: The entry's own name.
        video_path: A video, an image or a folder of numbered images.
        audio_path: A sound, or a video with sound.
        bbox_shift: None: --bbox_shift.
        result_name: Name of the result; None: --output_vid_name, else made of the two inputs' names.
    """

    name: str
    video_path: Path
    audio_path: Path
    bbox_shift: int | None = None
    result_name: str | None = None


@dataclass(frozen=True)
class AvatarTask:
    """One entry of configs/inference/realtime.yaml.

    Attributes:
        name: The entry's own name, which is the avatar's.
        preparation: Whether the avatar is prepared where it is missing or no longer fits; False: it has to be there.
        video_path: A video, an image or a folder of numbered images.
        bbox_shift: None: --bbox_shift.
        audio_clips: Sound of each clip by the clip's name.
    """

    name: str
    preparation: bool
    video_path: Path
    bbox_shift: int | None = None
    audio_clips: dict[str, Path] = field(default_factory=dict)


Task = TypeVar("Task", InferenceTask, AvatarTask)


@dataclass(frozen=True)
class TaskFile(Generic[Task]):
    """What a YAML file of tasks holds.

    Attributes:
        names: Names of all tasks, in their order.
        tasks: Those that can be used.
        wrong: What is wrong with each of the others, by name.
    """

    names: list[str]
    tasks: list[Task]
    wrong: dict[str, ConfigError]


@dataclass(frozen=True)
class _Kind(Generic[Task]):
    """How the tasks of a file look.

    Attributes:
        example: A file of this kind.
        types: Type of each key.
        required: Keys that cannot be left out.
        build: A task from its name and its values, all of the right type; adds what is wrong to the list.
    """

    example: str
    types: dict[str, type]
    required: tuple[str, ...]
    build: Callable[[str, dict[str, Any], list[str]], Task]


_IN_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "a list of keys"}


def nearest(word: str, known: Iterable[str]) -> str:
    """', did you mean …?' when a known word is near, else the list of them."""
    options = list(known)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(options)}"


def load_tasks(path: Path, overrides: Sequence[str] = ()) -> TaskFile[InferenceTask]:
    """The tasks of a YAML file; one with wrong keys or values does not keep the others from their work.

    Args:
        path: The file; relative paths in it are relative to the working directory (published).
        overrides: `task.key=value`, each replacing or adding one value.

    Raises:
        ConfigError: The file cannot be read, holds no task, or overrides name none.
    """
    return _load(path, overrides, _TASKS)


def load_avatars(path: Path, overrides: Sequence[str] = ()) -> TaskFile[AvatarTask]:
    """The avatars of a YAML file; otherwise as `load_tasks`."""
    return _load(path, overrides, _AVATARS)


def _load(path: Path, overrides: Sequence[str], kind: _Kind[Task]) -> TaskFile[Task]:
    content = merge_overrides(read_yaml(path, f"Give a YAML file of tasks, such as {kind.example}."), overrides)
    fix = f"Each task is a name with the keys {', '.join(kind.types)} ({' and '.join(kind.required)} are needed)."
    if not content:
        raise ConfigError(f"{path}: there is no task in it", fix)
    file: TaskFile[Task] = TaskFile([str(name) for name in content], [], {})
    for name, entry in zip(file.names, content.values(), strict=True):
        problems: list[str] = []
        values = _values(name, entry, kind, problems)
        task = None if problems else kind.build(name, values, problems)
        if task is not None and not problems:
            file.tasks.append(task)
        else:
            file.wrong[name] = ConfigError(f"{path}: {'; '.join(problems)}", fix)
    return file


def read_yaml(path: Path, fix: str) -> dict[Any, Any]:
    """The mapping that a YAML file holds; {} for an empty file.

    Args:
        path: The file.
        fix: What errors say can be done.

    Raises:
        ConfigError: The file is missing, unreadable, no YAML, or holds something else.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        loaded = OmegaConf.load(path)
        content = OmegaConf.to_container(loaded, resolve=True)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", fix) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text in UTF-8", fix) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}", fix) from None
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}", fix) from None
    if not isinstance(loaded, DictConfig) or not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no keys with values", fix)
    return dict(content)


def merge_overrides(content: Mapping[Any, Any], overrides: Sequence[str]) -> dict[Any, Any]:
    """The mapping with `a.b=value` overrides applied.

    Raises:
        ConfigError: An override is not of that form or names an unknown task.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    names = [str(name) for name in content]
    problems = []
    for override in overrides:
        key, equals, _ = override.partition("=")
        task, dot, rest = key.partition(".")
        if not equals or not dot or not rest:
            problems.append(f"{override!r} is not of the form task.key=value")
        elif task not in names:
            problems.append(f"{override!r}: there is no task {task}, {nearest(task, names)}")
    if problems:
        raise ConfigError(
            f"overrides: {'; '.join(problems)}", "Give overrides as task_0.bbox_shift=5, after the flags."
        )
    if not overrides:
        return dict(content)
    try:
        merged = OmegaConf.merge(OmegaConf.create(dict(content)), OmegaConf.from_dotlist(list(overrides)))
        result = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(
            f"overrides {' '.join(overrides)}: {_one_line(error)}", "Give overrides as task_0.bbox_shift=5."
        ) from None
    assert isinstance(result, dict)
    return dict(result)


def _values(name: str, entry: Any, kind: _Kind[Task], problems: list[str]) -> dict[str, Any]:
    """The values of a task that are of the right type; what is wrong with the others is added to `problems`."""
    if not isinstance(entry, dict):
        problems.append(f"{name}: is {entry!r}, not a list of keys")
        return {}
    values: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in kind.types:
            problems.append(f"{name}: unknown key {key}, {nearest(str(key), kind.types)}")
        elif value is None and key not in kind.required:
            continue
        elif type(value) is not kind.types[key]:
            problems.append(f"{name}.{key}: {value!r} is not {_IN_WORDS[kind.types[key]]}")
        elif value == "":
            problems.append(f"{name}.{key} is empty")
        else:
            values[key] = value
    problems.extend(f"{name}: {key} is missing" for key in kind.required if key not in entry)
    return values


def _inference_task(name: str, values: dict[str, Any], problems: list[str]) -> InferenceTask:
    result_name = values.get("result_name")
    if result_name is not None and (reason := bad_result_name(result_name)):
        problems.append(f"{name}.result_name: {reason}")
    return InferenceTask(
        name, Path(values["video_path"]), Path(values["audio_path"]), values.get("bbox_shift"), result_name
    )


def _avatar_task(name: str, values: dict[str, Any], problems: list[str]) -> AvatarTask:
    if reason := bad_result_name(name):
        problems.append(f"{name}: {reason}, as the name of an avatar has to be")
    clips: dict[str, Path] = {}
    for clip, path in values.get("audio_clips", {}).items():
        where = f"{name}.audio_clips.{clip}"
        result = str(clip).removesuffix(".mp4")
        if reason := bad_result_name(result):
            problems.append(f"{where}: {reason}")
        elif result in clips:
            problems.append(f"{where}: another clip has this name")
        elif not isinstance(path, str) or not path:
            problems.append(f"{where}: {path!r} is not the path of a sound")
        else:
            clips[result] = Path(path)
    return AvatarTask(name, values["preparation"], Path(values["video_path"]), values.get("bbox_shift"), clips)


_TASKS = _Kind(
    "configs/inference/test.yaml",
    {"video_path": str, "audio_path": str, "bbox_shift": int, "result_name": str},
    ("video_path", "audio_path"),
    _inference_task,
)
_AVATARS = _Kind(
    "configs/inference/realtime.yaml",
    {"preparation": bool, "bbox_shift": int, "video_path": str, "audio_clips": dict},
    ("preparation", "video_path"),
    _avatar_task,
)

assert set(_TASKS.types) == {f.name for f in fields(InferenceTask)} - {"name"}
assert set(_AVATARS.types) == {f.name for f in fields(AvatarTask)} - {"name"}


def bad_result_name(name: str) -> str | None:
    """Why a name of a result cannot be used, or None when it can: a plain file name, with .mp4 or without suffix."""
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        return f"{name!r} is not a plain file name"
    suffix = Path(name).suffix
    if suffix.lower() in (".avi", ".mov", ".mkv", ".webm", ".gif", ".wav", ".mp3"):
        return f"{name!r} ends in {suffix}, but results are .mp4"
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
