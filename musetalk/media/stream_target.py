"""Where a stream goes, read from one word, and the command that carries it there. Pure: nothing is opened here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from musetalk.errors import OutputError

# Between us and the relay: keeps any time base exactly and gives each packet on at once.
RELAY_FORMAT = "nut"

DEFAULT_FRAGMENT_SECONDS = 0.5
DEFAULT_HLS_WINDOW = 10

# File name suffix -> container.
_CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mp4",
    ".mkv": "matroska",
    ".ts": "mpegts",
    ".flv": "flv",
    ".m3u8": "hls",
}

# What a URL's scheme carries.
_SCHEMES = {
    "rtmp": "flv",
    "rtmps": "flv",
    "rtmpt": "flv",
    "rtmpts": "flv",
    "srt": "mpegts",
    "rist": "mpegts",
    "udp": "mpegts",
    "tcp": "mpegts",
    "tls": "mpegts",
    "unix": "mpegts",
    "rtp": "rtp_mpegts",
    "rtsp": "rtsp",
    "http": "mpegts",
    "https": "mpegts",
}

# Seven packets of MPEG-TS fit one network frame; receivers drop the pieces of longer ones.
_UDP_PACKET = "pkt_size=1316"

_SEGMENT_SECONDS = 2


@dataclass(frozen=True)
class StreamTarget:
    """Where a stream goes: to `url` where there is one, else to `path` or `descriptor`.

    Attributes:
        name: For messages: a URL without its path, which may be a secret key.
        container: libavformat's name of the format that arrives there.
        path: The file or local playlist.
        descriptor: An open pipe that we write into.
        url: What an ffmpeg, the relay, writes to.
        muxer_options: Options of the container.
    """

    name: str
    container: str
    path: Path | None = None
    descriptor: int | None = None
    url: str | None = None
    muxer_options: dict[str, str] = field(default_factory=dict)


def parse_target(
    text: str | Path,
    container: str | None = None,
    *,
    fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS,
    hls_window: int = DEFAULT_HLS_WINDOW,
) -> StreamTarget:
    """Read a target.

    Args:
        text: A file (.mp4, .m4v, .mov, .mkv, .ts, .flv), a playlist (.m3u8, with its segments beside it), "-" or
            "pipe:1" for standard output, or a URL (rtmp, srt, udp, tcp, rtp, rtsp, rist, http).
        container: In place of the one that the suffix or the scheme says; of a pipe it is mpegts.
        fragment_seconds: What an mp4 or mkv may lose at most when the program is killed.
        hls_window: Segments of 2 s that a playlist holds; older ones are deleted. 0 keeps all of them.

    Raises:
        OutputError: An unknown suffix, scheme or container.
    """
    word = str(text)
    if container is not None and container not in _KNOWN:
        raise OutputError(f"unknown container {container!r}", f"Use {', '.join(sorted(_KNOWN))}.")
    descriptor = _descriptor(word)
    if descriptor is not None:
        name = "standard output" if descriptor == 1 else word
        container = container or "mpegts"
        return StreamTarget(
            name, container, descriptor=descriptor, muxer_options=_muxer_options(container, fragment_seconds)
        )
    scheme = re.match(r"([a-z][a-z0-9+]*)://", word)
    if scheme is not None:
        return _url_target(word, scheme[1], container, hls_window)
    path = Path(word.removeprefix("file:"))
    container = container or _CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise OutputError(
            f"{word}: no container is known for the suffix {path.suffix!r}",
            f"Use {', '.join(_CONTAINERS)}, - for standard output, or a URL ({', '.join(_SCHEMES)}).",
        )
    if container == "hls":
        # Not a file: URL, of which ffmpeg cannot delete old segments. An absolute path cannot be read as anything else.
        url = os.path.abspath(path)
        return StreamTarget(word, "hls", path=path, url=url, muxer_options=_hls_options(url, hls_window))
    return StreamTarget(word, container, path=path, muxer_options=_muxer_options(container, fragment_seconds))


def relay_command(ffmpeg: str, target: StreamTarget) -> list[str]:
    """The arguments of an ffmpeg that copies what comes on standard input to the target's URL, without encoding."""
    if target.url is None:
        raise ValueError(f"{target.name} needs no relay")
    command = [ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]
    command += ["-probesize", "32", "-analyzeduration", "1"]
    command += ["-f", RELAY_FORMAT, "-i", "pipe:0", "-map", "0", "-c", "copy", "-flush_packets", "1"]
    for key, value in target.muxer_options.items():
        command += [f"-{key}", value]
    return [*command, "-f", target.container, "-y", target.url]


def _descriptor(word: str) -> int | None:
    if word in ("-", "pipe:"):
        return 1
    found = re.fullmatch(r"pipe:([0-9]+)", word)
    return int(found[1]) if found else None


def _url_target(word: str, scheme: str, container: str | None, hls_window: int) -> StreamTarget:
    if scheme not in _SCHEMES:
        raise OutputError(f"unknown protocol {scheme}://", f"Use a file name, or one of {', '.join(_SCHEMES)}.")
    parts = urlsplit(word)
    name = f"{scheme}://{parts.hostname or ''}" + (f":{parts.port}" if _has_port(parts.netloc) else "")
    if scheme == "udp" and "pkt_size=" not in parts.query:
        word += ("&" if "?" in word else "?") + _UDP_PACKET
    if container is None and scheme in ("http", "https") and parts.path.endswith(".m3u8"):
        container = "hls"
    container = container or _SCHEMES[scheme]
    if container == "hls":
        return StreamTarget(name, "hls", url=word, muxer_options={**_hls_options(word, hls_window), "method": "PUT"})
    return StreamTarget(name, container, url=word, muxer_options=_muxer_options(container, DEFAULT_FRAGMENT_SECONDS))


def _has_port(netloc: str) -> bool:
    return re.search(r":[0-9]+$", netloc) is not None


def _muxer_options(container: str, fragment_seconds: float) -> dict[str, str]:
    """What lets a container be read before it is finished, without delay."""
    microseconds = str(round(fragment_seconds * 1_000_000))
    return {
        # With delay_moov the sound's encoder delay is noted; without, both streams begin 21 ms late.
        "mp4": {"movflags": "+frag_keyframe+delay_moov+default_base_moof", "frag_duration": microseconds},
        "matroska": {"live": "1", "cluster_time_limit": str(round(fragment_seconds * 1000))},
        "mpegts": {"max_delay": "0", "pes_payload_size": "0"},
        "flv": {"flvflags": "+no_duration_filesize"},
    }.get(container, {})


def _hls_options(url: str, window: int) -> dict[str, str]:
    segments = re.sub(r"\.m3u8$", "", url, flags=re.IGNORECASE).replace("%", "%%") + "_%05d.ts"
    return {
        "hls_time": str(_SEGMENT_SECONDS),
        "hls_list_size": str(window),
        "hls_flags": "+independent_segments" + ("+delete_segments" if window else ""),
        "hls_segment_filename": segments,
    }


_KNOWN = {*_CONTAINERS.values(), *_SCHEMES.values()}
