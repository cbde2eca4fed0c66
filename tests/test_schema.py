from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from musetalk.errors import ConfigError
from musetalk.schema import parse, read_settings, setting


@dataclass(frozen=True)
class Inner:
    rate: float = setting(0.1, above=0)
    sizes: list[int] = setting([1, 2], at_least=1)


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = setting(3, at_least=1, aliases=("cuont",))
    mode: str = setting("a", choices=("a", "b"))
    path: Path | None = None
    resume: bool | Path = True
    parts: dict[str, float] = field(default_factory=dict)
    many: Path | list[Inner] | None = None
    inner: Inner = field(default_factory=Inner)


def test_types_become_what_the_schema_says() -> None:
    value, warnings = parse(
        Outer, {"name": "x", "path": "a/b", "resume": False, "inner": {"rate": "2e-5", "sizes": [3]}}, "f.yaml"
    )
    assert value == Outer("x", path=Path("a/b"), resume=False, inner=Inner(2e-5, [3]))
    assert warnings == []


def test_unions_take_the_first_that_fits() -> None:
    assert parse(Outer, {"name": "x", "many": [{"rate": 1}]}, "f")[0].many == [Inner(1.0)]
    assert parse(Outer, {"name": "x", "many": "list.txt", "resume": "c"}, "f")[0].resume == Path("c")


def test_a_misspelt_published_key_is_read_with_a_warning() -> None:
    value, warnings = parse(Outer, {"name": "x", "cuont": 5}, "f.yaml")
    assert value.count == 5
    assert warnings == ["f.yaml: cuont is read as count"]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(
            Outer,
            {"cuont": 1, "count": 2, "mode": "c", "inner": {"rat": 1, "sizes": [0]}, "resume": 3, "parts": {"a": "b"}},
            "f.yaml",
        )
    for part in (
        "f.yaml: count is given twice",
        "mode: 'c' is none of a, b",
        "unknown key inner.rat, did you mean rate?",
        "inner.sizes: [0] is below 1",
        "resume: 3 is not true or false or a path",
        "parts.a: 'b' is not a number",
        "name is missing",
    ):
        assert part in caught.value.what


@pytest.mark.parametrize(("value", "reason"), [(0, "is not above 0"), (float("nan"), "is not a number")])
def test_bounds(value: float, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(Inner, {"rate": value}, "f")


def test_overrides_replace_values_deep_inside(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("name: x\ninner:\n  rate: 0.5\n")
    value, _ = read_settings(Outer, path, ["inner.sizes=[4,5]", "count=7"])
    assert value.inner == Inner(0.5, [4, 5]) and value.count == 7
    with pytest.raises(ConfigError, match="not of the form key=value"):
        read_settings(Outer, path, ["count"])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_settings(Outer, tmp_path / "none.yaml")
    path = tmp_path / "f.yaml"
    path.write_text("name: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_settings(Outer, path)
