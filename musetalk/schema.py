"""Dataclasses as schemas of YAML files: every unknown key, wrong type and wrong value of a file at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from musetalk.config import nearest, read_yaml
from musetalk.errors import ConfigError

T = TypeVar("T")

_IN_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Path: "a path",
    type(None): "null",
}


def setting(
    default: Any = MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    length: int | None = None,
    choices: Sequence[Any] = (),
    aliases: Sequence[str] = (),
) -> Any:
    """A dataclass field with the values it may have.

    Args:
        default: Taken when the key is absent; without one the key is needed. Lists and dicts are copied.
        at_least, above, at_most, below: Bounds of numbers, or of each number in a list.
        length: Of a list.
        choices: The only values allowed.
        aliases: Misspelt names of the key that published files have; they are read, with a warning.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most, "below": below}
    metadata = {**bounds, "length": length, "choices": choices, "aliases": aliases}
    if isinstance(default, (list, dict)):
        kept = default
        return field(default_factory=lambda: type(kept)(kept), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class Reading:
    """What was found while a mapping was read."""

    problems: list[str]
    warnings: list[str]


def parse(schema: type[T], content: Mapping[Any, Any], where: str) -> tuple[T, list[str]]:
    """An instance of a dataclass from the mapping of a YAML file, and one line for each key that was misspelt.

    Args:
        schema: A dataclass whose fields are dataclasses, numbers, texts, truth values, paths, lists or dicts of these,
            or unions of them.
        content: Keys and values.
        where: The file, for messages.

    Raises:
        ConfigError: Names every unknown or missing key and every wrong value.
    """
    reading = Reading([], [])
    value = _dataclass(schema, content, "", reading)
    if reading.problems:
        raise ConfigError(f"{where}: {'; '.join(reading.problems)}", "Correct these keys; the others are right.")
    return value, [f"{where}: {warning}" for warning in reading.warnings]


def _dataclass(schema: Any, content: Any, path: str, reading: Reading) -> Any:
    if not isinstance(content, Mapping):
        reading.problems.append(f"{path or 'the file'} holds {content!r}, not keys with values")
        return None
    hints = typing.get_type_hints(schema)
    known = {entry.name: entry for entry in fields(schema)}
    misspelt = {alias: name for name, entry in known.items() for alias in entry.metadata.get("aliases", ())}
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key)
        if name in misspelt:
            reading.warnings.append(f"{path}{name} is read as {path}{misspelt[name]}")
            name = misspelt[name]
        if name not in known:
            reading.problems.append(f"unknown key {path}{name}, {nearest(name, known)}")
        elif name in values:
            reading.problems.append(f"{path}{name} is given twice")
        else:
            values[name] = _value(hints[name], value, known[name], f"{path}{name}", reading)
    missing = [entry.name for entry in known.values() if entry.name not in values and _is_needed(entry)]
    reading.problems.extend(f"{path}{name} is missing" for name in missing)
    return None if reading.problems else schema(**values)


def _is_needed(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _value(hint: Any, value: Any, entry: Field[Any], path: str, reading: Reading) -> Any:
    before = len(reading.problems)
    converted = _converted(hint, value, path, reading)
    if len(reading.problems) == before and (reason := _out_of_range(converted, entry.metadata)):
        reading.problems.append(f"{path}: {value!r} {reason}")
    return converted


def _converted(hint: Any, value: Any, path: str, reading: Reading) -> Any:
    """The value as the type wants it; notes a problem when it cannot be that."""
    if is_dataclass(hint):
        return _dataclass(hint, value, f"{path}.", reading)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            attempt = Reading([], [])
            converted = _converted(option, value, path, attempt)
            if not attempt.problems:
                reading.warnings.extend(attempt.warnings)
                return converted
        reading.problems.append(f"{path}: {value!r} is not {' or '.join(_named(option) for option in arguments)}")
        return None
    if origin in (list, tuple):
        if not isinstance(value, list):
            reading.problems.append(f"{path}: {value!r} is not {_named(hint)}")
            return None
        items = [_converted(arguments[0], item, f"{path}[{i}]", reading) for i, item in enumerate(value)]
        return origin(items)
    if origin is dict:
        if not isinstance(value, Mapping):
            reading.problems.append(f"{path}: {value!r} is not {_named(hint)}")
            return None
        return {str(k): _converted(arguments[1], v, f"{path}.{k}", reading) for k, v in value.items()}
    return _plain(hint, value, path, reading)


def _plain(hint: Any, value: Any, path: str, reading: Reading) -> Any:
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint is float and isinstance(value, str):  # YAML 1.1 reads 2e-5 as a text
        try:
            return float(value)
        except ValueError:
            pass
    if hint is Path and isinstance(value, str) and value:
        return Path(value)
    if type(value) is hint:
        return value
    reading.problems.append(f"{path}: {value!r} is not {_named(hint)}")
    return None


def _named(hint: Any) -> str:
    if is_dataclass(hint):
        return "a list of keys"
    origin = typing.get_origin(hint)
    if origin in (list, tuple):
        return "a list"
    if origin is dict:
        return "a list of keys"
    return _IN_WORDS.get(hint, str(hint))


def _out_of_range(value: Any, metadata: Mapping[str, Any]) -> str | None:
    if isinstance(value, (list, tuple)):
        length = metadata.get("length")
        if length is not None and len(value) != length:
            return f"has {len(value)} entries, not {length}"
        return next((reason for item in value if (reason := _out_of_range(item, metadata))), None)
    if metadata.get("choices") and value not in metadata["choices"]:
        return f"is none of {', '.join(map(str, metadata['choices']))}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        lowest, above, highest = metadata.get("at_least"), metadata.get("above"), metadata.get("at_most")
        if value != value:
            return "is not a number"
        if lowest is not None and value < lowest:
            return f"is below {lowest}"
        if above is not None and value <= above:
            return f"is not above {above}"
        if highest is not None and value > highest:
            return f"is above {highest}"
        limit = metadata.get("below")
        if limit is not None and value >= limit:
            return f"is not below {limit}"
    return None


def read_settings(schema: type[T], path: Path, overrides: Sequence[str] = ()) -> tuple[T, list[str]]:
    """The settings of a YAML file, with overrides applied, and one line for each misspelt key that was read.

    Args:
        schema: As for `parse`.
        path: The file.
        overrides: `key=value` or `part.key=value`, each replacing or adding one value.

    Raises:
        ConfigError: The file cannot be read, an override is no such pair, or a key or value is wrong.
    """
    content = read_yaml(path, fix="Give a YAML file such as those in configs/training.")
    return parse(schema, merge(content, overrides), str(path))


def merge(content: Mapping[Any, Any], overrides: Sequence[str]) -> dict[Any, Any]:
    """The mapping with `a.b=value` overrides applied.

    Raises:
        ConfigError: An override is not of that form.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    fix = "Give overrides as key=value or part.key=value, after the flags."
    bad = [override for override in overrides if not override.partition("=")[0] or "=" not in override]
    if bad:
        raise ConfigError(f"overrides: {', '.join(map(repr, bad))}: not of the form key=value", fix)
    try:
        merged = OmegaConf.merge(OmegaConf.create(dict(content)), OmegaConf.from_dotlist(list(overrides)))
        result = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"overrides {' '.join(overrides)}: {' '.join(str(error).split())}", fix) from None
    assert isinstance(result, dict)
    return dict(result)
