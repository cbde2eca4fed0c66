"""What the user wants scored: one entry from flags, or many from a YAML or CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musetalk.config import read_yaml
from musetalk.errors import ConfigError
from musetalk.evaluation.evidence import Entry
from musetalk.schema import parse

COLUMNS = ("generated", "source", "reference", "audio", "other_audio")
_FIX = f"Give a YAML file of named entries, or a CSV file with a header, with {', '.join(COLUMNS)}."


@dataclass(frozen=True)
class EntryPaths:
    """The keys of an entry."""

    generated: Path
    source: Path | None = None
    reference: Path | None = None
    audio: Path | None = None
    other_audio: Path | None = None


@dataclass(frozen=True)
class EntryFile:
    """What a file of entries holds.

    Attributes:
        names: Of all entries, in their order.
        entries: Those that can be used.
        wrong: What is wrong with each of the others, by name.
    """

    names: list[str]
    entries: list[Entry]
    wrong: dict[str, ConfigError]


def load_entries(path: Path) -> EntryFile:
    """The entries of a file; one with wrong keys does not keep the others from being scored.

    YAML: a name, and below it the keys of `EntryPaths`. CSV: a header with these names and, if you like, `name`; empty
    cells are not given. Relative paths are relative to the working directory, as in task files.

    Raises:
        ConfigError: The file cannot be read, or holds no entry.
    """
    content = _read_csv(path) if path.suffix.lower() == ".csv" else read_yaml(path, _FIX)
    if not content:
        raise ConfigError(f"{path}: there is no entry in it", _FIX)
    file = EntryFile([str(name) for name in content], [], {})
    for name, keys in zip(file.names, content.values(), strict=True):
        try:
            paths = parse(EntryPaths, _given(keys), f"{path}: {name}")[0]
        except ConfigError as error:
            file.wrong[name] = error
        else:
            file.entries.append(Entry(name, **vars(paths)))
    return file


def _given(keys: Any) -> Any:
    """Keys without value are not given."""
    return {key: value for key, value in keys.items() if value not in (None, "")} if isinstance(keys, Mapping) else keys


def _read_csv(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = list(reader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", _FIX) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text in UTF-8", _FIX) from None
    except csv.Error as error:
        raise ConfigError(f"{path}: not valid CSV: {error}", _FIX) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}", _FIX) from None
    if "generated" not in columns:
        raise ConfigError(f"{path}: its first line names no column generated", _FIX)
    entries: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, 2):
        if None in row:
            raise ConfigError(f"{path}: line {line} has more cells than the header", _FIX)
        cells = {key: (value or "").strip() for key, value in row.items()}
        name = cells.pop("name", "") or Path(cells["generated"]).stem or f"line {line}"
        entries[_unused(name, entries)] = cells
    return entries


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name} ({number})", number + 1
    return candidate
