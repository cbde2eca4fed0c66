"""Fetching weight files: resumed where a try broke off, checked before they get their name."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO

from musetalk.checkpoint import read_state_dict
from musetalk.errors import OutputError, UsageError, WeightsError
from musetalk.weights import GoogleDrive, HuggingFace, WeightFile

HUGGING_FACE = "https://huggingface.co"
GOOGLE_DRIVE = "https://drive.google.com"
_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_PAGE_LIMIT = 1 << 20
_ONNX_START = b"\x08"  # its first field, the version; a page or a pointer to the file begins with a letter or <
_SHA256 = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Settings:
    """How files are fetched.

    Attributes:
        endpoint: Address of Hugging Face or of a mirror of it.
        drive: Address of Google Drive.
        tries: Tries in a row that bring nothing before a file is given up.
        wait: Seconds before the second try; doubled for each further one, up to 30.
        sleep: Waits; tests replace it.
    """

    endpoint: str = HUGGING_FACE
    drive: str = GOOGLE_DRIVE
    tries: int = 5
    wait: float = 1.0
    sleep: Callable[[float], None] = field(default=time.sleep)

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/]", self.endpoint):
            raise UsageError(
                f"{self.endpoint!r} is not the address of a mirror.", f"Give one that starts as {HUGGING_FACE} does."
            )


class UnreachableError(WeightsError):
    """No connection to the server came about at all."""


class _Failed(Exception):
    """A try that brought no whole file; its text says why, `error` is what the user gets."""

    def __init__(self, why: str, error: type[WeightsError] = WeightsError) -> None:
        super().__init__(why)
        self.error = error


class _GivenUp(_Failed):
    """Trying again would not help."""


class _Interrupted(_Failed):
    """Trying again may help."""


def address(file: WeightFile, settings: Settings) -> str:
    """The file's URL."""
    source = file.source
    if isinstance(source, HuggingFace):
        return f"{settings.endpoint.rstrip('/')}/{source.repository}/resolve/main/{urllib.parse.quote(source.file)}"
    if isinstance(source, GoogleDrive):
        query = urllib.parse.urlencode({"export": "download", "id": source.identifier})
        return f"{settings.drive.rstrip('/')}/uc?{query}"
    return source.address


