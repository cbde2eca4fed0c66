from __future__ import annotations

import collections
import os
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk import inert_pickle
from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError

ZIP = {"_use_new_zipfile_serialization": True}
LEGACY = {"_use_new_zipfile_serialization": False}
FORMATS = pytest.mark.parametrize("file_format", [ZIP, LEGACY], ids=["zip", "legacy"])


def tensors() -> dict[str, torch.Tensor]:
    shared = torch.arange(12, dtype=torch.float32)
    return {
        "a.weight": torch.linspace(-1, 1, 24).reshape(2, 3, 4),
        "a.half": torch.arange(5).half(),
        "a.bfloat16": torch.arange(5).bfloat16(),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).t(),
        "shared.first": shared[2:6],
        "shared.second": shared[6:].view(2, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def assert_same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(actual) == set(expected)
    for key, value in expected.items():
        assert actual[key].dtype == value.dtype
        assert torch.equal(actual[key], value), key


class CodeInIt:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def training_log(monkeypatch) -> object:
    """An object graph like mmengine's message hub, of a package that is gone when the file is read."""
    module = types.ModuleType("vanished_package")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history = np.arange(4.0)
            self.methods = {"mean": np.float64(0.5), "max": np.int64(3)}

    class Log(list):
        pass

    class Config(dict):
        pass

    for kind in (HistoryBuffer, Log, Config):
        kind.__module__, kind.__qualname__ = "vanished_package", kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "vanished_package", module)
    log = Log([HistoryBuffer(), HistoryBuffer()])
    return {
        "log": log,
        "queue": collections.deque([1, 2], maxlen=3),
        "counts": collections.defaultdict(list, {"loss": [HistoryBuffer()]}),
        "config": Config(lr=np.float32(1e-3)),
        "kinds": {HistoryBuffer, Log},
        "nested": (log, [HistoryBuffer]),
        "bytes": b"\x00\xff",
        "complex": 1 + 2j,
        "range": range(3),
    }


def save_with_log(path: Path, log: object, **options: object) -> None:
    torch.save({"meta": log, "state_dict": collections.OrderedDict(tensors()), "message_hub": log}, path, **options)
    sys.modules.pop("vanished_package", None)


@FORMATS
@pytest.mark.parametrize("inert", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_come_back(tmp_path, file_format, inert, wrapped):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors(), "epoch": 3} if wrapped else tensors(), path, **file_format)

    assert_same(read_state_dict(path, inert=inert), tensors())


@pytest.mark.parametrize("inert", [False, True])
def test_a_modules_own_state_dict_comes_back(tmp_path, inert):
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    path = tmp_path / "weights.bin"
    torch.save(module.state_dict(), path)

    assert_same(read_state_dict(path, inert=inert), dict(module.state_dict()))


def test_safetensors_come_back(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(2, 3), "b": torch.arange(3)}, path)

    assert_same(read_state_dict(path), {"a": torch.ones(2, 3), "b": torch.arange(3)})


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_inert_reader_takes_the_tensors_beside_objects_of_an_absent_package(
    tmp_path, training_log, file_format, protocol
):
    path = tmp_path / "dw-ll_ucoco_384.pth"
    save_with_log(path, training_log, pickle_protocol=protocol, **file_format)

    assert_same(read_state_dict(path, inert=True), tensors())
    assert "vanished_package" not in sys.modules


@FORMATS
def test_default_reader_refuses_objects_of_other_packages_and_names_them(tmp_path, training_log, file_format):
    path = tmp_path / "weights.pth"
    save_with_log(path, training_log, **file_format)

    with pytest.raises(WeightsError, match=r"holds objects other than tensors \(.*\); it was not opened"):
        read_state_dict(path)


@FORMATS
def test_foreign_objects_are_named_without_being_looked_up(tmp_path, file_format):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": tensors(), "extra": CodeInIt(tmp_path / "made")}, path, **file_format)

    content, foreign = inert_pickle.read(path)

    assert foreign == {f"{os.mkdir.__module__}.mkdir"}
    assert isinstance(content["extra"], inert_pickle.Foreign)


@FORMATS
@pytest.mark.parametrize("inert", [False, True])
@pytest.mark.parametrize("place", ["beside", "inside"])
def test_code_in_a_checkpoint_is_never_run(tmp_path, file_format, inert, place):
    made = tmp_path / "made"
    path = tmp_path / "weights.pth"
    evil = {"evil": CodeInIt(made)}
    content = {"state_dict": tensors() | evil} if place == "inside" else {"state_dict": tensors()} | evil
    torch.save(content, path, **file_format)

    if inert and place == "beside":
        assert_same(read_state_dict(path, inert=True), tensors())
    else:
        with pytest.raises(WeightsError):
            read_state_dict(path, inert=inert)

    assert not made.exists()


