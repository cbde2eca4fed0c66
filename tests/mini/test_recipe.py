"""The recipe's commands are such that the commands take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musetalk.errors import TrainingError, WeightsError
from musetalk.mini import recipe as recipe_module
from musetalk.mini.card import card
from musetalk.mini.export import TRAINED, export_model
from musetalk.mini.recipe import CONFIGS, STEPS, Recipe, amounts, training_overrides
from musetalk.schema import read_settings
from musetalk.training.preprocess.settings import PreprocessConfig
from musetalk.training.tasks import TASK_TYPES
from scripts import make_mini, render_heads, score_heads


@pytest.mark.parametrize("step", ["vae", "decoder", "audio", "syncnet", "stage1", "stage2"])
def test_each_training_step_reads_its_settings_and_places(step: str, tmp_path: Path) -> None:
    schema = TASK_TYPES["vae" if step == "decoder" else step][0]
    config, warnings = read_settings(schema, CONFIGS / f"{step}.yaml", training_overrides(step, tmp_path))
    run = getattr(config, "train", config)
    assert run.folder == tmp_path / "trained" / step / "mini"
    assert warnings == []


@pytest.mark.parametrize(
    ("step", "changes"),
    [
        ("decoder", ["solver.max_train_steps=300"]),
        ("syncnet", ["train.solver.max_train_steps=200"]),
        ("stage1", ["solver.max_train_steps=2000", "data.encoded_samples=2458"]),
    ],
)
def test_a_share_of_the_recipe_trains_a_share_of_the_steps(step: str, changes: list[str], tmp_path: Path) -> None:
    (whole,) = Recipe(tmp_path, Path("head")).commands(step, tmp_path)
    (tenth,) = Recipe(tmp_path, Path("head"), share=0.1).commands(step, tmp_path)
    assert tenth == [*whole, *changes]
    assert amounts(0.1) == {"utterances": 170, "clips": 100}
    assert amounts(1e-6) == {"utterances": 1, "clips": 1}


def test_preprocessing_takes_its_places(tmp_path: Path) -> None:
    (command,) = Recipe(tmp_path, Path("head")).commands("clips", tmp_path)
    overrides = command[command.index("--config") + 2 :]
    config, _ = read_settings(PreprocessConfig, CONFIGS / "preprocess.yaml", overrides)
    assert config.video_root_raw == tmp_path / "heads"
    assert config.landmarks == "truth"


def test_heads_are_rendered_for_training_and_held_out(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, Path("head"), clips=50)
    train, held_out = recipe.commands("heads", tmp_path)
    assert train[train.index("--clips") + 1] == "50" and held_out[held_out.index("--clips") + 1] == "5"
    assert held_out[held_out.index("--split") + 1] == "held_out"
    scored, _ = recipe.commands("evaluate", tmp_path / "models" / "mini")
    assert scored[scored.index("--split") + 1] == "held_out"
    seeds = [command[command.index("--seed") + 1] for command in (held_out, scored)]
    assert len(set(seeds)) == 2  # what is measured at last was not looked at before
    for command in (train, held_out, scored):
        render_heads.build_parser().parse_args(command[3:])


def test_what_was_exported_is_scored(tmp_path: Path) -> None:
    rendering, scoring = Recipe(tmp_path, Path("head")).commands("evaluate", tmp_path / "models" / "mini")
    options = score_heads.build_parser().parse_args(scoring[3:])
    assert str(options.heads) == rendering[rendering.index("--out") + 1]
    assert (options.version, Path(options.models_dir)) == ("mini", tmp_path / "models")


def test_the_card_tells_data_steps_hours_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "training_vae.jsonl").write_text('{"step": 500, "kind": "train"}\n{"step": 4000, "kind": "train"}\n')
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.safetensors").write_bytes(bytes(2_500_000))
    recipe = Recipe(tmp_path, Path("head"), clips=70)
    text = card(recipe, {"speech": 0.5, "vae": 3.25}, tmp_path, "| what | clips |\n|---|---|\n| lip gap | 24 |\n")
    rows = ("| vae | 4,000 | 3.25 |", "| speech |  | 0.50 |", "| lip gap | 24 |")
    for part in (*rows, "70 rendered people", "2.5 MB", "MIT"):
        assert part in text


def test_hours_of_stopped_runs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 1800.0, 2000.0, 5600.0))
    monkeypatch.setattr(recipe_module.time, "monotonic", lambda: next(clock))
    recipe = Recipe(tmp_path, Path("head"))
    for ends in (KeyboardInterrupt, TrainingError("no", "yes")):
        monkeypatch.setattr(recipe_module, "export_model", raising(ends))
        with pytest.raises((KeyboardInterrupt, TrainingError)):
            recipe.run("export", tmp_path / "mini")
    assert recipe.hours() == {"export": 1.5}


def raising(error: Any) -> Callable[..., None]:
    def fail(*given: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--out", "models/other"], "must be named mini"),
        (["--seconds", "1"], "1 is below 2"),
        (["--share", "0"], "0 is not above 0 and up to 1"),
        (["--share", "0.5"], "--share 0.5: give --out too"),
        (["--share", "a tenth"], "'a tenth' is not a number"),
        (["--head", "nowhere.npz"], "no head model at nowhere.npz"),
    ],
)
def test_mistakes_are_seen_before_the_slow_work(words: list[str], problem: str, tmp_path: Path, capsys: Any) -> None:
    flags = ["--head", "head.npz", "--work", str(tmp_path / "work"), "--steps", "speech", "heads", *words]
    try:
        assert make_mini.main(flags) == 1
    except SystemExit as ended:
        assert ended.code == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_an_export_of_unfinished_work_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "mini"
    target.mkdir()
    (target / "training_vae.jsonl").write_text("{}")
    with pytest.raises(WeightsError, match=r"syncnet\.pt is missing"):
        export_model(tmp_path / "work", target)
    assert [path.name for path in target.iterdir()] == ["training_vae.jsonl"]
    results = tmp_path / "work" / "trained"
    written = [f"{step}/mini/losses.jsonl" for step in TRAINED] + ["syncnet/mini/syncnet.pt"]
    for name in written:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("{}")
    with pytest.raises(WeightsError, match=r"refiner/config\.json is missing"):
        export_model(tmp_path / "work", target)
    assert [path.name for path in target.iterdir()] == ["training_vae.jsonl"]


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).write_text("nothing.mp4\n")
    with pytest.raises(TrainingError, match="the step vae failed"):
        Recipe(tmp_path, Path("head")).run("vae", tmp_path / "out")
    assert set(STEPS) >= {"speech", "heads", "clips", "export"}
