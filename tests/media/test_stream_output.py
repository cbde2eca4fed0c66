import io
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from media_factory import HEIGHT, WIDTH, media_facts, numbered_frame, read_number

from musetalk.errors import DeviceError, OutputError
from musetalk.media import live_encoder
from musetalk.media.live_encoder import EncoderSettings
from musetalk.media.stream_output import OutputSettings, StreamOutput

FPS = Fraction(25)
RATE = 16000
FLASHES = (10, 25, 40)
PATIENCE = 60  # seconds until a test that hangs fails

posix = pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")


def flash(number):
    return np.full((HEIGHT, WIDTH, 3), 230 if number in FLASHES else 20, np.uint8)


def beep(number, samples=RATE // 25):
    loud = 0.8 * np.sin(np.arange(samples) * 0.8) if number in FLASHES else np.zeros(samples)
    return loud.astype(np.float32)


def write(output, frames, picture=numbered_frame, first=0):
    for number in range(first, first + frames):
        output.write_frame(picture(number))
        output.write_sound(beep(number))


def decoded(source):
    """(time, frame BGR) of a file, or of bytes that hold one."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else "file:" + str(source)
    with av.open(opened) as container:
        return [(frame.pts * frame.time_base, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def sound_of(source):
    """Start in seconds, samples at 48 kHz."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else "file:" + str(source)
    with av.open(opened) as container:
        frames = list(container.decode(audio=0))
    assert {frame.sample_rate for frame in frames} == {48000}
    return frames[0].pts * frames[0].time_base, np.concatenate([frame.to_ndarray()[0] for frame in frames])


def check_flashes_and_beeps(source, frames):
    """Every frame is there, at equal distances, and each flash begins with its beep."""
    pictures = decoded(source)
    assert len(pictures) == frames
    start = pictures[0][0]
    assert all(abs(time - start - number / FPS) <= Fraction(1, 1000) for number, (time, _) in enumerate(pictures))
    flashes = [time for time, picture in pictures if picture.mean() > 128]
    assert [round((time - start) * FPS) for time in flashes] == list(FLASHES)
    sound_start, samples = sound_of(source)
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    begins = [loud[0], *(after for before, after in pairwise(loud) if after - before > 4800)]
    beeps = [float(sound_start) + begin / 48000 for begin in begins]
    np.testing.assert_allclose(beeps, [float(time) for time in flashes], atol=0.002)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv", "new folder/it's 50%.mov"])
def test_files_hold_all_frames_and_sound_in_step(tmp_path, name):
    path = tmp_path / name
    with StreamOutput(path, WIDTH, HEIGHT, FPS) as output:
        write(output, 60, flash)
    assert (output.frames, output.encoded, output.skipped, output.samples) == (60, 60, 0, 60 * 640)
    check_flashes_and_beeps(path, 60)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_file_says_what_it_holds(tmp_path):
    path = tmp_path / "a.mp4"
    with StreamOutput(path, 161, 95, Fraction(30000, 1001)) as output:
        for number in range(45):
            output.write_frame(numbered_frame(number, 161, 95))
            output.write_sound(beep(number, 534))
    facts = media_facts(path)
    assert (facts.frame_count, facts.size, facts.video_codec, facts.audio_codec) == (45, (162, 96), "h264", "aac")
    assert facts.fps == Fraction(30000, 1001) and facts.audio_channels == 1
    assert facts.color == (1, 1, 1, 1)  # limited range, BT.709
    assert facts.moov_first
    assert [read_number(frame) for _, frame in decoded(path)] == list(range(45))


def test_colours_survive(tmp_path):
    colours = [(20, 40, 200), (200, 60, 20), (40, 180, 60), (128, 128, 128), (235, 235, 235)]
    with StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS, sample_rate=None) as output:
        for colour in colours:
            output.write_frame(np.full((HEIGHT, WIDTH, 3), colour, np.uint8))
    for colour, (_, frame) in zip(colours, decoded(tmp_path / "a.mp4"), strict=True):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), colour, atol=4)


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_sound_of_any_rate_keeps_its_length_and_pitch(tmp_path, rate):
    path = tmp_path / "a.mp4"
    with StreamOutput(path, WIDTH, HEIGHT, FPS, sample_rate=rate) as output:
        tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)).astype(np.float32)
        for number in range(50):
            output.write_frame(numbered_frame(number))
            output.write_sound(tone[number * rate // 25 : (number + 1) * rate // 25])
    _, samples = sound_of(path)
    assert 2 <= len(samples) / 48000 <= 2.05
    spectrum = np.abs(np.fft.rfft(samples[24000:72000]))
    assert spectrum.argmax() == 1000
    assert 0.45 < np.abs(samples[24000:72000]).max() < 0.56


def test_a_growing_file_can_be_played(tmp_path):
    path = tmp_path / "a.mp4"
    with StreamOutput(path, WIDTH, HEIGHT, FPS, settings=OutputSettings(queue_seconds=0)) as output:
        write(output, 60)
        taken = 60 - output.behind
        numbers = [read_number(frame) for _, frame in decoded(path.read_bytes())]
        # Half a second may be in the fragment that is not finished, and a frame in the encoder.
        assert taken >= 50 and len(numbers) >= taken - 14
        assert numbers == list(range(len(numbers)))
        write(output, 20, first=60)
    assert [read_number(frame) for _, frame in decoded(path)] == list(range(80))


# The lifetime of the program

CHILD = """
import sys
from fractions import Fraction
sys.path.insert(0, sys.argv[2])
from media_factory import HEIGHT, WIDTH, numbered_frame
import numpy as np
from musetalk.cli import run_command
from musetalk.media.stream_output import OutputSettings, StreamOutput

def main():
    with StreamOutput(sys.argv[1], WIDTH, HEIGHT, Fraction(25), settings=OutputSettings(queue_seconds=0)) as output:
        number = 0
        while True:
            output.write_frame(numbered_frame(number % 1024))
            output.write_sound(np.zeros(640, np.float32))
            number += 1
            if number == 70:
                print(output.encoded, flush=True)

sys.exit(run_command(main))
"""


@contextmanager
def streaming(target):
    """A program that would stream for ever, once it has said how many frames are encoded; killed in the end."""
    command = [sys.executable, "-c", CHILD, str(target), str(Path(__file__).parents[1])]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2])
    try:
        yield child, int(child.stdout.readline())
    finally:
        child.kill()


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8"])
def test_a_signal_leaves_a_whole_file(tmp_path, number, code, name):
    with streaming(tmp_path / name) as (child, encoded):
        child.send_signal(number)
        _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == code and b"Traceback" not in errors
    if name.endswith("m3u8"):
        assert (tmp_path / name).read_text().rstrip().endswith("#EXT-X-ENDLIST")
    else:
        numbers = [read_number(frame) for _, frame in decoded(tmp_path / name)]
        assert len(numbers) >= encoded >= 60
        assert numbers == [number % 1024 for number in range(len(numbers))]
        start, samples = sound_of(tmp_path / name)
        assert abs(float(start) + len(samples) / 48000 - len(numbers) / 25) < 0.1


