import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from media_factory import tone, write_sound

from musetalk.errors import InputError
from musetalk.media import byte_reader, pcm
from musetalk.media.audio_file import read_audio
from musetalk.media.byte_reader import SelectReader, ThreadReader
from musetalk.media.pcm import open_pcm
from musetalk.media.pcm_format import ENCODINGS, PcmDecoder, PcmFormat, wav_start

RATE = 16000
PATIENCE = 30  # seconds until a test that hangs fails

posix = pytest.mark.skipif(os.name == "nt", reason="named pipes of POSIX")


@pytest.fixture
def pipe(monkeypatch):
    """Standard input is a pipe; gives its other end, an unbuffered file."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as stdin, os.fdopen(writing, "wb", 0) as other:
        monkeypatch.setattr("sys.stdin", stdin)
        yield other


def s16(samples):
    return (np.asarray(samples) * 32767).round().astype("<i2").tobytes()


def joined(blocks):
    return np.concatenate([block for block in blocks if block is not None] or [np.zeros(0, np.float32)])


# Bytes to samples


@pytest.mark.parametrize(
    ("encoding", "data", "samples"),
    [
        ("s16le", struct.pack("<3h", 0, 16384, -32768), [0, 0.5, -1]),
        ("s24le", bytes([0, 0, 0, 0, 0, 0x40, 0, 0, 0x80, 0xFF, 0xFF, 0xFF]), [0, 0.5, -1, -1 / (1 << 23)]),
        ("s32le", struct.pack("<3i", 0, 1 << 30, -(1 << 31)), [0, 0.5, -1]),
        ("f32le", struct.pack("<3f", 0, 0.25, -1), [0, 0.25, -1]),
        ("u8", bytes([128, 192, 0]), [0, 0.5, -1]),
        ("mulaw", bytes([0xFF, 0x7F, 0x00, 0x80]), [0, 0, -32124 / 32768, 32124 / 32768]),
        ("alaw", bytes([0xD5, 0x55, 0x2A, 0xAA]), [8 / 32768, -8 / 32768, -32256 / 32768, 32256 / 32768]),
    ],
)
def test_encodings_by_hand(encoding, data, samples):
    np.testing.assert_allclose(PcmDecoder(PcmFormat(encoding=encoding)).push(data), samples, atol=1e-7)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_samples_may_be_cut_anywhere(encoding, channels):
    format = PcmFormat(48000, encoding, channels)
    data = np.random.default_rng(0).integers(0, 256, 40 * format.frame_bytes, np.uint8).tobytes()
    whole = PcmDecoder(format).push(data)
    assert len(whole) == 40 and np.isfinite(whole).all() and np.abs(whole).max() <= 1
    decoder = PcmDecoder(format)
    np.testing.assert_array_equal(np.concatenate([decoder.push(data[k : k + 1]) for k in range(len(data))]), whole)


def test_channels_are_averaged_and_numbers_mended():
    decoder = PcmDecoder(PcmFormat(encoding="f32le", channels=2))
    data = np.array([[0.5, 0.25], [np.nan, 0.5], [np.inf, -np.inf], [3.0, 3.0], [-9.0, 1.0]], "<f4")
    np.testing.assert_allclose(decoder.push(data.tobytes()), [0.375, 0.25, 0, 1, 0])


@pytest.mark.parametrize(
    "wrong", [{"encoding": "s12be"}, {"rate": 0}, {"rate": 10**6}, {"channels": 0}, {"channels": 1000}]
)
def test_impossible_formats_are_refused(wrong):
    with pytest.raises(InputError) as caught:
        PcmFormat(**wrong)
    assert str(next(iter(wrong.values()))) in caught.value.what and caught.value.fix


# Standard input and pipes


def test_standard_input_from_first_to_last_sample(pipe):
    samples = np.linspace(-1, 1, 5000)
    pipe.write(s16(samples)[:-1] + b"x"[:1])
    pipe.write(b"y")  # half a sample at the end
    pipe.close()
    sound = joined(open_pcm("-"))
    assert sound.dtype == np.float32 and sound.ndim == 1 and len(sound) == 5000
    np.testing.assert_allclose(sound[:-1], samples[:-1], atol=1e-3)


def test_a_stall_says_so_and_the_sound_goes_on(pipe):
    with open_pcm("-", timeout=0) as sound:
        assert next(sound) is None
        pipe.write(s16([0.5] * 100))
        assert len(next(sound)) == 100
        assert next(sound) is None and next(sound) is None
        pipe.write(s16([0.25])[:1])
        assert [block for block in (next(sound), next(sound)) if block is not None] == []
        pipe.write(s16([0.25])[1:])
        np.testing.assert_allclose(next(sound), [0.25], atol=1e-4)
        pipe.close()
        assert list(sound) == []


def test_empty_standard_input_ends_at_once(pipe):
    pipe.close()
    assert list(open_pcm("-")) == []


@pytest.mark.parametrize(("rate", "frequency"), [(8000, 1000), (24000, 3000), (44100, 440), (48000, 3000)])
def test_other_rates_become_16_khz(pipe, rate, frequency):
    pipe.write(s16(0.5 * np.sin(2 * np.pi * frequency * np.arange(rate // 2) / rate)))
    pipe.close()
    sound = joined(open_pcm("-", PcmFormat(rate)))
    assert len(sound) == RATE // 2
    expected = 0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE // 2) / RATE)
    np.testing.assert_allclose(sound[400:-400], expected[400:-400], atol=2e-3)


def test_a_terminal_is_no_sound(monkeypatch):
    if os.name == "nt":
        pytest.skip("no pseudo-terminals")
    leader, follower = os.openpty()
    with os.fdopen(follower, "rb", 0) as terminal, os.fdopen(leader, "rb", 0):
        monkeypatch.setattr("sys.stdin", terminal)
        with pytest.raises(InputError, match="terminal"):
            open_pcm("-")


def test_closed_standard_input_is_told(monkeypatch, pipe):
    with os.fdopen(os.dup(pipe.fileno()), "wb") as closed:
        pass
    monkeypatch.setattr("sys.stdin", closed)
    with pytest.raises(InputError, match="closed"):
        open_pcm("-")


@posix
def test_a_named_pipe_waits_for_its_writer(tmp_path):
    path = tmp_path / "sound"
    os.mkfifo(path)
    with open_pcm(path, timeout=0) as sound:
        assert next(sound) is None
        with path.open("wb", buffering=0) as writer:
            writer.write(s16([0.5] * 10))
            assert len(next(sound)) == 10
            assert next(sound) is None
        assert list(sound) == []


@posix
@pytest.mark.parametrize("kind", [SelectReader, ThreadReader])
def test_close_wakes_a_reader_in_another_thread(pipe, monkeypatch, kind):
    monkeypatch.setattr(pcm, "open_reader", kind)
    sound = open_pcm("-", timeout=PATIENCE)
    found = []
    thread = threading.Thread(target=lambda: found.extend(sound))
    thread.start()
    sound.close()
    sound.close()
    thread.join(PATIENCE / 2)
    assert not thread.is_alive() and found == []
    pipe.close()


@pytest.mark.parametrize("kind", [SelectReader, ThreadReader])
def test_both_readers_give_all_bytes_and_the_end(kind):
    reading, writing = os.pipe()
    reader = kind(reading, True)
    assert reader.read(0) is None
    os.write(writing, b"abc")
    assert reader.read(PATIENCE) == b"abc"
    os.close(writing)
    assert reader.read(PATIENCE) == b""
    reader.close()
    assert reader.read(PATIENCE) == b""


@posix
def test_close_inside_a_read_as_signal_handlers_do(monkeypatch):
    reading, writing = os.pipe()
    reader = SelectReader(reading, True)
    select = byte_reader.select.select

    def interrupted(*arguments):
        reader.close()
        return select(*arguments)

    monkeypatch.setattr(byte_reader.select, "select", interrupted)
    assert reader.read(PATIENCE) == b""
    with pytest.raises(OSError):
        os.fstat(reading)
    os.close(writing)


@posix
def test_descriptors_are_returned(tmp_path):
    path = tmp_path / "sound"
    os.mkfifo(path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with open_pcm(path, timeout=0) as sound:
            next(sound)
    assert len(os.listdir("/dev/fd")) == before
    with path.open("rb+", buffering=0):
        pass


# WAV through a pipe


def wav(samples, tag=1, bits=16, rate=RATE, channels=1, size=None, before=b"", behind=b"", extensible=False):
    format = struct.pack(
        "<HHIIHH",
        0xFFFE if extensible else tag,
        channels,
        rate,
        rate * channels * bits // 8,
        channels * bits // 8,
        bits,
    )
    if extensible:
        format += struct.pack("<HHIH", 22, bits, 4, tag) + bytes(14)
    head = b"fmt " + struct.pack("<I", len(format)) + format + before
    body = b"data" + struct.pack("<I", len(samples) if size is None else size) + samples + behind
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(body)) + b"WAVE" + head + body


LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"


@pytest.mark.parametrize("options", [{}, {"size": 0}, {"size": 0xFFFFFFFF}, {"before": LIST}, {"extensible": True}])
@pytest.mark.parametrize("piece", [1, 1000])
def test_a_wav_through_a_pipe_tells_its_format_itself(pipe, options, piece):
    data = wav(s16([0.5] * 300), **options)
    for start in range(0, len(data), piece):
        pipe.write(data[start : start + piece])
    pipe.close()
    sound = joined(open_pcm("-", PcmFormat(48000, "f32le", 2)))
    np.testing.assert_allclose(sound, [0.5] * 300, atol=1e-4)


def test_what_follows_the_samples_of_a_wav_is_not_played(pipe):
    pipe.write(wav(s16([0.5] * 301), behind=LIST * 20))
    pipe.close()
    np.testing.assert_allclose(joined(open_pcm("-")), [0.5] * 301, atol=1e-4)


@pytest.mark.parametrize(("codec", "encoding"), [("pcm_mulaw", "mulaw"), ("pcm_alaw", "alaw"), ("pcm_s24le", "s24le")])
def test_encodings_agree_with_ffmpegs(tmp_path, codec, encoding):
    path = write_sound(tmp_path / "a.wav", tone(0.1, RATE) * 1.9, RATE, codec)
    data = path.read_bytes()
    start = wav_start(data)
    assert start.format == PcmFormat(RATE, encoding, 1)
    samples = PcmDecoder(start.format).push(data[start.header : start.header + start.size])
    np.testing.assert_allclose(samples, read_audio(path), atol=1e-6)


@pytest.mark.parametrize(
    "broken",
    [
        wav(b"xx", tag=2, bits=4),
        b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16),
        b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f" + bytes(16),
        b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0" + bytes(16),
    ],
    ids=["compressed", "no format", "endless junk", "short format"],
)
def test_a_wav_that_is_not_plain_is_told(pipe, broken):
    pipe.write(broken)
    pipe.close()
    with pytest.raises(InputError, match="WAV"):
        list(open_pcm("-"))


# Files and arrays


def test_a_file_of_any_kind_in_blocks(tmp_path):
    path = write_sound(tmp_path / "a.flac", tone(2, 44100, channels=2), 44100, "flac")
    blocks = list(open_pcm(path))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), read_audio(path))


@pytest.mark.parametrize("suffix", [".pcm", ".RAW"])
def test_raw_files_have_the_format_given(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(bytes([128, 192] * 500))
    sound = joined(open_pcm(path, PcmFormat(8000, "u8", 2)))
    assert len(sound) == 1000
    np.testing.assert_allclose(sound[200:800], 0.25, atol=1e-3)


def make_text(path):
    path.write_text("no sound")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("missing.wav", lambda path: None),
        ("missing.pcm", lambda path: None),
        ("folder.pcm", Path.mkdir),
        ("empty.pcm", Path.touch),
        ("text.wav", make_text),
    ],
)
def test_unusable_files_are_told_on_opening(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        open_pcm(tmp_path / name)
    assert name in caught.value.what


def test_arrays_of_a_program(pipe):
    arrays = [
        np.array([0.5, np.nan, 2.0]),
        None,
        np.array([[16384, 0]], np.int16),
        np.zeros(0, np.float32),
        np.array([[0.5, 0.25]], np.float32),
    ]
    blocks = list(open_pcm(arrays))
    assert blocks[1] is None
    np.testing.assert_allclose(joined(blocks), [0.5, 0, 1, 0.25, 0.375], atol=1e-6)
    assert len(joined(open_pcm([np.zeros(441)] * 100, PcmFormat(44100)))) == RATE


# Pacing


class FakeTime:
    def __init__(self):
        self.now = 50.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds


def test_a_paced_file_comes_as_it_would_be_spoken(tmp_path):
    time = FakeTime()
    path = write_sound(tmp_path / "a.wav", tone(1, RATE), RATE)
    heard = 0
    for block in open_pcm(path, paced=True, clock=time.clock, sleep=time.sleep):
        heard += len(block)
        assert time.now - 50 == pytest.approx(heard / RATE, abs=1e-6)
        assert len(block) <= RATE / 50
    assert heard == RATE


def test_a_slow_listener_catches_up_without_drift():
    time = FakeTime()
    blocks = open_pcm([np.zeros(RATE)], paced=True, clock=time.clock, sleep=time.sleep)
    for _ in range(10):
        next(blocks)
    time.now += 0.5
    before = time.now
    for _ in range(25):
        next(blocks)
    assert time.now == before
    assert sum(map(len, blocks)) and time.now == pytest.approx(51.0)


def test_after_a_stall_the_pace_begins_anew():
    time = FakeTime()

    def arrays():
        yield np.zeros(3200)
        time.now += 10
        yield None
        yield np.zeros(3200)

    stamps = [time.now - 50 for _ in open_pcm(arrays(), paced=True, clock=time.clock, sleep=time.sleep)]
    np.testing.assert_allclose(stamps[10:], [10.2, *(10.2 + 0.02 * k for k in range(1, 11))], atol=1e-6)


def test_closing_ends_a_paced_wait():
    """The default sleep is a wait that `close` ends: 100 s of sound are not waited for."""
    sound = open_pcm([np.zeros(RATE * 100)], paced=True)
    thread = threading.Thread(target=lambda: list(sound))
    thread.start()
    sound.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
