import threading

import numpy as np
import pytest

from musetalk.errors import InputError, OutputError
from musetalk.media.image_sequence import ImageSequence, ImageSequenceWriter


def pictures(count, height=33, width=97):
    noise = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    noise[::2] = np.arange(width)[:, None]  # every other one is smooth, and takes the coded way
    return list(noise)


def write(path, images):
    height, width = images[0].shape[:2]
    with ImageSequenceWriter(path, width, height) as writer:
        for image in images:
            writer.write(image)
    return path


@pytest.mark.parametrize("size", [(33, 97), (2, 2), (17, 1), (128, 96)])
def test_images_come_back_exactly_and_in_any_order(tmp_path, size):
    images = pictures(5, *size)
    sequence = ImageSequence(write(tmp_path / "a.images", images))
    assert (len(sequence), sequence.height, sequence.width) == (5, *size)
    for index in (3, 0, 4, 4, 1, 2):
        np.testing.assert_array_equal(sequence.read(index), images[index])
    with pytest.raises(IndexError):
        sequence.read(5)


def test_what_was_read_belongs_to_the_caller(tmp_path):
    images = pictures(2)
    sequence = ImageSequence(write(tmp_path / "a.images", images))
    sequence.read(0)[:] = 7
    np.testing.assert_array_equal(sequence.read(0), images[0])


def test_threads_read_at_the_same_time(tmp_path):
    images = pictures(40)
    sequence = ImageSequence(write(tmp_path / "a.images", images))
    wrong = []

    def read(start):
        for index in range(start, 40, 4):
            if not np.array_equal(sequence.read(index), images[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_unfinished_file_cannot_be_opened(tmp_path):
    path = tmp_path / "a.images"
    with pytest.raises(KeyboardInterrupt), ImageSequenceWriter(path, 97, 33) as writer:
        writer.write(pictures(1)[0])
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="not written to its end"):
        ImageSequence(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:20], "cut short"),
        (lambda data: b"", "cut short"),
        (lambda data: b"GIF89a" + data[6:], "no image sequence"),
        (lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "damaged index"),
        (lambda data: data[:8] + b"\x09" + data[9:], "version 9"),
    ],
)
def test_damage_is_found_when_it_is_opened(tmp_path, change, told):
    path = write(tmp_path / "a.images", pictures(3))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=told):
        ImageSequence(path)


def test_a_damaged_image_leaves_the_others(tmp_path):
    images = pictures(3)
    path = write(tmp_path / "a.images", images)
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    sequence = ImageSequence(path)
    np.testing.assert_array_equal(sequence.read(2), images[2])
    with pytest.raises(InputError, match="damaged at image 0"):
        sequence.read(0)


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.images"):
        ImageSequence(tmp_path / "none.images")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "nowhere" / "a.images", pictures(1))
