"""Reads the tensors of a PyTorch checkpoint whose pickle also holds objects of other packages.

`torch.load(weights_only=True)` refuses such a file and `weights_only=False` runs whatever the file names. This module
does neither: it walks the pickle's opcodes with `pickletools` (which only decodes them) on a stack machine of its own.
The machine knows numbers, strings, containers and torch's few ways to write a tensor. Everything else that the file
names becomes an inert `Foreign`: no module is imported, no class is looked up and no function of the file is called,
so there is nothing for code in the file to run on.

Both formats of `torch.save` are read: the zip archive (torch >= 1.6) and the older sequence of pickles.
"""

from __future__ import annotations

import pickletools
import struct
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import torch

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # first pickle of the older format (published: torch.serialization)
LEGACY_PROTOCOL = 1001

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_TENSOR_FUNCTIONS = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")}
_PARAMETER_FUNCTIONS = {("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state")}
_DICT_CLASSES = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict")}

# What a damaged or hostile pickle can make the machine or torch raise.
DAMAGED = (ValueError, TypeError, LookupError, EOFError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile)


class Foreign:
    """Stands for an object of a class or function that this reader does not know. It has no behaviour."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Foreign({self.name})"


@dataclass(frozen=True)
class _Global:
    """A class or function named in the file: its name, never the thing."""

    module: str
    name: str

    @property
    def path(self) -> tuple[str, str]:
        return ("builtins" if self.module == "__builtin__" else self.module, self.name)


@dataclass(frozen=True)
class _Storage:
    """The elements that one or more tensors of the file share, in one dimension."""

    data: torch.Tensor


class _Mark:
    pass


class _Machine:
    """Runs one pickle's opcodes without calling or importing anything it names."""

    def __init__(self, storages: _Storages) -> None:
        self._storages = storages
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self.foreign: set[str] = set()

    def run(self, file: BinaryIO | bytes) -> object:
        for opcode, argument, _ in pickletools.genops(file):
            self._step(opcode.name, argument)
        return self._stack.pop()

    # The opcodes' meanings are those documented in the standard library's pickletools.
    def _step(self, name: str, argument: object) -> None:
        stack = self._stack
        if name in _PUSHES_ITS_ARGUMENT:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("PROTO", "FRAME", "STOP"):
            pass
        elif name == "MARK":
            stack.append(_Mark())
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(self._top(count))]
        elif name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = self._pop_to_mark()
            stack.append(_collect(name, items))
        elif name in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(self._named(name, argument))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"):
            self._make(name, argument)
        elif name == "BUILD":
            stack.pop()  # An object's state: only a Foreign or an OrderedDict has one, and neither wants it.
        elif name in ("PERSID", "BINPERSID"):
            stack.append(self._storages.open(stack.pop() if name == "BINPERSID" else argument))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[_integer(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[_integer(argument)])
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._pop_to_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            raise ValueError(f"the pickle uses {name}, which no checkpoint needs")

    def _top(self, count: int) -> list[object]:
        if len(self._stack) < count:
            raise ValueError("the pickle takes more from its stack than it put there")
        return self._stack[-count:]

    def _pop_to_mark(self) -> list[object]:
        items: list[object] = []
        while not isinstance(self._stack[-1], _Mark):
            items.append(self._stack.pop())
        self._stack.pop()
        return items[::-1]

    def _fill(self, name: str) -> None:
        count = {"APPEND": 1, "SETITEM": 2}.get(name)
        if count is None:
            items = self._pop_to_mark()
        else:
            items = self._top(count)
            del self._stack[-count:]
        target = self._stack[-1]
        if isinstance(target, list) and name in ("APPEND", "APPENDS"):
            target.extend(items)
        elif isinstance(target, set) and name == "ADDITEMS":
            target.update(items)
        elif isinstance(target, dict) and name in ("SETITEM", "SETITEMS"):
            target.update(_pairs(items))
        elif not isinstance(target, Foreign):
            raise ValueError(f"the pickle applies {name} to a {type(target).__name__}")

    def _named(self, name: str, argument: object) -> _Global:
        if name == "GLOBAL":
            module, attribute = str(argument).split(" ", 1)
        else:
            module, attribute = (str(part) for part in self._top(2))
            del self._stack[-2:]
        return _Global(module, attribute)

    def _make(self, name: str, argument: object) -> None:
        function: object
        if name == "INST":
            arguments: object = tuple(self._pop_to_mark())
            function = self._named("GLOBAL", argument)
        elif name == "OBJ":
            function, *rest = self._pop_to_mark()
            arguments = tuple(rest)
        else:
            if name == "NEWOBJ_EX":
                self._stack.pop()  # keyword arguments
            function, arguments = self._top(2)
            del self._stack[-2:]
        self._stack.append(self._build(function, arguments))

    def _build(self, function: object, arguments: object) -> object:
        path = function.path if isinstance(function, _Global) else ("", type(function).__name__)
        if path in _DICT_CLASSES:
            return dict(_dict_items(arguments))
        if path in _TENSOR_FUNCTIONS and isinstance(arguments, tuple):
            return _tensor(*arguments[:4])
        if path in _PARAMETER_FUNCTIONS and isinstance(arguments, tuple) and isinstance(arguments[0], torch.Tensor):
            return arguments[0]
        name = ".".join(part for part in path if part)
        self.foreign.add(name)
        return Foreign(name)


_PUSHES_ITS_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE"),
    *("BINBYTES", "BINBYTES8", "SHORT_BINBYTES", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set}


def _integer(argument: object) -> int:
    if not isinstance(argument, int):
        raise ValueError("the pickle numbers an entry of its memo with something else than a number")
    return argument


def _pairs(items: list[object]) -> Iterable[tuple[object, object]]:
    return zip(items[::2], items[1::2], strict=True)


def _collect(name: str, items: list[object]) -> object:
    if name == "TUPLE":
        return tuple(items)
    if name == "LIST":
        return items
    if name == "DICT":
        return dict(_pairs(items))
    return frozenset(items)


def _dict_items(arguments: object) -> Iterable[tuple[object, object]]:
    """The pairs in OrderedDict's constructor arguments: none, or `([[key, value], ...],)` as Python 2 wrote it."""
    if isinstance(arguments, tuple) and arguments and isinstance(arguments[-1], (list, tuple)):
        return [(key, value) for key, value in arguments[-1]]
    return []


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor of the file has no storage")
    return storage.data.as_strided(size, stride, offset)


def _checked_dtype(kind: object) -> torch.dtype:
    if not isinstance(kind, _Global) or kind.module != "torch" or kind.name not in _DTYPES:
        raise ValueError("a tensor of the file has an unknown storage type")
    return _DTYPES[kind.name]


class _Storages(Protocol):
    def open(self, identifier: object) -> object: ...


class _NoStorages:
    def open(self, identifier: object) -> object:
        raise ValueError("the file's header refers to tensors")


class _ZipStorages:
    """Tensor data of the zip format: one stored (never compressed) record `data/KEY` for each storage."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        self._archive = archive
        self._folder = folder
        self._opened: dict[str, _Storage] = {}

    def open(self, identifier: object) -> object:
        kind, storage_type, key, _, count = _identifier(identifier, 5)
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int):
            raise ValueError("a tensor of the file has a malformed storage")
        if key not in self._opened:
            dtype = _checked_dtype(storage_type)
            data = bytearray(_stored(self._archive, f"{self._folder}/data/{key}"))
            if len(data) != count * dtype.itemsize:
                raise ValueError(f"the storage {key} holds {len(data)} bytes, {count * dtype.itemsize} are needed")
            self._opened[key] = _Storage(torch.frombuffer(data, dtype=dtype) if count else torch.empty(0, dtype=dtype))
        return self._opened[key]


class _LegacyStorages:
    """Tensor data of the older format. It lies after the pickle, so the storages are filled in place later."""

    def __init__(self, file_size: int) -> None:
        self._left = file_size
        self.opened: dict[str, _Storage] = {}

    def open(self, identifier: object) -> object:
        kind, storage_type, key, _, count, view = _identifier(identifier, 6)
        if kind != "storage" or not isinstance(key, str) or not isinstance(count, int) or count < 0 or view is not None:
            raise ValueError("a tensor of the file has a malformed storage")
        if key not in self.opened:
            dtype = _checked_dtype(storage_type)
            self._left -= count * dtype.itemsize  # Before allocating: a short file may claim any size.
            if self._left < 0:
                raise ValueError("the file is shorter than its tensors")
            self.opened[key] = _Storage(torch.zeros(count, dtype=dtype))
        return self.opened[key]


def _identifier(identifier: object, length: int) -> tuple:
    if not isinstance(identifier, tuple) or len(identifier) != length:
        raise ValueError("a tensor of the file has a malformed storage")
    return identifier


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """One record's bytes; zipfile checks their CRC."""
    record = archive.getinfo(name)
    if record.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"the record {name} is compressed")
    return archive.read(record)