@posix
def test_even_sigkill_leaves_what_was_written(tmp_path):
    with streaming(tmp_path / "a.mp4") as (child, encoded):
        child.kill()
        child.communicate(timeout=PATIENCE)
    numbers = [read_number(frame) for _, frame in decoded(tmp_path / "a.mp4")]
    assert len(numbers) >= encoded - 14
    assert numbers == [number % 1024 for number in range(len(numbers))]


def test_an_exception_passes_and_the_file_is_finished(tmp_path):
    with pytest.raises(KeyError), StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS) as output:
        write(output, 30)
        raise KeyError("engine")
    assert len(decoded(tmp_path / "a.mp4")) == 30


def test_an_empty_stream_is_closed_cleanly(tmp_path):
    with StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS):
        pass
    StreamOutput(tmp_path / "b.mp4", WIDTH, HEIGHT, FPS).close()
    assert not (tmp_path / "b.mp4").exists()


# Pipes and those who read them


class Reader(threading.Thread):
    """Reads a pipe to its end."""

    def __init__(self, descriptor):
        super().__init__(daemon=True)
        self.descriptor = descriptor
        self.data = b""
        self.start()

    def run(self):
        with os.fdopen(self.descriptor, "rb") as pipe:
            self.data = pipe.read()


@posix
@pytest.mark.parametrize("container", [None, "mp4", "matroska", "flv"])
def test_a_pipe_carries_it_all(container):
    reading, writing = os.pipe()
    reader = Reader(reading)
    with StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS, settings=OutputSettings(container=container)) as output:
        write(output, 60, flash)
    os.close(writing)
    reader.join(PATIENCE)
    check_flashes_and_beeps(reader.data, 60)


