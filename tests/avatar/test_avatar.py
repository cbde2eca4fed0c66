"""Prepared avatars against dubbing, with networks of golden size."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from avatar_factory import box_of, golden_model, knowing, mini_model, source_frames, write_source

from musetalk.avatar import preparation
from musetalk.avatar.avatar import Avatar
from musetalk.avatar.idle import silent_window
from musetalk.avatar.manifest import Manifest, Recipe
from musetalk.avatar.prepared import ping_pong_index
from musetalk.errors import InputError, OutputError
from musetalk.face.boxes import write_boxes
from musetalk.media.frames import open_source
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.live import LiveStates
from musetalk.pipeline.settings import DubSettings, FaceSettings
from musetalk.pipeline.speaking import speak
from musetalk.pipeline.stages import Stages

FPS = Fraction(25)
COUNT = 5  # source frames
SPOKEN = 8  # frames of a clip: forward and part of the way back
SETTINGS = DubSettings(batch_size=3)


def spoken(states, generator, batch_size=3):
    """Frames (n, H, W, 3) of the one pipeline, fed by `states`, to 0.32 s of noise."""
    samples = np.random.default_rng(0).normal(0, 0.2, SPOKEN * 640).astype(np.float32)
    windows = generator.audio.windows(samples, FPS)
    with Stages() as stages:
        located = stages.run("faces", states.locate(states.frames(), SPOKEN), 2)
        return np.stack(list(speak(states, located, windows, generator, Compositor(), stages, batch_size)))


def offline(model, source, blur):
    settings = FaceSettings.of(model.spec, SETTINGS, blur)
    return LiveStates(open_source(source), model.finder, model.parser, model.generator, settings, batch_size=3)


@pytest.fixture(scope="module", params=["v1", "v15"])
def golden(request, tmp_path_factory):
    """(model, source, avatar, its spoken frames) with networks of golden size; frame 3 has no face."""
    folder = tmp_path_factory.mktemp(request.param)
    model = knowing(golden_model(folder / "models", request.param), COUNT, without_face=[3])
    source = write_source(folder / "source", COUNT)
    with Avatar.prepare(model, source, folder / "avatar", SETTINGS) as avatar:
        yield model, source, avatar, spoken(avatar.states(), model.generator)


def test_frames_equal_those_of_dubbing_with_the_mask_blur_of_avatars(golden):
    model, source, _, frames = golden
    np.testing.assert_array_equal(frames, spoken(offline(model, source, "prepared"), model.generator))


def test_frames_differ_from_those_of_dubbing_only_where_the_masks_do(golden):
    model, source, avatar, frames = golden
    dubbed = spoken(offline(model, source, "offline"), model.generator)
    sources = np.stack(source_frames(COUNT))
    for number, (frame, other) in enumerate(zip(frames, dubbed, strict=True)):
        index = ping_pong_index(number, COUNT)
        changed = (frame != other).any(axis=2)
        placement = avatar.frames.placement(index)
        if placement is None:
            assert index == 3
            np.testing.assert_array_equal(frame, sources[index])
            continue
        x1, y1, x2, y2 = placement.crop_box
        weights = np.zeros(changed.shape, np.uint8)
        weights[y1:y2, x1:x2] = placement.alpha
        assert not changed[weights == 0].any()
        np.testing.assert_array_equal(frame[weights == 0], sources[index][weights == 0])
        assert (frame != sources[index]).any()


def test_the_preparation_does_not_depend_on_the_batch(golden, tmp_path):
    model, source, avatar, _ = golden
    with Avatar.prepare(model, source, tmp_path / "other", replace(SETTINGS, batch_size=1)) as other:
        for index in (0, 4):
            np.testing.assert_allclose(other.frames.latents([index]), avatar.frames.latents([index]), atol=1e-4)
            assert other.frames.placement(index).box == avatar.frames.placement(index).box


def test_idle_faces_hear_silence_and_see_a_closed_mouth(golden):
    model, _, avatar, _ = golden
    window = silent_window(model.generator.audio, FPS, SETTINGS)
    assert avatar.frames.idle_face(3) is None
    idle = [avatar.frames.idle_face(index).astype(int) for index in (0, 1, 2, 4)]
    own = model.generator.generate(avatar.frames.latents([0, 1, 2, 4]), np.stack([window] * 4))
    apart = [np.abs(one - other).max() for one, other in zip(idle, own, strict=True)]
    # One of four counts as closed and is its own reference; the others are lent its mouth.
    assert sorted(apart)[0] <= 1 < sorted(apart)[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return knowing(mini_model(tmp_path_factory.mktemp("models")), COUNT)


@pytest.fixture
def prepared(model, tmp_path):
    """(source, folder) of an avatar of the tiny model."""
    source = write_source(tmp_path / "source", COUNT)
    Avatar.prepare(model, source, tmp_path / "avatars" / "anna", SETTINGS).close()
    return source, tmp_path / "avatars" / "anna"


def test_minis_frames_are_those_of_dubbing(model, prepared):
    source, folder = prepared
    with Avatar.open(model, folder) as avatar:
        frames = spoken(avatar.states(), model.generator)
    np.testing.assert_array_equal(frames, spoken(offline(model, source, "offline"), model.generator))


def test_an_avatar_is_opened_as_it_was_prepared(model, prepared):
    source, folder = prepared
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "frames.images",
        "idle.images",
        "states.safetensors",
    }
    with Avatar.open(model, folder) as avatar:
        assert (len(avatar.frames), avatar.manifest.faces, avatar.frames.info.fps) == (COUNT, COUNT, FPS)
        for index, frame in enumerate(source_frames(COUNT)):
            np.testing.assert_array_equal(avatar.frames.image(index), frame)
        assert avatar.manifest.source == source
        assert avatar.frames.info == replace(open_source(source).info, path=source)


def test_threads_share_an_avatar(model, prepared):
    """The readers must give each thread its own frames, also of the file that safetensors reads."""
    _, folder = prepared
    frames = source_frames(COUNT)
    wrong = []

    def read(avatar):
        for number in range(40):
            index = number % COUNT
            placement = avatar.frames.placement(index)
            if not np.array_equal(avatar.frames.image(index), frames[index]) or placement.alpha.max() != 255:
                wrong.append(index)
            if avatar.frames.latents([index]).shape[0] != 1 or avatar.frames.idle_face(index) is None:
                wrong.append(index)

    with Avatar.open(model, folder) as avatar:
        threads = [threading.Thread(target=read, args=(avatar,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_preparation_that_fails_leaves_what_was_there(model, prepared, monkeypatch):
    source, folder = prepared
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def interrupted(self, state):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation._Files, "write", interrupted)
    for place in (folder, folder.parent / "new"):
        with pytest.raises(KeyboardInterrupt):
            preparation.prepare(model, source, place, SETTINGS)
    assert [path.name for path in folder.parent.iterdir()] == ["anna"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_preparing_again_keeps_the_clips(model, prepared):
    source, folder = prepared
    (folder / "vid_output").mkdir()
    (folder / "vid_output" / "a.mp4").write_bytes(b"clip")
    Avatar.prepare(model, source, folder, replace(SETTINGS, extra_margin=0)).close()
    assert (folder / "vid_output" / "a.mp4").read_bytes() == b"clip"
    assert Manifest.read(folder).settings["extra_margin"] == 0
    assert [path.name for path in folder.parent.iterdir()] == ["anna"]


def test_a_folder_with_other_things_is_left_alone(model, prepared):
    source, folder = prepared
    mine = folder.parent / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="other things"):
        Avatar.prepare(model, source, mine, SETTINGS)
    assert (mine / "letter.txt").read_text() == "dear"


def test_no_face_in_the_source_makes_no_avatar(model, tmp_path):
    source = write_source(tmp_path / "source", 3)
    faceless = knowing(type(model)(model.choice, model.generator), 0)
    with pytest.raises(InputError, match="no face was found in any of the 3 frames"):
        Avatar.prepare(faceless, source, tmp_path / "avatars" / "anna", SETTINGS)
    assert not list((tmp_path / "avatars").iterdir())


def test_an_image_is_an_avatar_of_one_frame(model, tmp_path):
    image = write_source(tmp_path / "source", 1) / "0000.png"
    with Avatar.prepare(model, image, tmp_path / "anna", SETTINGS) as avatar:
        assert len(avatar.frames) == 1 and avatar.manifest.info.is_image
        assert [index for (index, _), _ in zip(avatar.states().frames(), range(3), strict=False)] == [0, 0, 0]


def test_given_boxes_are_used(model, tmp_path):
    source = write_source(tmp_path / "source", COUNT)
    boxes = [(30, 40, 70, 80)] * 4 + [None]
    write_boxes(tmp_path / "boxes.json", boxes)
    with Avatar.prepare(
        model, source, tmp_path / "anna", SETTINGS, use_boxes=tmp_path / "boxes.json", save_boxes=tmp_path / "out.json"
    ) as avatar:
        assert [avatar.frames.placement(i) and avatar.frames.placement(i).box for i in range(COUNT)] == [
            *[(30, 40, 70, 90)] * 4,
            None,
        ]
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads((tmp_path / "boxes.json").read_text())


CHANGES = {
    "source": (lambda source, recipe: (source / "0001.png").write_bytes(b"other"), "the source"),
    "one more image": (lambda source, recipe: (source / "0009.png").write_bytes(b"more"), "the source"),
    "margin": (lambda source, recipe: recipe.settings.update(extra_margin=20), "extra_margin (10, now 20)"),
    "rate": (lambda source, recipe: recipe.settings.update(fps="30"), "fps (its own, now 30)"),
    "mode": (lambda source, recipe: recipe.settings.update(parsing_mode="raw"), "parsing_mode (jaw, now raw)"),
    "finder": (lambda source, recipe: recipe.settings.update(face_finder="dwpose"), "face_finder (mediapipe, now"),
    "smoothing": (lambda source, recipe: recipe.settings.update(smooth_boxes=0), "smooth_boxes (3, now 0)"),
    "shift": (lambda source, recipe: recipe.settings.update(bbox_shift=-7), "bbox_shift (0, now -7)"),
    "weights": (lambda source, recipe: recipe.weights.update(vae=recipe.weights["unet"]), "the weights of the VAE"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_has_changed_is_named(model, prepared, case):
    source, folder = prepared
    change, told = CHANGES[case]
    recipe = Recipe.of(model.choice, source, SETTINGS)
    assert Manifest.read(folder).differences(recipe) == []
    change(source, recipe)
    (difference,) = Manifest.read(folder).differences(recipe)
    assert told in difference


def test_another_version_and_a_source_that_has_gone(model, prepared):
    source, folder = prepared
    recipe = Recipe.of(model.choice, source, SETTINGS)
    assert "refiner" not in recipe.weights  # it works on frames, not on what is prepared of them
    assert Manifest.read(folder).differences(replace(recipe, version="v15")) == ["version (mini, now v15)"]
    gone = replace(recipe, source=source.with_name("gone"))
    assert Manifest.read(folder).differences(gone) == []


def test_a_source_that_was_only_touched_is_the_same(model, prepared):
    source, folder = prepared
    image = source / "0001.png"
    image.write_bytes(image.read_bytes())
    assert Manifest.read(folder).differences(Recipe.of(model.choice, source, SETTINGS)) == []


def test_other_weights_are_refused(model, prepared, tmp_path):
    _, folder = prepared
    manifest = Manifest.read(folder)
    stamp = next(iter(manifest.weights["unet"].values()))
    name = next(iter(manifest.weights["unet"]))
    changed = {**manifest.weights, "unet": {**manifest.weights["unet"], name: replace(stamp, size=stamp.size + 1)}}
    replace(manifest, weights=changed).write(folder)
    with pytest.raises(InputError, match="was prepared otherwise: the weights of the UNet"):
        Avatar.open(model, folder)


DAMAGE = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "no prepared avatar"),
    "another schema": (lambda folder: rewrite(folder, schema=99), "is of schema 99"),
    "no schema": (lambda folder: (folder / "manifest.json").write_text("[]"), "is of schema None"),
    "half a manifest": (lambda folder: (folder / "manifest.json").write_text('{"schema": 1'), "cannot be read"),
    "a manifest without sizes": (lambda folder: rewrite(folder, files=None), "is damaged"),
    "half the frames": (lambda folder: cut(folder / "frames.images"), "another length"),
    "no states": (lambda folder: (folder / "states.safetensors").unlink(), "is missing"),
    "foreign idle faces": (lambda folder: swap(folder), "do not fit each other"),
}


def rewrite(folder, **values):
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, **values}))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def swap(folder):
    data = (folder / "frames.images").read_bytes()
    (folder / "idle.images").write_bytes(data)
    sizes = json.loads((folder / "manifest.json").read_text())["files"]
    content = {**sizes, "idle.images": len(data)}
    rewrite(folder, files=content, frames={**json.loads((folder / "manifest.json").read_text())["frames"], "count": 4})


@pytest.mark.parametrize("case", DAMAGE)
def test_a_half_made_or_damaged_avatar_is_never_used(model, prepared, case):
    _, folder = prepared
    damage, told = DAMAGE[case]
    damage(folder)
    with pytest.raises(InputError, match=told) as caught:
        Avatar.open(model, folder)
    assert "--rebuild" in caught.value.fix


def test_frames_play_forward_and_backward():
    assert [ping_pong_index(position, 3) for position in range(9)] == [0, 1, 2, 2, 1, 0, 0, 1, 2]
    assert [ping_pong_index(position, 1) for position in range(3)] == [0, 0, 0]


def test_the_boxes_are_where_the_faces_are(model, prepared):
    _, folder = prepared
    with Avatar.open(model, folder) as avatar:
        for index in range(COUNT):
            box = np.array(avatar.frames.placement(index).box)
            assert np.abs(box - box_of(index))[[0, 1, 2]].max() <= 3
