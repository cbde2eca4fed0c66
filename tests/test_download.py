from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from musetalk import download
from musetalk.download import Settings, check, fetch, part_path
from musetalk.errors import OutputError, UsageError, WeightsError
from musetalk.weights import FILES, GoogleDrive, HuggingFace, Url, WeightFile, files_for
from scripts import download_weights

ROOT = Path(__file__).parents[1]


def checkpoint(size: int = 1000, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": torch.randn(size, generator=torch.Generator().manual_seed(seed))}, buffer)
    return buffer.getvalue()


BODY = checkpoint()
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.requests.append((self.path, self.headers.get("Range")))
        answers = self.server.answers.get(path)
        if not answers:
            self.send_error(404)
            return
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers each path with its list of answers, one after the other; the last one stays."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def whole(body: bytes, kind: str = "application/octet-stream", ranges: bool = True, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
        if start >= len(body) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
        else:
            handler.send_response(206 if start else 200)
            if start:
                handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            handler.send_header("Content-Length", str(len(body) - start))
        handler.send_header("Content-Type", kind)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body[start:])

    return answer


def broken_off(body: bytes, sent: int) -> Answer:
    """Promises the rest of the body, sends a piece of it and hangs up."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + sent])

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.send_error(code)


def redirected(to: str, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def settings(server: Server, waits: list[float]) -> Settings:
    return Settings(endpoint=server.address, drive=server.address, tries=3, sleep=waits.append)


@pytest.fixture
def file(server: Server) -> WeightFile:
    return WeightFile("sd-vae/model.bin", Url(f"{server.address}/model.bin"), "vae")


def test_a_file_arrives_and_no_part_is_left(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [whole(BODY)]
    told: list[tuple[int, int | None]] = []

    fetch(file, tmp_path, settings, lambda done, total: told.append((done, total)))

    assert [path.name for path in (tmp_path / "sd-vae").iterdir()] == ["model.bin"]
    assert (tmp_path / "sd-vae" / "model.bin").read_bytes() == BODY
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))


def test_a_kept_part_is_resumed(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [whole(BODY)]
    part = part_path(file.under(tmp_path))
    part.parent.mkdir()
    part.write_bytes(BODY[:700])

    fetch(file, tmp_path, settings)

    assert server.requests == [("/model.bin", "bytes=700-")]
    assert file.under(tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [whole(BODY, ranges=False)]
    part = part_path(file.under(tmp_path))
    part.parent.mkdir()
    part.write_bytes(BODY[:700])

    fetch(file, tmp_path, settings)

    assert file.under(tmp_path).read_bytes() == BODY


def test_a_part_that_is_already_whole_is_taken(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [whole(BODY)]
    part = part_path(file.under(tmp_path))
    part.parent.mkdir()
    part.write_bytes(BODY)

    fetch(file, tmp_path, settings)

    assert file.under(tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("kept", [BODY + b"more", checkpoint(seed=1)[:700]], ids=["too long", "of another file"])
def test_a_part_that_does_not_fit_is_fetched_anew(server, settings, tmp_path, kept):
    digest = hashlib.sha256(BODY).hexdigest()
    server.answers["/model.bin"] = [whole(BODY)]
    file = WeightFile("model.bin", Url(f"{server.address}/model.bin"), "vae", sha256_prefix=digest[:10])
    part_path(file.under(tmp_path)).write_bytes(kept)

    fetch(file, tmp_path, settings)

    assert file.under(tmp_path).read_bytes() == BODY


def test_a_broken_connection_goes_on_where_it_stopped(server, settings, file, tmp_path, waits):
    server.answers["/model.bin"] = [broken_off(BODY, 1000), broken_off(BODY, 500), status(503), whole(BODY)]

    fetch(file, tmp_path, settings)

    assert [asked for _, asked in server.requests] == [None, "bytes=1000-", "bytes=1500-", "bytes=1500-"]
    assert file.under(tmp_path).read_bytes() == BODY
    assert len(waits) == 3


def test_a_server_that_stays_down_is_given_up_and_the_part_kept(server, settings, file, tmp_path, waits):
    server.answers["/model.bin"] = [broken_off(BODY, 1000), status(500)]

    with pytest.raises(WeightsError, match=r"sd-vae/model.bin: gave up after 3 tries, the server answers 500"):
        fetch(file, tmp_path, settings)

    assert waits == [1.0, 1.0, 2.0]
    assert not file.under(tmp_path).exists()
    assert part_path(file.under(tmp_path)).read_bytes() == BODY[:1000]


def test_an_endless_stream_of_empty_answers_is_given_up(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [broken_off(BODY, 0)]

    with pytest.raises(WeightsError, match="the connection ended after 0 of"):
        fetch(file, tmp_path, settings)

    assert len(server.requests) == 3


def test_command_is_patient_with_one_file_only_when_there_is_no_server(monkeypatch, tmp_path, capsys, waits):
    monkeypatch.setattr(
        download_weights,
        "Settings",
        lambda endpoint: Settings(endpoint="http://127.0.0.1:9", tries=3, sleep=waits.append),
    )
    assert download_weights.main(["--parts", "v15", "--models_dir", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert len(waits) == 2
    assert errors.count("gave up after 3 tries") == 1 and errors.count("gave up after 1 try,") == 6
    assert "7 of 7 files could not be had" in errors


def test_no_server_at_all_is_given_up(tmp_path, waits):
    file = WeightFile("model.bin", Url("http://127.0.0.1:9/model.bin"), "vae")

    with pytest.raises(WeightsError, match="the server cannot be reached"):
        fetch(file, tmp_path, Settings(tries=2, sleep=waits.append))


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_file_that_is_not_there_is_not_tried_again(server, settings, file, tmp_path, code):
    server.answers["/model.bin"] = [status(code)]

    with pytest.raises(WeightsError, match=str(code)):
        fetch(file, tmp_path, settings)

    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_checkpoint(server, settings, file, tmp_path, kind):
    server.answers["/model.bin"] = [whole(b"<!DOCTYPE html><html><body>Please log in</body></html>", kind)]

    with pytest.raises(WeightsError, match=r"web page|not a whole checkpoint"):
        fetch(file, tmp_path, settings)

    assert list((tmp_path / "sd-vae").iterdir()) == []


def test_a_checkpoint_that_is_cut_at_the_server_is_no_checkpoint(server, settings, file, tmp_path):
    server.answers["/model.bin"] = [whole(BODY[:-200])]

    with pytest.raises(WeightsError, match="it is not a whole checkpoint"):
        fetch(file, tmp_path, settings)

    assert not file.under(tmp_path).exists()


def test_a_hash_of_the_name_is_checked(server, settings, tmp_path):
    server.answers["/s3fd-619a316812.pth"] = [whole(BODY)]
    file = WeightFile("s3fd-619a316812.pth", Url(f"{server.address}/s3fd-619a316812.pth"), "s3fd", "619a316812")

    with pytest.raises(WeightsError, match="its SHA-256 does not begin with 619a316812"):
        fetch(file, tmp_path, settings)


@pytest.mark.parametrize("right", [True, False])
def test_the_hash_that_hugging_face_names_on_its_redirection_is_checked(server, settings, tmp_path, right):
    digest = hashlib.sha256(BODY if right else b"other").hexdigest()
    file = WeightFile("musetalkV15/unet.pth", HuggingFace("TMElyralab/MuseTalk", "musetalkV15/unet.pth"), "v15")
    server.answers["/TMElyralab/MuseTalk/resolve/main/musetalkV15/unet.pth"] = [
        redirected("/storage/1", X_Linked_ETag=f'"{digest}"', X_Linked_Size=str(len(BODY)))
    ]
    server.answers["/storage/1"] = [whole(BODY)]

    if right:
        fetch(file, tmp_path, settings)
        assert file.under(tmp_path).read_bytes() == BODY
    else:
        with pytest.raises(WeightsError, match="its SHA-256 is not the one that the server names"):
            fetch(file, tmp_path, settings)
        assert not file.under(tmp_path).exists()


def test_google_drives_question_is_answered(server, settings, tmp_path):
    page = b"""<html><form id="download-form" action="/download" method="get">
        <input type="submit" value="Download anyway"/><input type="hidden" name="id" value="THE_ID">
        <input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="a-b"></form></html>"""
    server.answers["/uc"] = [whole(page, "text/html; charset=utf-8", ranges=False)]
    server.answers["/download"] = [whole(BODY)]
    file = WeightFile("79999_iter.pth", GoogleDrive("THE_ID"), "bisenet")

    fetch(file, tmp_path, settings)

    assert [url for url, _ in server.requests] == [
        "/uc?export=download&id=THE_ID",
        "/download?id=THE_ID&confirm=t&uuid=a-b",
    ]
    assert file.under(tmp_path).read_bytes() == BODY


def test_google_drives_refusal_is_told(server, settings, tmp_path):
    server.answers["/uc"] = [whole(b"<html>Quota exceeded</html>", "text/html")]

    with pytest.raises(WeightsError, match="Google Drive does not give the file"):
        fetch(WeightFile("79999_iter.pth", GoogleDrive("THE_ID"), "bisenet"), tmp_path, settings)


def test_google_drives_page_cannot_lead_to_another_host(server, settings, tmp_path):
    page = b'<form id="download-form" action="http://evil.example/x"></form>'
    server.answers["/uc"] = [whole(page, "text/html")]

    with pytest.raises(WeightsError, match="leads somewhere else"):
        fetch(WeightFile("79999_iter.pth", GoogleDrive("THE_ID"), "bisenet"), tmp_path, settings)


def test_code_in_a_fetched_file_is_not_run(server, settings, file, tmp_path):
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "made"),)

    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(1), "evil": Evil()}, buffer)
    server.answers["/model.bin"] = [whole(buffer.getvalue())]

    with pytest.raises(WeightsError):
        fetch(file, tmp_path, settings)

    assert not (tmp_path / "made").exists()
    assert not file.under(tmp_path).exists()


@pytest.mark.parametrize(
    ("content", "fine"), [(b'{"a": 1}', True), (b"[1]", False), (b"\xff\xfe", False), (b"", False)]
)
def test_a_configuration_is_a_json_object(tmp_path, content, fine):
    path = tmp_path / "config.json"
    path.write_bytes(content)

    assert (check(files_for(["v15"])[0], path) is None) == fine


def test_a_folder_that_cannot_be_made_is_told(server, settings, file, tmp_path):
    (tmp_path / "sd-vae").write_text("a file in the way")

    with pytest.raises(OutputError, match="sd-vae"):
        fetch(file, tmp_path, settings)


def test_a_mirror_is_an_address():
    with pytest.raises(UsageError, match=r"mirror.example"):
        Settings(endpoint="mirror.example")
    with pytest.raises(UsageError):
        Settings(endpoint="file:///etc")


def serve_version(server: Server, name: str, file_count: int) -> None:
    files = files_for([name])
    assert len(files) == file_count
    for file in files:
        assert isinstance(file.source, HuggingFace)
        body = b'{"a": 1}' if file.path.endswith(".json") else BODY
        path = f"/{file.source.repository}/resolve/main/{file.source.file}"
        server.answers[path] = [whole(body)]


def test_command_brings_a_version_and_leaves_whole_files_alone(server, tmp_path, capsys):
    serve_version(server, "v15", 7)
    arguments = ["--parts", "v15", "--models_dir", str(tmp_path), "--endpoint", server.address]

    assert download_weights.main(arguments) == 0
    assert f"All 7 files are whole under {tmp_path}." in capsys.readouterr().out
    assert all(file.under(tmp_path).is_file() for file in files_for(["v15"]))

    asked = len(server.requests)
    assert download_weights.main(arguments) == 0
    assert len(server.requests) == asked


def test_command_fetches_a_damaged_file_anew(server, tmp_path):
    serve_version(server, "v15", 7)
    unet = tmp_path / "musetalkV15" / "unet.pth"
    unet.parent.mkdir()
    unet.write_bytes(BODY[:500])

    assert download_weights.main(["--parts", "v15", "--models_dir", str(tmp_path), "--endpoint", server.address]) == 0

    assert unet.read_bytes() == BODY


def test_command_brings_what_it_can_names_the_rest_and_fails(server, tmp_path, capsys):
    serve_version(server, "v15", 7)
    del server.answers["/openai/whisper-tiny/resolve/main/pytorch_model.bin"]
    server.answers["/stabilityai/sd-vae-ft-mse/resolve/main/config.json"] = [whole(b"<html>", "text/html")]

    assert download_weights.main(["--parts", "v15", "--models_dir", str(tmp_path), "--endpoint", server.address]) == 1

    output = capsys.readouterr()
    assert "All " not in output.out
    assert "2 of 7 files could not be had: sd-vae/config.json, whisper/pytorch_model.bin." in output.err
    assert (tmp_path / "whisper" / "preprocessor_config.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "choices"),
    [
        ([], ["v15", "dwpose", "bisenet"]),
        (["--version", "v1"], ["v1", "dwpose", "bisenet"]),
        (["--version", "v1", "v15", "--training"], ["v1", "v15", "dwpose", "bisenet", "training"]),
        (["--training"], ["training"]),
        (["--parts", "bisenet"], ["bisenet"]),
    ],
)
def test_command_chooses_files(arguments, choices, monkeypatch, tmp_path):
    brought: list[WeightFile] = []

    def bring(file: WeightFile, models_dir: Path, settings: Settings) -> bool:
        brought.append(file)
        return True

    monkeypatch.setattr(download_weights, "_bring", bring)

    assert download_weights.main(arguments) == 0
    assert brought == files_for(choices)


def test_command_can_bring_everything(monkeypatch):
    brought: list[WeightFile] = []
    monkeypatch.setattr(download_weights, "_bring", lambda file, models_dir, settings: brought.append(file) is None)

    assert download_weights.main(["--all"]) == 0
    assert brought == list(FILES)


def test_mirror_comes_from_the_environment(monkeypatch):
    seen: list[str] = []
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    monkeypatch.setattr(
        download_weights, "_bring", lambda file, models_dir, settings: seen.append(settings.endpoint) is None
    )

    assert download_weights.main(["--parts", "whisper"]) == 2
    assert download_weights.main(["--parts", "training"]) == 0
    assert set(seen) == {"https://mirror.example"}
    assert download.address(files_for(["v15"])[1], Settings("https://mirror.example/")) == (
        "https://mirror.example/TMElyralab/MuseTalk/resolve/main/musetalkV15/unet.pth"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell script")
def test_shell_script_passes_options_and_exit_code_on(server, tmp_path):
    serve_version(server, "v15", 7)
    folder = tmp_path / "my models"
    command = ["sh", str(ROOT / "download_weights.sh"), "--parts", "v15", "--models_dir", str(folder)]
    environment = {**os.environ, "PYTHON": sys.executable, "HF_ENDPOINT": server.address}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert f"All 7 files are whole under {folder}." in done.stdout
    (folder / "musetalkV15" / "unet.pth").unlink()
    server.answers.clear()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 of 7 files could not be had: musetalkV15/unet.pth" in done.stderr


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b"\x08\x07:\x10", True), (b"version https://git-lfs", False), (b"<html>", False), (b"", False)],
)
def test_an_onnx_file_is_told_from_a_page_or_a_pointer(tmp_path, content, whole):
    (tmp_path / "a.onnx").write_bytes(content)
    file = WeightFile("a.onnx", Url("https://example.org/a.onnx"), "evaluation")
    assert (download.check(file, tmp_path / "a.onnx") is None) == whole
