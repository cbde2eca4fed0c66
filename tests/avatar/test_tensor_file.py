import numpy as np
import pytest
from safetensors.numpy import load_file

from musetalk.avatar.tensor_file import TensorFile, TensorFileWriter
from musetalk.errors import InputError, OutputError


def write(path):
    rng = np.random.default_rng(0)
    tensors = {
        "bytes": rng.integers(0, 256, 13).astype(np.uint8),
        "boxes": rng.integers(0, 99, (5, 4)).astype(np.int32),
        "ends": np.arange(5, dtype=np.int64) ** 2,
        "latents": rng.normal(size=(5, 2, 3)).astype(np.float32),
    }
    with TensorFileWriter(path) as writer:
        for name, values in tensors.items():
            writer.append(name, values[:2])
            writer.append(name, values[2:2])
            writer.append(name, values[2:])
    return tensors


def test_the_official_reader_reads_it(tmp_path):
    tensors = write(tmp_path / "a.safetensors")
    loaded = load_file(tmp_path / "a.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, values in tensors.items():
        assert loaded[name].dtype == values.dtype
        np.testing.assert_array_equal(loaded[name], values)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_rows_are_read_alone(tmp_path):
    tensors = write(tmp_path / "a.safetensors")
    file = TensorFile(tmp_path / "a.safetensors", tuple(tensors))
    assert file.shape("latents") == (5, 2, 3)
    np.testing.assert_array_equal(file.rows("latents", 2, 4), tensors["latents"][2:4])
    assert file.rows("bytes", 3, 3).shape == (0,)
    np.testing.assert_array_equal(file.whole("boxes"), tensors["boxes"])


def test_an_empty_tensor_is_one(tmp_path):
    with TensorFileWriter(tmp_path / "a.safetensors") as writer:
        writer.append("bytes", np.zeros(0, np.uint8))
    assert TensorFile(tmp_path / "a.safetensors", ("bytes",)).shape("bytes") == (0,)


def test_after_an_error_there_is_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), TensorFileWriter(tmp_path / "a.safetensors") as writer:
        writer.append("bytes", np.zeros(3, np.uint8))
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_used_are_told(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(InputError, match="no such file"):
        TensorFile(path, ())
    write(path)
    with pytest.raises(InputError, match="lacks masks"):
        TensorFile(path, ("boxes", "masks"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="is damaged"):
        TensorFile(path, ("boxes",))
    with pytest.raises(OutputError), TensorFileWriter(tmp_path / "nowhere" / "a.safetensors") as writer:
        writer.append("bytes", np.zeros(3, np.uint8))