def _read_zip(path: Path) -> tuple[object, set[str]]:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError("the archive has no data.pkl")
        folder = pickles[0].split("/")[0]
        order = f"{folder}/byteorder"
        if order in archive.namelist() and _stored(archive, order) != sys.byteorder.encode():
            raise ValueError("the file was written on a machine of the other byte order")
        machine = _Machine(_ZipStorages(archive, folder))
        return machine.run(_stored(archive, pickles[0])), machine.foreign


def _read_legacy(path: Path) -> tuple[object, set[str]]:
    with path.open("rb") as file:
        header = [_Machine(_NoStorages()).run(file) for _ in range(3)]
        if header[:2] != [LEGACY_MAGIC_NUMBER, LEGACY_PROTOCOL]:
            raise ValueError("the file is no checkpoint of PyTorch")
        storages = _LegacyStorages(path.stat().st_size)
        machine = _Machine(storages)
        content = machine.run(file)
        keys = _Machine(_NoStorages()).run(file)
        if not isinstance(keys, list) or set(keys) != set(storages.opened):
            raise ValueError("the file's list of tensors does not match its content")
        for key in keys:
            data = storages.opened[key].data
            (count,) = struct.unpack("<q", file.read(8))
            if count != data.numel():
                raise ValueError(f"the storage {key} has {count} elements, {data.numel()} are needed")
            raw = bytearray(file.read(data.nbytes))
            if len(raw) != data.nbytes:
                raise ValueError("the file is cut short")
            if count:
                data.copy_(torch.frombuffer(raw, dtype=data.dtype))
        return content, machine.foreign


def read(path: Path) -> tuple[object, set[str]]:
    """The content of a PyTorch checkpoint with tensors, numbers, strings and containers; all else inert.

    Returns:
        The file's object, `Foreign` in the place of each object of another kind, and the names of those kinds.

    Raises:
        One of `DAMAGED` if the file is not a whole checkpoint; OSError if it cannot be read.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == ZIP_MAGIC
    return _read_zip(path) if is_zip else _read_legacy(path)
