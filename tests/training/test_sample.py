"""One sample of a clip: which frames it shows, where they are cut, and the sound beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_factory import StepEncoder, picture, shown_clip, shown_frames, write_clip, write_sound

from musetalk.audio.mel import sync_mel
from musetalk.audio.windows import audio_windows
from musetalk.errors import InputError
from musetalk.face.boxes import face_box, lower_chin, smooth_faces
from musetalk.face.landmarks import Face
from musetalk.media.audio_file import read_audio
from musetalk.pipeline.generator import cut_face
from musetalk.training.audio_store import AudioStore, encoder_fingerprint
from musetalk.training.clip_meta import FPS
from musetalk.training.clip_store import Region, RegionFile
from musetalk.training.crops import mouth_in_crop, union_boxes
from musetalk.training.sample import DYNAMIC_MARGIN, OpenClip, SampleSettings, crop_boxes, draw_sample, mixed_track
from musetalk.training.sampling import informative_frames
from musetalk.training.tracks import TrackStore

SETTINGS = SampleSettings(image_size=64, padding_pixel_mouth=3)
STAGE2 = replace(SETTINGS, n_sample_frames=4, crop_type=DYNAMIC_MARGIN)


def opened(clip: Path, *twins: OpenClip) -> OpenClip:
    folder = clip.parent / "cache"
    track, encoder = TrackStore(folder).open(clip), StepEncoder()
    store = AudioStore(folder, encoder_fingerprint(encoder))
    assert store.prepare([track.facts.wav], encoder) == {}
    assert track.facts.regions is not None
    return OpenClip(track, RegionFile(track.facts.regions), store.open(track.facts.wav), twins)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> OpenClip:
    return opened(write_clip(tmp_path_factory.mktemp("clip"), "a", 60, clip=3, no_face=[0, 20, 21, 45]))


def draws(clip: OpenClip, settings: SampleSettings, count: int = 40) -> list[dict[str, np.ndarray]]:
    samples = [draw_sample(clip, settings, np.random.default_rng(seed)) for seed in range(count)]
    assert all(sample is not None for sample in samples)
    return samples  # type: ignore[return-value]


def test_shapes_and_dtypes(clip: OpenClip) -> None:
    sample = draws(clip, replace(STAGE2, n_sample_frames=16, image_size=256, min_face_size=10), 1)
    assert {name: (value.shape, value.dtype) for name, value in sample[0].items()} == {
        "target": ((16, 256, 256, 3), np.uint8),
        "reference": ((16, 256, 256, 3), np.uint8),
        "mask_source": ((16, 256, 256, 3), np.uint8),
        "mouth_box": ((16, 4), np.int32),
        "frames": ((16,), np.int64),
        "windows": ((16, 20, 3), np.float16),
        "mel": ((80, 52), np.float32),
    }
    assert "mel" not in draws(clip, SETTINGS, 1)[0]
    silent = OpenClip(clip.track, clip.regions)
    assert draw_sample(silent, SETTINGS, np.random.default_rng(0)).keys() == draws(clip, SETTINGS, 1)[0].keys() - {
        "windows"
    }


def test_targets_are_consecutive_frames_with_faces_and_show_what_frames_says(clip: OpenClip) -> None:
    seen = set()
    for sample in draws(clip, STAGE2, 300):
        frames = sample["frames"].tolist()
        assert frames == list(range(frames[0], frames[0] + 4)) and not {0, 20, 21, 45} & set(frames)
        assert shown_frames(sample["target"]) == frames
        assert shown_clip(sample["target"]) == shown_clip(sample["reference"]) == 3
        assert np.array_equal(sample["mask_source"], sample["target"])
        seen.add(frames[0])
    assert seen == {*range(1, 17), *range(22, 42), *range(46, 57)}


def test_references_are_informative_frames_with_faces(clip: OpenClip) -> None:
    usable = np.flatnonzero(clip.usable(STAGE2))
    for sample in draws(clip, STAGE2, 60):
        references = shown_frames(sample["reference"])
        for frame, reference in zip(sample["frames"].tolist(), references, strict=True):
            at = int(np.searchsorted(usable, frame))
            allowed = usable[informative_frames(clip.points[usable], at, 0.51)]
            allowed = allowed[np.abs(allowed - frame) >= 5]
            assert reference in (allowed if len(allowed) else usable) and abs(reference - frame) >= 5


def test_the_random_method_stays_within_five_lengths(clip: OpenClip) -> None:
    for sample in draws(clip, replace(SETTINGS, sample_method="random")):
        assert abs(shown_frames(sample["reference"])[0] - sample["frames"][0]) == 5


def test_the_published_crop_is_the_union_without_and_with_a_margin(clip: OpenClip) -> None:
    boxes = union_boxes(clip.track.detections, clip.track.landmarks)
    for settings, most in ((SETTINGS, 0), (replace(SETTINGS, crop_type=DYNAMIC_MARGIN), 20)):
        lowest = set()
        for sample in draws(clip, settings, 30):
            frame = int(sample["frames"][0])
            x1, y1, x2, y2 = (int(edge) for edge in boxes[frame])
            errors = [
                np.abs(
                    sample["target"][0].astype(int) - cut_face(picture(frame, 3), (x1, y1, x2, y2 + margin), 64)
                ).mean()
                for margin in range(25)
            ]
            best = int(np.argmin(errors))
            assert best <= most + 1 and errors[best] < 1.5  # one row is lost in JPEG
            lowest.add(best)
        assert most == 0 or max(lowest) > 15


def test_margins_are_drawn_once_for_all_targets_and_for_each_reference(
    clip: OpenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    boxes: list[tuple[int, float]] = []

    def note(detection: np.ndarray, landmarks: np.ndarray, shape: object, margin: float) -> tuple[int, int, int, int]:
        boxes.append((len(boxes), margin))
        return 60, 60, 220, 200

    monkeypatch.setattr("musetalk.training.sample.draw_margin", lambda rng, mean, std: next(given))
    monkeypatch.setattr("musetalk.training.sample.union_box", note)
    draw_sample(clip, STAGE2, np.random.default_rng(0))
    assert [margin for _, margin in boxes] == [1.0] * 4 + [2.0, 3.0, 4.0, 5.0]


def inference_box(clip: OpenClip, frame: int, margin: int, smoothing: int) -> tuple[int, int, int, int]:
    """As `LiveStates` finds it."""
    faces = [
        None if np.isnan(box[0]) else Face(points.astype(np.float64), tuple(map(float, box)))
        for points, box in zip(clip.track.landmarks, clip.track.detections, strict=True)
    ]
    smooth = list(smooth_faces(faces, smoothing))[frame]
    box = face_box(smooth, clip.track.facts.frame_size)
    return lower_chin(box, margin, clip.track.facts.frame_size[0])


@pytest.mark.parametrize("smoothing", [0, 3])
def test_the_crop_of_geometry_inference_is_the_one_that_inference_makes(clip: OpenClip, smoothing: int) -> None:
    settings = replace(SETTINGS, geometry="inference", smooth_boxes=smoothing)
    for sample in draws(clip, settings, 15):
        frame = int(sample["frames"][0])
        expected = cut_face(picture(frame, 3), inference_box(clip, frame, 10, smoothing), 64)
        assert np.abs(sample["target"][0].astype(int) - expected).max() <= 4  # JPEG
        box = inference_box(clip, frame, 10, smoothing)
        assert tuple(sample["mouth_box"][0]) == mouth_in_crop(clip.track.landmarks[frame], box, 3, 64)


def test_the_dynamic_margin_has_the_published_mean_in_either_geometry(
    clip: OpenClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("musetalk.training.sample.draw_margin", lambda rng, mean, std: asked.append((mean, std)) or 0.0)
    settings = replace(SETTINGS, geometry="inference", crop_type=DYNAMIC_MARGIN, extra_margin=7)
    draw_sample(clip, replace(settings, cropping_jaw2edge_margin_std=4.0), np.random.default_rng(0))
    assert asked == [(10.0, 4.0), (10.0, 4.0)]


def test_narrow_faces_are_neither_targets_nor_references(clip: OpenClip) -> None:
    widths = clip.track.facts.widths
    limit = int(widths.max())
    settings = replace(SETTINGS, min_face_size=limit, top_k_ratio=1.0)
    for sample in draws(clip, settings, 60):
        assert widths[sample["frames"][0]] >= limit and widths[shown_frames(sample["reference"])[0]] >= limit
    narrow = {int(sample["frames"][0]) for sample in draws(clip, replace(settings, control_face_min_size=False), 60)}
    assert min(widths[list(narrow)]) < limit
    assert draw_sample(clip, replace(settings, min_face_size=1000), np.random.default_rng(0)) is None


def test_references_are_black_as_often_as_asked(clip: OpenClip) -> None:
    black = [not sample["reference"].any() for sample in draws(clip, replace(SETTINGS, ref_dropout_rate=0.3), 200)]
    assert 0.2 < np.mean(black) < 0.4
    assert all(sample["reference"].any() and sample["target"].any() for sample in draws(clip, SETTINGS, 20))


@pytest.mark.parametrize("geometry", ["published", "inference"])
def test_a_twin_gives_the_masked_face_and_the_reference_and_the_place(tmp_path: Path, geometry: str) -> None:
    twin_path = write_clip(tmp_path, "twin", 60, clip=5, seed=8, no_face=[30])
    clip = opened(write_clip(tmp_path, "a", 60, clip=2, no_face=[10]), opened(twin_path))
    settings = replace(STAGE2, geometry=geometry)
    for sample in draws(clip, settings, 30):
        frames = sample["frames"].tolist()
        assert not {10, 30} & set(frames)
        assert shown_clip(sample["target"]) == 2 and shown_clip(sample["reference"]) == 5
        assert shown_frames(sample["mask_source"]) == shown_frames(sample["target"]) == frames
        assert np.array_equal(sample["reference"], sample["mask_source"])
        # The red ramp runs down the frame: equal ones mean that both were cut at the same place.
        ramps = sample["target"][..., 2].astype(int), sample["mask_source"][..., 2].astype(int)
        assert np.abs(ramps[0] - ramps[1]).max() <= 4
    (twin,) = clip.twins
    own = draws(OpenClip(twin.track, twin.regions), replace(settings, crop_type="crop_resize"), 30)
    placed = draws(clip, replace(settings, crop_type="crop_resize"), 30)
    by_frame = {int(sample["frames"][0]): sample["target"][0, :, 0, 2] for sample in own}
    both = [sample for sample in placed if int(sample["frames"][0]) in by_frame]
    assert both
    for sample in both:
        ramp = by_frame[int(sample["frames"][0])].astype(int)
        assert np.abs(sample["target"][0, :, 0, 2].astype(int) - ramp).max() <= 4
    assert draw_sample(clip, replace(settings, use_twins=False), np.random.default_rng(0))["mask_source"][
        ..., 1
    ].mean() == pytest.approx(20, abs=2)


def test_mixed_boxes_lie_between_those_of_both_mouths(tmp_path: Path) -> None:
    clip = opened(write_clip(tmp_path, "a", 60, clip=2))
    track = clip.track
    shift = np.array([8, 20])
    moved = replace(track, landmarks=track.landmarks + shift, detections=track.detections + np.tile(shift, 2))
    twin = OpenClip(moved, clip.regions, clip.hidden)
    settings = replace(SETTINGS, crop_type="crop_resize", geometry="inference")
    frames = np.arange(20, 23)
    own, theirs, between = (
        np.array(crop_boxes(faces, frames, settings, 10.0)) for faces in (track, moved, mixed_track(moved, track, 0.25))
    )
    assert np.abs(theirs - own).max() > 15
    np.testing.assert_allclose(between, 0.75 * theirs + 0.25 * own, atol=1.01)
    # The red ramp runs down the frame: what a crop ends with tells where it lies.
    clip = OpenClip(track, clip.regions, clip.hidden, [twin])
    ends = [sample["target"][0, -1, :, 2].mean() for sample in draws(clip, replace(settings, mixed_boxes=True), 40)]
    always = [sample["target"][0, -1, :, 2].mean() for sample in draws(clip, settings, 40)]
    assert np.std(ends) > 2 * np.std(always)


def test_twins_are_used_as_often_as_asked(tmp_path: Path) -> None:
    clip = opened(write_clip(tmp_path, "a", 60, clip=2), opened(write_clip(tmp_path, "twin", 60, clip=5)))
    used = [
        shown_clip(sample["mask_source"]) == 5 for sample in draws(clip, replace(SETTINGS, twin_probability=0.3), 150)
    ]
    assert 0.2 < np.mean(used) < 0.4


def test_several_sources_of_one_target(tmp_path: Path) -> None:
    twins = [opened(write_clip(tmp_path, f"twin{k}", 60, clip=k)) for k in (5, 6, 7)]
    clip = opened(write_clip(tmp_path, "a", 60, clip=2), *twins)
    settings = replace(SETTINGS, sources_per_target=2, mixed_boxes=True, geometry="inference")
    pairs = set()
    for sample in draws(clip, settings, 30):
        assert all(len(sample[name]) == 2 for name in ("target", "reference", "mouth_box", "windows"))
        assert sample["frames"][0] == sample["frames"][1]
        for name in ("target", "mouth_box", "windows"):
            assert np.array_equal(sample[name][0], sample[name][1]), name
        assert np.array_equal(sample["reference"], sample["mask_source"])
        assert shown_clip(sample["target"]) == 2
        pairs.add(tuple(shown_clip(sample["reference"][row : row + 1]) for row in range(2)))
        ramps = [sample[name][row, ..., 2].astype(int) for name in ("target", "reference") for row in range(2)]
        assert max(np.abs(ramp - ramps[0]).max() for ramp in ramps) <= 4  # all cut at the same place
    assert {frozenset(pair) for pair in pairs} == {frozenset(two) for two in ((5, 6), (5, 7), (6, 7))}
    lonely = opened(tmp_path / "a.json", twins[0])
    assert draw_sample(lonely, settings, np.random.default_rng(0)) is None


def test_the_mouth_box_of_a_twin_holds_both_mouths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = opened(write_clip(tmp_path, "a", 60, clip=2), opened(write_clip(tmp_path, "twin", 60, clip=5)))
    mouths = iter([(9, 20, 30, 40), (12, 18, 33, 37)] * 10)
    monkeypatch.setattr("musetalk.training.sample.mouth_in_crop", lambda *_: next(mouths))
    sample = draw_sample(clip, SETTINGS, np.random.default_rng(0))
    assert sample is not None and sample["mouth_box"].tolist() == [[9, 18, 33, 40]]
    sample = draw_sample(clip, replace(SETTINGS, use_twins=False), np.random.default_rng(0))
    assert sample is not None and sample["mouth_box"].tolist() == [[9, 20, 30, 40]]


@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_samples_are_augmented_as_often_as_asked(clip: OpenClip, rate: float) -> None:
    plain = draws(clip, SETTINGS, 60)
    mirrored, colored = (draws(clip, replace(SETTINGS, **{name: rate}), 60) for name in ("mirror_rate", "color_rate"))
    edges = [
        (one["mouth_box"][0, [0, 2]], two["mouth_box"][0, [0, 2]]) for one, two in zip(plain, mirrored, strict=True)
    ]
    sided = [(one, two) for one, two in edges if one.sum() != 64]  # others look the same in a mirror
    turned = [(64 - one[::-1] == two).all() for one, two in sided]
    changed = [not np.array_equal(one["target"], two["target"]) for one, two in zip(plain, colored, strict=True)]
    for share in (np.mean(turned), np.mean(changed)):
        assert share == 1 if rate == 1 else 0.2 < share < 0.6


@pytest.mark.parametrize("frames", [60, 1600])
def test_sound_is_cut_around_the_frames_of_clips_of_any_length(tmp_path: Path, frames: int) -> None:
    """Published: clips longer than 30 s get the sound of their first 30 s."""
    clip = opened(write_clip(tmp_path, "a", 60))
    if frames != 60:
        clip = lengthened(clip, tmp_path, frames)
    settings = replace(STAGE2, n_sample_frames=16, min_face_size=1)
    samples = read_audio(clip.track.facts.wav)
    assert clip.hidden is not None
    expected = audio_windows(np.asarray(clip.hidden), len(samples), FPS)
    mel = sync_mel(samples)
    starts = set()
    for sample in draws(clip, settings, 25):
        first = int(sample["frames"][0])
        assert np.array_equal(sample["windows"], expected[first : first + 16])
        column = int(80 * first / 25)
        part = mel[:, column : column + 52]
        assert np.allclose(sample["mel"][:, : part.shape[1]], part, atol=1e-5)
        assert (sample["mel"][:, part.shape[1] :] == -4).all()
        starts.add(first)
    assert max(starts) > frames * 0.6 and min(starts) < frames * 0.4


def test_first_and_last_frames_have_silence_around_them(tmp_path: Path) -> None:
    clip = opened(write_clip(tmp_path, "a", 40, no_face=range(20, 40)))
    first = draws(OpenClip(clip.track, clip.regions, clip.hidden), replace(SETTINGS, n_sample_frames=20), 1)[0]
    windows = first["windows"].reshape(20, 10, 2, 3)
    assert not windows[0, :4].any() and windows[0, 4:].all() and windows[2].all()
    clip = opened(write_clip(tmp_path, "b", 40, no_face=range(20)))
    last = draws(clip, replace(SETTINGS, n_sample_frames=20), 1)[0]
    windows = last["windows"].reshape(20, 10, 2, 3)
    assert windows[-1, :6].all() and not windows[-1, 6:].any() and windows[-3].all()


def test_damaged_pixels_are_an_error_of_the_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path, "a", 60)
    regions = path.with_suffix(".regions")
    data = bytearray(regions.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    regions.write_bytes(data)
    clip = opened(path)
    with pytest.raises(InputError, match=r"a\.regions"):
        draws(clip, replace(SETTINGS, sample_method="random"), 20)


def lengthened(clip: OpenClip, folder: Path, frames: int) -> OpenClip:
    """The clip repeated to so many frames, with a sound as long as that."""
    times = -(-frames // clip.track.facts.frames)
    facts = replace(clip.track.facts, widths=np.tile(clip.track.facts.widths, times)[:frames])
    track = replace(
        clip.track,
        facts=replace(facts, wav=write_sound(folder / "longer.wav", frames / 25)),
        landmarks=np.tile(clip.track.landmarks, (times, 1, 1))[:frames],
        detections=np.tile(clip.track.detections, (times, 1))[:frames],
    )
    encoder = StepEncoder()
    store = AudioStore(folder / "cache", encoder_fingerprint(encoder))
    store.prepare([track.facts.wav], encoder)

    class Repeated(RegionFile):
        def read(self, index: int) -> Region:
            return super().read(index % clip.track.facts.frames)

    return OpenClip(track, Repeated(clip.regions.path), store.open(track.facts.wav))