@posix
def test_standard_output(tmp_path):
    script = CHILD.replace("while True:", "while number < 40:")
    command = [sys.executable, "-c", script.replace("number == 70", "False"), "-", str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, cwd=Path(__file__).parents[2], timeout=PATIENCE, check=False)
    assert [read_number(frame) for _, frame in decoded(done.stdout)] == list(range(40)), done.stderr


@posix
def test_the_other_side_closing_is_told_once(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    output = StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS)
    with pytest.raises(OutputError, match="closed"), output:
        while True:
            write(output, 1)
    output.close()
    os.close(writing)


@posix
def test_closing_tells_what_no_write_did():
    reading, writing = os.pipe()
    os.close(reading)
    output = StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS)
    output.start()
    output.write_frame(numbered_frame(0))
    with pytest.raises(OutputError, match="closed"):
        output.close()
    output.close()
    os.close(writing)


def noisy_frame(number):
    """A numbered frame that needs many bytes."""
    frame = numbered_frame(number % 1024)
    frame[HEIGHT // 2 :] = np.random.default_rng(number).integers(0, 256, frame[HEIGHT // 2 :].shape)
    return frame


@posix
def test_a_live_stream_skips_frames_while_nobody_reads_and_keeps_its_time():
    reading, writing = os.pipe()
    settings = OutputSettings(live=True, queue_seconds=0.4, patience=PATIENCE)
    with StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS, settings=settings) as output:
        write(output, 250, noisy_frame)
        assert output.skipped > 150 and output.silenced > 0
        assert output.frames == 250 and output.behind <= 10
        assert len(output._queue) <= 2 * (10 + 20) + 1  # frames, sound, and lengths of silence between them
        reader = Reader(reading)
    os.close(writing)
    reader.join(PATIENCE)
    pictures = decoded(reader.data)
    assert len(pictures) == output.encoded == 250 - output.skipped
    start = pictures[0][0]
    assert [round((time - start) * FPS) for time, _ in pictures] == [read_number(frame) for _, frame in pictures]
    sound_start, samples = sound_of(reader.data)
    assert abs(float(sound_start - start) + len(samples) / 48000 - 10) < 0.1


@posix
def test_nobody_reads_and_the_end_comes_all_the_same():
    reading, writing = os.pipe()
    settings = OutputSettings(live=True, queue_seconds=0.4, patience=0.2)
    with (
        pytest.raises(OutputError, match="takes no data"),
        StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS, settings=settings) as output,
    ):
        write(output, 100, noisy_frame)
    for thread in [thread for thread in threading.enumerate() if thread.name == "musetalk-output"]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    os.close(reading)
    os.close(writing)


@posix
def test_a_stream_that_is_not_live_waits_but_not_for_ever():
    reading, writing = os.pipe()
    settings = OutputSettings(queue_seconds=0.4, patience=0.1)
    with (
        pytest.raises(OutputError, match="nothing was taken"),
        StreamOutput(f"pipe:{writing}", WIDTH, HEIGHT, FPS, settings=settings) as output,
    ):
        write(output, 1000, noisy_frame)
    assert output.skipped == 0
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="full"), StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS) as output:
        write(output, 500)