def part_path(path: Path) -> Path:
    """Where the bytes of a file are kept until it is whole: unet.pth → unet.part.pth."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def check(file: WeightFile, path: Path) -> str | None:
    """What is wrong with a file that has arrived, None if nothing is."""
    if file.sha256_prefix is not None and not _sha256(path).startswith(file.sha256_prefix):
        return f"its SHA-256 does not begin with {file.sha256_prefix}"
    if path.suffix == ".json":
        try:
            with path.open(encoding="utf-8") as text:
                is_object = isinstance(json.load(text), dict)
        except ValueError:
            is_object = False
        return None if is_object else "it is not a JSON configuration"
    if path.suffix == ".onnx":
        with path.open("rb") as file_bytes:
            begins_right = file_bytes.read(1) == _ONNX_START
        return None if begins_right else "it is not an ONNX network"
    try:
        read_state_dict(path, inert=file.holds_logs)
    except WeightsError:
        return "it is not a whole checkpoint"
    return None


def _unwatched(done: int, total: int | None) -> None:
    pass


def fetch(file: WeightFile, models_dir: Path, settings: Settings, progress: Progress = _unwatched) -> None:
    """Brings one file under models_dir. It gets its name only when it is whole.

    Args:
        file: What to fetch.
        models_dir: Folder of the weights, made if needed.
        settings: Addresses and patience.
        progress: Told the bytes at hand and their final number, where the server says it.

    Raises:
        UnreachableError: The server cannot be reached.
        WeightsError: The file could not be had, or what came is not it. A part that is worth resuming is kept.
        OutputError: The file cannot be written.
    """
    path = file.under(models_dir)
    part = part_path(path)
    url = address(file, settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_whole(file, url, part, settings, progress)
        os.replace(part, path)
    except _GivenUp as error:
        raise error.error(f"{file.path}: {error} ({url}).", _hint(file)) from None
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}.", "Make room, or make the folder writable.") from None


def _hint(file: WeightFile) -> str:
    if isinstance(file.source, HuggingFace):
        return "Run the command again; --endpoint names a mirror of Hugging Face."
    return f"Run the command again, or fetch the file with a browser and put it at {file.path} in the models folder."


def _fetch_whole(file: WeightFile, url: str, part: Path, settings: Settings, progress: Progress) -> None:
    failures = 0
    resumed = _size(part) > 0
    while True:
        before = _size(part)
        try:
            expected = _fetch_rest(file, url, part, settings, progress)
        except _Interrupted as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures >= settings.tries:
                tries = "1 try" if failures == 1 else f"{failures} tries"
                raise _GivenUp(f"gave up after {tries}, {error}", error.error) from None
            settings.sleep(min(settings.wait * 2 ** max(failures - 1, 0), 30.0))
            continue
        wrong = None
        if expected is not None and _sha256(part) != expected:
            wrong = "its SHA-256 is not the one that the server names"
        wrong = wrong or check(file, part)
        if wrong is None:
            return
        part.unlink()
        if not resumed:
            raise _GivenUp(f"what arrived is not the file, {wrong}")
        resumed = False  # The kept part may have been of an older file: once more from the start.


def _fetch_rest(file: WeightFile, url: str, part: Path, settings: Settings, progress: Progress) -> str | None:
    """Appends what is missing to the part. Returns the SHA-256 that the server names, if it does."""
    start = _size(part)
    with _open(url, start) as response:
        if isinstance(file.source, GoogleDrive) and _is_page(response):
            confirmed = _confirmation(response.read(_PAGE_LIMIT).decode("utf-8", "replace"), url)
            with _open(confirmed, start) as answer:
                return _receive(answer, part, start, progress)
        return _receive(response, part, start, progress)


class _Answer:
    """A response, with the headers of the redirections before it."""

    def __init__(self, response: HTTPResponse, earlier: list[HTTPMessage]) -> None:
        self.response = response
        self.status = response.status
        self.headers = response.headers
        self.earlier = earlier

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.response.close()

    def read(self, size: int) -> bytes:
        try:
            return self.response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from None


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections and keeps their headers: Hugging Face puts the file's hash there."""

    def __init__(self) -> None:
        self.headers: list[HTTPMessage] = []

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        self.headers.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, start: int) -> _Answer:
    request = urllib.request.Request(url, headers={"User-Agent": "musetalk", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    redirections = _Redirections()
    try:
        response = urllib.request.build_opener(redirections).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return _Answer(error, redirections.headers)  # type: ignore[arg-type]  # it is a response too
        error.close()
        if error.code == 429 or error.code >= 500:
            raise _Interrupted(f"the server answers {error.code} {error.reason}") from None
        raise _GivenUp(f"the server answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Interrupted(f"the server cannot be reached ({error.reason})", UnreachableError) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection broke ({error or type(error).__name__})") from None
    return _Answer(response, redirections.headers)


def _receive(answer: _Answer, part: Path, start: int, progress: Progress) -> str | None:
    if answer.status == 416:
        if _total(answer) != start:
            part.unlink()
            raise _Interrupted("the kept part is longer than the file")
        return _named_sha256(answer)
    if _is_page(answer):
        raise _GivenUp("the server sent a web page in place of the file")
    if answer.status != 206:
        start = 0  # The server sends the whole file, asked for the rest or not.
    elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        part.unlink()
        raise _Interrupted("the server sent another piece than the one asked for")
    total = _total(answer)
    done = start
    with part.open("ab" if start else "wb") as output:
        progress(done, total)
        while chunk := answer.read(_CHUNK):
            output.write(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done} of {total} bytes")
    return _named_sha256(answer)


def _total(answer: _Answer) -> int | None:
    """Bytes of the whole file, from Content-Range or Content-Length."""
    in_range = re.search(r"/(\d+)$", answer.headers.get("Content-Range", ""))
    if in_range:
        return int(in_range[1])
    length = answer.headers.get("Content-Length", "")
    return int(length) if answer.status == 200 and length.isdigit() else None


def _named_sha256(answer: _Answer) -> str | None:
    """What Hugging Face (and mirrors of it) say of a large file, on its last redirection or on the answer."""
    for headers in (*answer.earlier, answer.headers):
        tag = headers.get("X-Linked-ETag", "").removeprefix("W/").strip('"').lower()
        if _SHA256.fullmatch(tag):
            return tag
    return None


def _is_page(answer: _Answer) -> bool:
    return answer.headers.get_content_type() == "text/html"


class _DownloadForm(HTMLParser):
    """Google Drive's "cannot scan this file for viruses" page: the form behind its download button."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form" and values.get("id") == "download-form":
            self.action = values.get("action")
        elif tag == "input" and self.action is not None and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""


def _confirmation(page: str, url: str) -> str:
    form = _DownloadForm()
    form.feed(page)
    if form.action is None:
        raise _GivenUp("Google Drive does not give the file, perhaps since too many people fetched it today")
    action = urllib.parse.urljoin(url, form.action)
    ours, theirs = urllib.parse.urlsplit(url), urllib.parse.urlsplit(action)
    if theirs.netloc != ours.netloc and not (theirs.hostname or "").endswith(".google.com"):
        raise _GivenUp("Google Drive's page leads somewhere else")
    return f"{action}?{urllib.parse.urlencode(form.fields)}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
