"""The whole recipe with tiny amounts, from rendering to a model that dubs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from musetalk.media.frames import open_source
from musetalk.mini.recipe import STEPS, Recipe
from musetalk.synthetic.synthesizers import available_engines
from scripts import inference

sys.path.insert(0, str(Path(__file__).parents[1] / "synthetic"))
from head_factory import need_renderer, write_head

FEW = ["solver.max_train_steps=2"]
OVERRIDES = {
    "vae": FEW,
    "decoder": FEW,
    "audio": [*FEW, "data.num_workers=0"],
    "syncnet": ["train.solver.max_train_steps=2"],
    "stage1": [*FEW, "data.encoded_samples=16"],
    "stage2": FEW,
}


@pytest.mark.slow
def test_the_recipe_makes_a_model_that_dubs(tmp_path: Path) -> None:
    from musetalk.synthetic.head_model import HeadModel

    if not available_engines():
        pytest.skip("no synthesizer is installed")
    head = write_head(tmp_path / "head.npz")
    need_renderer(HeadModel.load(head), 32).close()
    recipe = Recipe(tmp_path / "work", head, utterances=4, clips=2, seconds=2, workers=2)
    for step in STEPS:
        if step != "evaluate":  # in the head of this test no finder sees a face
            recipe.run(step, tmp_path / "models" / "mini", OVERRIDES.get(step, ()))
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text("task: {video_path: assets/demo/presenter.mp4, audio_path: assets/demo/speech.wav}")
    words = ["--inference_config", tasks, "--version", "mini", "--models_dir", tmp_path / "models"]
    assert inference.main([str(word) for word in (*words, "--result_dir", tmp_path / "results")]) == 0
    (result,) = (tmp_path / "results" / "mini").glob("*.mp4")
    frame, source = (next(iter(open_source(path).frames())) for path in (result, Path("assets/demo/presenter.mp4")))
    assert frame.shape == source.shape
    changed = np.abs(frame.astype(int) - source).max(axis=2) > 60
    assert changed.any() and not changed[: len(changed) // 3].any()  # nothing was learnt, and it goes into the face