def test_a_place_that_cannot_be_written_is_told_before_the_start(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    for name in ("file/a.mp4", "folder.mp4", "file/a.m3u8", "a.unknown"):
        with pytest.raises(OutputError) as caught:
            StreamOutput(tmp_path / name, WIDTH, HEIGHT, FPS)
        assert name in caught.value.what


# Networks, through the relay


def test_udp_reaches_a_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        receiver.bind(("127.0.0.1", 0))
        with StreamOutput(f"udp://127.0.0.1:{receiver.getsockname()[1]}", WIDTH, HEIGHT, FPS) as output:
            write(output, 60, flash)
        receiver.setblocking(False)  # the relay has ended: everything is here
        packets = []
        try:
            while True:
                packets.append(receiver.recv(65536))
        except BlockingIOError:
            pass
    assert max(map(len, packets)) <= 1316
    check_flashes_and_beeps(b"".join(packets), 60)


def test_tcp_reaches_a_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        with StreamOutput(f"tcp://127.0.0.1:{server.getsockname()[1]}", WIDTH, HEIGHT, FPS) as output:
            write(output, 10, flash)
            connection, _ = server.accept()
            reader = Reader(connection.detach())
            write(output, 50, flash, first=10)
        reader.join(PATIENCE)
    check_flashes_and_beeps(reader.data, 60)


def test_hls_makes_a_playlist_and_segments(tmp_path):
    path = tmp_path / "live" / "a.m3u8"
    with StreamOutput(path, WIDTH, HEIGHT, FPS, settings=OutputSettings(hls_window=0)) as output:
        write(output, 125)
    playlist = path.read_text()
    segments = [line for line in playlist.splitlines() if not line.startswith("#")]
    assert segments == ["a_00000.ts", "a_00001.ts", "a_00002.ts"] and "#EXT-X-ENDLIST" in playlist
    numbers = [read_number(frame) for segment in segments for _, frame in decoded(path.parent / segment)]
    assert numbers == list(range(125))


def test_hls_keeps_a_window(tmp_path):
    with StreamOutput(tmp_path / "a.m3u8", WIDTH, HEIGHT, FPS, settings=OutputSettings(hls_window=2)) as output:
        write(output, 500)
    segments = [line for line in (tmp_path / "a.m3u8").read_text().splitlines() if not line.startswith("#")]
    assert segments == ["a_00008.ts", "a_00009.ts"]
    assert len(list(tmp_path.glob("*.ts"))) <= 5


def test_a_server_that_refuses_is_told_without_the_key():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        pytest.raises(OutputError) as caught,
        StreamOutput(f"rtmp://127.0.0.1:{port}/live/secret", WIDTH, HEIGHT, FPS) as output,
    ):
        write(output, 100_000)
    assert f"rtmp://127.0.0.1:{port}: " in caught.value.what and "refused" in caught.value.what.lower()
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_an_ffmpeg_that_repeats_its_url_does_not_tell_the_key(tmp_path):
    talkative = tmp_path / "ffmpeg"
    talkative.write_text('#!/bin/sh\nfor last in "$@"; do :; done\necho "$last: Connection refused" >&2\nexit 1\n')
    talkative.chmod(0o755)
    with (
        pytest.raises(OutputError) as caught,
        StreamOutput("rtmp://127.0.0.1:1/live/secret", WIDTH, HEIGHT, FPS, ffmpeg=str(talkative)) as output,
    ):
        write(output, 100_000)
    assert "Connection refused" in caught.value.what
    assert "secret" not in str(caught.value)


def test_a_receiver_that_goes_away_is_told_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        output = StreamOutput(f"tcp://127.0.0.1:{server.getsockname()[1]}", WIDTH, HEIGHT, FPS)
        with pytest.raises(OutputError, match=r"tcp://127\.0\.0\.1"), output:
            write(output, 10)
            server.accept()[0].close()
            write(output, 100_000)
    output.close()


def test_a_relay_that_cannot_start_is_told(tmp_path):
    output = StreamOutput("tcp://127.0.0.1:9", WIDTH, HEIGHT, FPS, ffmpeg=str(tmp_path / "none"))
    with pytest.raises(OutputError):
        output.start()


# Use


def test_wrong_frames_and_moments_are_refused(tmp_path):
    output = StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS, sample_rate=None)
    with pytest.raises(RuntimeError, match="context"):
        output.write_frame(numbered_frame(0))
    with output:
        with pytest.raises(ValueError, match="uint8"):
            output.write_frame(np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8))
        with pytest.raises(ValueError, match="sound"):
            output.write_sound(np.zeros(10, np.float32))
        output.write_frame(numbered_frame(0))
    with pytest.raises(RuntimeError, match="context"):
        output.write_frame(numbered_frame(0))


def test_settings_reach_the_encoder(tmp_path):
    sizes = {}
    for crf in (18, 35):
        path = tmp_path / f"{crf}.mp4"
        settings = OutputSettings(encoder=EncoderSettings(crf=crf, key_frame_seconds=Fraction(1, 5)))
        with StreamOutput(path, WIDTH, HEIGHT, FPS, sample_rate=None, settings=settings) as output:
            write_pictures(output, 20)
        sizes[crf] = path.stat().st_size
        with av.open(str(path)) as container:
            keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
        assert keys[::5] == [True] * 4
    assert sizes[35] < sizes[18] / 2


def write_pictures(output, count):
    for number in range(count):
        output.write_frame(noisy_frame(number))


def test_an_av_without_encoders_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(live_encoder.av, "codecs_available", {"aac"})
    with pytest.raises(DeviceError, match="libx264"):
        StreamOutput(tmp_path / "a.mp4", WIDTH, HEIGHT, FPS)
