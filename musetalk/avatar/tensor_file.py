"""Tables of numbers in one safetensors file, written row by row and read row by row, so that memory stays bounded."""

from __future__ import annotations

import json
import shutil
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from musetalk.errors import InputError, OutputError

_TYPES = {"u1": "U8", "i4": "I32", "i8": "I64", "f4": "F32"}  # numpy's name: that of safetensors
_ALIGNMENT = 8  # of the data, as the format wants it


@dataclass
class _Column:
    """A table under way: its rows are in a file of their own until the end."""

    file: BinaryIO
    path: Path
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    rows: int = 0


class TensorFileWriter:
    """Collects rows of named tensors. A context manager; the file appears at the end, after an exception it does not.

    Args:
        path: The .safetensors file; its folder also takes one temporary file for each tensor.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: dict[str, _Column] = {}
        self._opened = ExitStack()

    def __enter__(self) -> TensorFileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._assemble()
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._opened.close()
            for column in self._columns.values():
                column.path.unlink(missing_ok=True)

    def append(self, name: str, rows: np.ndarray) -> None:
        """Append rows, (n, ...) of uint8, int32, int64 or float32, to a tensor; its first rows decide shape and dtype.

        Raises:
            OutputError: The disk is full.
        """
        try:
            column = self._columns.get(name)
            if column is None:
                path = self._path.with_suffix(f".{name}")
                column = _Column(self._opened.enter_context(path.open("xb")), path, rows.dtype, rows.shape[1:])
                self._columns[name] = column
            if (rows.dtype, rows.shape[1:]) != (column.dtype, column.row_shape):
                raise ValueError(f"{name}: {rows.dtype} {rows.shape[1:]}, not {column.dtype} {column.row_shape}")
            column.file.write(np.ascontiguousarray(rows).tobytes())
        except OSError as error:
            raise self._failed(error) from error
        column.rows += len(rows)

    def _assemble(self) -> None:
        header: dict[str, Any] = {}
        end = 0
        # Wide numbers first: every tensor is then aligned to its own.
        columns = dict(sorted(self._columns.items(), key=lambda item: -item[1].dtype.itemsize))
        for name, column in columns.items():
            shape = [column.rows, *column.row_shape]
            size = int(np.prod(shape)) * column.dtype.itemsize
            header[name] = {"dtype": _TYPES[column.dtype.str[1:]], "shape": shape, "data_offsets": [end, end + size]}
            end += size
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % _ALIGNMENT)
        with self._path.open("xb") as target:
            target.write(struct.pack("<Q", len(head)) + head)
            for column in columns.values():
                column.file.close()
                with column.path.open("rb") as rows:
                    shutil.copyfileobj(rows, target, 1 << 20)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written: {error.strerror or error}",
            "Free some space, or choose a folder that you may write to.",
        )


class TensorFile:
    """Reads what `TensorFileWriter` made. Rows are read when asked for; any thread may ask."""

    def __init__(self, path: str | Path, names: tuple[str, ...]) -> None:
        """Open a file and check that it is whole.

        Args:
            path: The file.
            names: Tensors that it must have.

        Raises:
            InputError: It is missing, cut short, something else, or lacks a tensor.
        """
        from safetensors import SafetensorError, safe_open

        self.path = Path(path)
        try:
            self._file: Any = safe_open(self.path, framework="numpy")
        except FileNotFoundError:
            raise self._damaged("no such file") from None
        except (SafetensorError, OSError) as error:
            raise self._damaged(f"is damaged: {' '.join(str(error).split())}") from None
        missing = [name for name in names if name not in self._file.keys()]  # noqa: SIM118  it is no mapping
        if missing:
            raise self._damaged(f"lacks {', '.join(missing)}")
        self._slices = {name: self._file.get_slice(name) for name in names}

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._slices[name].get_shape())

    def whole(self, name: str) -> np.ndarray:
        """All of a tensor."""
        return self._file.get_tensor(name)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows start ... stop-1 of a tensor, the caller's own."""
        return self._slices[name][start:stop]

    def close(self) -> None:
        """Let go of the file; nothing can be read any more."""
        self._slices.clear()
        self._file.__exit__(None, None, None)

    def _damaged(self, how: str) -> InputError:
        return InputError(f"{self.path}: {how}", "Prepare the avatar again with --rebuild.")