@pytest.mark.parametrize("inert", [False, True])
@pytest.mark.parametrize(
    "program",
    [
        b"cos\nmkdir\n(S'{made}'\ntR.",  # REDUCE
        b"(S'{made}'\nios\nmkdir\n.",  # INST
        b"(cos\nmkdir\nS'{made}'\no.",  # OBJ
        b"cos\nmkdir\n(S'{made}'\nt\x81.",  # NEWOBJ
        b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93(S'{made}'\ntR.",  # STACK_GLOBAL
        b"cbuiltins\neval\n(S'__import__(\"os\").mkdir(\"{made}\")'\ntR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}S'__globals__'\n}sb(S'{made}'\ntR.",  # BUILD on an allowed function
        b"ctorch.hub\nload_state_dict_from_url\n(S'{made}'\ntR.",
    ],
)
def test_hand_written_pickles_are_never_run(tmp_path, program, inert):
    made = tmp_path / "made"
    path = tmp_path / "weights.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program.replace(b"{made}", str(made).encode()))
        archive.writestr("archive/version", "3\n")

    with pytest.raises(WeightsError):
        read_state_dict(path, inert=inert)

    assert not made.exists()


@pytest.mark.parametrize("inert", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not here</html>", b"PK\x03\x04", b"\x80\x02", b"\x80\x02.", b"\x00" * 64, bytes(range(256))],
    ids=["empty", "html", "zip", "pickle", "underflow", "zeros", "noise"],
)
def test_files_that_are_no_checkpoint_are_refused(tmp_path, content, suffix, inert):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="weights"):
        read_state_dict(path, inert=inert)


@FORMATS
@pytest.mark.parametrize("inert", [False, True])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_cut_files_are_refused(tmp_path, file_format, inert, part):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.randn(4000), "b": torch.randn(4000)}, path, **file_format)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(path, inert=inert)


def test_cut_safetensors_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(200, 3)}, path)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(path)


def test_inert_reader_notices_changed_bytes(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(path, inert=True)


def test_a_legacy_file_that_claims_a_huge_tensor_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(100)}, path, **LEGACY)
    content = path.read_bytes()
    start = content.index(b"K\x64", content.index(b"cpu"))  # BININT1 100, the number of elements
    path.write_bytes(content[:start] + b"J" + struct.pack("<i", 2**31 - 1) + content[start + 2 :])

    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(path, inert=True)


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [1, 2], {"epoch": 3}, {1: torch.ones(1)}])
@pytest.mark.parametrize("inert", [False, True])
def test_files_without_a_state_dict_are_refused(tmp_path, content, inert):
    path = tmp_path / "weights.pth"
    torch.save(content, path)

    with pytest.raises(WeightsError, match="no state dict"):
        read_state_dict(path, inert=inert)


def test_missing_files_folders_and_other_names_are_refused(tmp_path):
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "weights.txt").write_text("hello")

    with pytest.raises(WeightsError, match=r"weights.pth: no such file"):
        read_state_dict(tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="folder"):
        read_state_dict(tmp_path / "folder.pth")
    with pytest.raises(WeightsError, match="weights"):
        read_state_dict(tmp_path / "weights.txt")


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))


def test_load_into_copies_the_values():
    source, target = network(), network()

    load_into(target, source.state_dict(), "weights.pth")

    assert_same(dict(target.state_dict()), dict(source.state_dict()))


def test_load_into_takes_what_follows_the_prefix():
    source, target = network(), network()
    state_dict = {f"net.{key}": value for key, value in source.state_dict().items()} | {"other": torch.ones(1)}

    load_into(target, state_dict, "weights.pth", prefix="net.")

    assert torch.equal(target[0].weight, source[0].weight)


def test_load_into_names_the_differences_and_copies_nothing():
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state_dict = {key: value + 1 for key, value in network().state_dict().items()}
    state_dict["0.weight"] = torch.zeros(3, 5, 1, 1)
    del state_dict["1.bias"]
    state_dict["2.weight"] = torch.zeros(1)

    with pytest.raises(WeightsError) as caught:
        load_into(target, state_dict, "unet.pth")

    assert caught.value.what == (
        "unet.pth: checkpoint of the wrong shape: 1.bias is missing, 2.weight is unknown, "
        "0.weight has the shape (3, 5, 1, 1), (3, 2, 1, 1) is needed."
    )
    assert "\n" not in caught.value.fix
    assert_same(dict(target.state_dict()), before)


def test_load_into_counts_the_differences_it_does_not_name():
    with pytest.raises(WeightsError, match="and 2 more"):
        load_into(network(), {"x": torch.ones(1)}, "unet.pth", ignore=("1.running",))


def test_load_into_leaves_ignored_keys_and_batch_counts_alone():
    source, target = network(), network()
    state_dict = dict(source.state_dict())
    del state_dict["1.num_batches_tracked"]
    state_dict["head.weight"] = torch.ones(2)

    load_into(target, state_dict, "79999_iter.pth", ignore=("head.",))

    assert torch.equal(target[0].weight, source[0].weight)
