from __future__ import annotations

from pathlib import Path

import pytest

from musetalk.errors import ConfigError
from musetalk.evaluation.entries import load_entries
from musetalk.evaluation.evidence import Entry


def test_yaml(tmp_path):
    (tmp_path / "many.yaml").write_text("a: {generated: g.mp4, audio: a.wav, source: null}\nb:\n  generated: h.mp4\n")
    file = load_entries(tmp_path / "many.yaml")
    assert file.entries == [Entry("a", Path("g.mp4"), audio=Path("a.wav")), Entry("b", Path("h.mp4"))]
    assert file.names == ["a", "b"] and not file.wrong


def test_csv_with_and_without_names(tmp_path):
    (tmp_path / "many.csv").write_text(
        '\ufeffname, generated,source,reference\none, "x, 1.mp4", s.mp4,\n,y.mp4,,r.mp4\n,dir/y.mp4,,\n', "utf-8"
    )
    assert load_entries(tmp_path / "many.csv").entries == [
        Entry("one", Path("x, 1.mp4"), Path("s.mp4")),
        Entry("y", Path("y.mp4"), reference=Path("r.mp4")),
        Entry("y (2)", Path("dir/y.mp4")),
    ]


def test_one_wrong_entry_does_not_spoil_the_others(tmp_path):
    (tmp_path / "many.yaml").write_text(
        "good: {generated: g.mp4}\nbad: {generated: 3, sorce: s.mp4}\nnone: {audio: a.wav}\ntext: g.mp4\n"
    )
    file = load_entries(tmp_path / "many.yaml")
    assert [entry.name for entry in file.entries] == ["good"]
    assert file.names == ["good", "bad", "none", "text"]
    assert "sorce, did you mean source?" in file.wrong["bad"].what
    assert "generated: 3 is not a path" in file.wrong["bad"].what
    assert "generated is missing" in file.wrong["none"].what
    assert "'g.mp4'" in file.wrong["text"].what


def test_a_wrong_column_is_named_for_each_entry(tmp_path):
    (tmp_path / "many.csv").write_text("generated,adio\ng.mp4,a.wav\nh.mp4,\n")
    file = load_entries(tmp_path / "many.csv")
    assert "adio, did you mean audio?" in file.wrong["g"].what
    assert [entry.name for entry in file.entries] == ["h"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", "source\ns.mp4\n", "no column generated"),
        ("a.csv", "generated\n", "no entry"),
        ("a.csv", "", "no column generated"),
        ("a.csv", "generated\na,b\n", "line 2 has more cells"),
        ("a.csv", 'generated\n"a', "not valid CSV"),
        ("a.csv", b"\xff\xfe\x00", "UTF-8"),
        ("a.yaml", "- a\n", "no keys with values"),
        ("a.yaml", "", "no entry"),
        ("a.csv", None, "no such file"),
        ("a.yaml", None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, name, content, what):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=what):
        load_entries(tmp_path / name)


def test_the_file_that_comes_with_the_project():
    root = Path(__file__).parents[2]
    (entry,) = load_entries(root / "configs/evaluation/demo.yaml").entries
    assert (root / entry.source).is_file() and (root / entry.audio).is_file()
    task = (root / "configs/inference/demo.yaml").read_text()
    assert f'result_name: "{entry.generated.name}"' in task and entry.source.as_posix() in task
