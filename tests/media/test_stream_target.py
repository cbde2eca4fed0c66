from pathlib import Path

import pytest

from musetalk.errors import OutputError
from musetalk.media.stream_target import parse_target, relay_command


@pytest.mark.parametrize(
    ("text", "container"),
    [("a.mp4", "mp4"), ("a b/c.MOV", "mp4"), ("a.mkv", "matroska"), ("a.ts", "mpegts"), ("file:a.flv", "flv")],
)
def test_files_are_written_by_us(text, container):
    target = parse_target(text)
    assert target.container == container and target.url is None
    assert target.path == Path(text.removeprefix("file:"))


@pytest.mark.parametrize(("text", "descriptor"), [("-", 1), ("pipe:", 1), ("pipe:1", 1), ("pipe:5", 5)])
def test_pipes(text, descriptor):
    target = parse_target(text)
    assert (target.descriptor, target.container, target.path, target.url) == (descriptor, "mpegts", None, None)
    assert parse_target(text, "mp4").container == "mp4"


@pytest.mark.parametrize(
    ("text", "container", "name"),
    [
        ("rtmp://live.example/app/secret-key", "flv", "rtmp://live.example"),
        ("rtmps://user:word@live.example:443/app/key", "flv", "rtmps://live.example:443"),
        ("srt://10.0.0.1:9000?streamid=secret", "mpegts", "srt://10.0.0.1:9000"),
        ("tcp://[::1]:80", "mpegts", "tcp://::1:80"),
        ("rtsp://host/a", "rtsp", "rtsp://host"),
        ("https://host/up/a.m3u8", "hls", "https://host"),
    ],
)
def test_urls_go_through_the_relay_and_their_keys_into_no_message(text, container, name):
    target = parse_target(text)
    assert (target.container, target.name, target.url, target.path) == (container, name, text, None)


def test_udp_packets_fit_the_network():
    assert parse_target("udp://h:1").url == "udp://h:1?pkt_size=1316"
    assert parse_target("udp://h:1?ttl=4").url == "udp://h:1?ttl=4&pkt_size=1316"
    assert parse_target("udp://h:1?pkt_size=188").url == "udp://h:1?pkt_size=188"


@pytest.mark.parametrize("text", ["result", "a.avi", "gopher://host/", "a.mp3", ""])
def test_unknown_targets_are_told(text):
    with pytest.raises(OutputError) as caught:
        parse_target(text)
    assert "mp4" in caught.value.fix or "rtmp" in caught.value.fix


def test_unknown_containers_are_told():
    with pytest.raises(OutputError, match="avi"):
        parse_target("-", "avi")


def test_mp4_is_in_fragments():
    options = parse_target("a.mp4", fragment_seconds=0.25).muxer_options
    assert "delay_moov" in options["movflags"] and options["frag_duration"] == "250000"


def test_relay_copies_what_comes():
    command = relay_command("/bin/ffmpeg", parse_target("rtmp://host/app/key"))
    assert command[0] == "/bin/ffmpeg" and command[-2:] == ["-y", "rtmp://host/app/key"]
    assert command[command.index("-c") + 1] == "copy"
    assert command[command.index("-i") - 1] == "nut" and command[command.index("-i") + 1] == "pipe:0"
    assert command[-4:-2] == ["-f", "flv"]


def test_relay_of_a_playlist_writes_its_segments_beside_it(tmp_path):
    target = parse_target(tmp_path / "50% live.m3u8", hls_window=5)
    command = relay_command("ffmpeg", target)
    assert target.path == tmp_path / "50% live.m3u8"
    assert command[command.index("-hls_segment_filename") + 1] == f"{tmp_path}/50%% live_%05d.ts"
    assert command[command.index("-hls_list_size") + 1] == "5"
    assert "delete_segments" in command[command.index("-hls_flags") + 1]
    keep_all = relay_command("ffmpeg", parse_target("a.m3u8", hls_window=0))
    assert "delete_segments" not in keep_all[keep_all.index("-hls_flags") + 1]


def test_files_need_no_relay():
    with pytest.raises(ValueError, match="relay"):
        relay_command("ffmpeg", parse_target("a.mp4"))
