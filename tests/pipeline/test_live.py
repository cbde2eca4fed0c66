"""Every frame in gives one frame out, with stand-ins for the finder and the networks."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from musetalk.errors import InputError
from musetalk.face.blending import BLUR_FRACTION
from musetalk.face.boxes import face_box
from musetalk.media.frame_source import SourceInfo
from musetalk.models.versions import find_version
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.frame_state import ByteCache
from musetalk.pipeline.generator import cut_face
from musetalk.pipeline.live import FaceSettings, LiveStates
from musetalk.pipeline.settings import DubSettings
from musetalk.pipeline.speaking import speak
from musetalk.pipeline.stages import Stages
from musetalk.pipeline.template import template_face

HEIGHT, WIDTH = 96, 128
BOX = (40, 30, 80, 80)
UNSMOOTHED = FaceSettings(extra_margin=0, smoothing=0)


def frame(number):
    """A frame that tells its number in its first pixel and is grey elsewhere."""
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    image[0, 0] = number
    return image


class Clip:
    def __init__(self, count):
        self.count = count
        self.read = 0
        self.info = SourceInfo(Path("clip.mp4"), WIDTH, HEIGHT, Fraction(25), count, is_image=count == 1)

    def frames(self):
        return map(frame, range(self.count))

    def ping_pong(self):
        while True:
            for index in [*range(self.count), *reversed(range(self.count))]:
                self.read += 1
                yield index, frame(index)


class Finder:
    """Knows which frames have a face, and where."""

    name = "stub"

    def __init__(self, boxes):
        self.boxes = boxes
        self.asked = []

    def find(self, frames):
        numbers = [int(image[0, 0, 0]) for image in frames]
        self.asked += numbers
        return [None if (box := self.boxes.get(number)) is None else template_face(box) for number in numbers]


class Parser:
    needs_landmarks = True

    def __init__(self):
        self.faces = []

    def masks(self, crops, faces):
        self.faces += faces
        return [np.full(crop.shape[:2], 255, np.uint8) for crop in crops]


class Network:
    """Stands for the generator: faces are as grey as their audio window says."""

    face_size = 32

    def __init__(self):
        self.encoded = 0
        self.batches = []

    def encode_faces(self, faces):
        assert all(face.shape == (32, 32, 3) for face in faces)
        self.encoded += len(faces)
        return torch.from_numpy(np.stack([face.mean((0, 1)) for face in faces])).float()

    def generate(self, latents, windows, visible_from):
        assert len(latents) == len(windows)
        self.batches.append(len(latents))
        return np.stack([np.full((32, 32, 3), int(window[0, 0]), np.uint8) for window in windows])


def windows(count):
    return iter([np.full((50, 4), i, np.float32) for i in range(count)])


def dub(clip, states, network, count, batch_size=4):
    with Stages() as stages:
        located = stages.run("faces", states.locate(states.frames(), count), 2)
        return list(speak(states, located, windows(count), network, Compositor(), stages, batch_size))


def states_of(clip, boxes, network=None, settings=UNSMOOTHED, **more):
    return LiveStates(clip, Finder(boxes), Parser(), network or Network(), settings, batch_size=4, **more)


def spoken(image):
    """The grey of the mouth, which is the number of the audio window where a face was generated."""
    x1, _, x2, y2 = BOX
    return int(image[y2 - 12, (x1 + x2) // 2, 0])


@pytest.mark.parametrize("without", [range(10, 20), [0], range(25, 30), [0, 1, 13, 29]], ids=str)
def test_frames_without_a_face_pass_through_and_nothing_shifts(without):
    clip, network = Clip(30), Network()
    boxes = {i: BOX for i in range(30) if i not in without}
    frames = dub(clip, states_of(clip, boxes, network), network, 30)
    assert len(frames) == 30
    for number, image in enumerate(frames):
        assert image[0, 0, 0] == number
        if number in without:
            np.testing.assert_array_equal(image, frame(number))
        else:
            assert spoken(image) == number


def test_pixels_outside_the_mask_stay():
    clip, network = Clip(3), Network()
    x1, y1, x2, y2 = BOX
    for image in dub(clip, states_of(clip, {i: BOX for i in range(3)}, network), network, 3):
        number = image[0, 0, 0]
        changed = np.argwhere((image != frame(number)).any(axis=2))
        assert len(changed)
        # Not above the crop's middle, nor beyond the box by more than half the blur's kernel.
        assert changed[:, 0].min() >= (y1 + y2) // 2 - 3 and changed[:, 0].max() < y2 + 3
        assert changed[:, 1].min() >= x1 - 3 and changed[:, 1].max() < x2 + 3


def test_sound_longer_than_the_video_plays_it_back_and_forth_and_finds_once():
    clip, network = Clip(5), Network()
    states = states_of(clip, {i: BOX for i in range(5)}, network)
    frames = dub(clip, states, network, 17)
    assert [int(image[0, 0, 0]) for image in frames] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 4, 3]
    assert [spoken(image) for image in frames] == list(range(17))
    assert states._finder.asked == [0, 1, 2, 3, 4]
    assert network.encoded == 5


def test_without_room_in_the_cache_frames_are_encoded_again_but_found_once():
    clip, network = Clip(5), Network()
    states = states_of(clip, {i: BOX for i in range(5)}, network, cache_bytes=0)
    assert len(dub(clip, states, network, 17)) == 17
    assert states._finder.asked == [0, 1, 2, 3, 4]
    assert network.encoded > 5


def test_an_image_is_found_and_encoded_once():
    clip, network = Clip(1), Network()
    states = states_of(clip, {0: BOX}, network)
    assert [spoken(image) for image in dub(clip, states, network, 40)] == list(range(40))
    assert (states._finder.asked, network.encoded, len(states.boxes)) == ([0], 1, 1)


def test_sound_shorter_than_the_video_ends_early():
    clip, network = Clip(100), Network()
    states = states_of(clip, {i: BOX for i in range(100)}, network)
    assert len(dub(clip, states, network, 6)) == 6
    assert len(states.boxes) < 20


def test_boxes_of_the_whole_source_are_found_when_they_are_to_be_saved():
    clip = Clip(50)
    states = states_of(clip, {i: BOX for i in range(50) if i != 40}, whole_source=True)
    located = list(states.locate(states.frames(), 6))
    assert len(located) == 6
    assert states.boxes == [BOX if i != 40 else None for i in range(50)]


@pytest.mark.parametrize("count", [6, 12, 30])
def test_no_face_anywhere_is_an_error(count):
    clip = Clip(12)
    states = states_of(clip, {})
    with pytest.raises(InputError, match="no face was found"):
        list(states.locate(states.frames(), count))
    assert clip.read <= 14  # it is known after one pass


def test_boxes_without_area_pass_through():
    clip = Clip(4)
    boxes = [BOX, (10, 10, 11, 40), (300, 300, 340, 340), (-20, 10, 30, 60)]
    states = LiveStates(clip, None, PlainParser(), Network(), UNSMOOTHED, boxes=boxes)
    located = list(states.locate(states.frames(), 4))
    assert [item.placement and item.placement.box for item in located] == [BOX, None, None, (0, 10, 30, 60)]


class PlainParser(Parser):
    needs_landmarks = False


@pytest.mark.parametrize("count", [3, 5])
def test_saved_boxes_must_be_one_per_source_frame(count):
    clip = Clip(4)
    states = LiveStates(clip, None, PlainParser(), Network(), UNSMOOTHED, boxes=[BOX] * count)
    with pytest.raises(InputError, match=f"for {count} frames"):
        list(states.locate(states.frames(), 12))


def test_saved_boxes_are_used_as_they_are():
    boxes = [(30 + 5 * (i % 2), 30, 80, 80) for i in range(6)]
    states = LiveStates(Clip(6), None, PlainParser(), Network(), FaceSettings(extra_margin=0), boxes=boxes)
    assert [item.placement.box for item in states.locate(states.frames(), 6)] == boxes


def test_saved_boxes_with_a_landmark_parser_look_for_landmarks_in_boxed_frames_only():
    boxes = [BOX, None, BOX, BOX]
    finder, parser = Finder({0: BOX, 2: BOX}), Parser()
    states = LiveStates(Clip(4), finder, parser, Network(), UNSMOOTHED, boxes=boxes)
    located = list(states.locate(states.frames(), 4))
    assert finder.asked == [0, 2, 3]
    assert [item.placement is not None for item in located] == [True, False, True, True]
    assert len(parser.faces) == 3  # frame 3, where none was found, gets an average face in its box


def test_the_chin_margin_moves_the_lower_edge_within_the_image():
    settings = FaceSettings(extra_margin=10, smoothing=0)
    boxes = {0: BOX, 1: (40, 30, 80, 90)}
    states = states_of(Clip(2), boxes, settings=settings)
    located = list(states.locate(states.frames(), 2))
    assert [item.placement.box for item in located] == [(40, 30, 80, 90), (40, 30, 80, 96)]
    assert states.boxes == [boxes[0], boxes[1]]  # saved before the margin


def test_masks_cover_the_chin_and_fade_out_as_far_as_the_box_was_lowered():
    boxes = {0: BOX, 1: (40, 30, 80, 92), 2: (40, 30, 80, HEIGHT)}
    settings = FaceSettings(extra_margin=10, smoothing=0, fade_inside=True)
    states = states_of(Clip(3), boxes, settings=settings)
    for item, lowered in zip(states.locate(states.frames(), 3), (10, 4, 0), strict=True):
        bottom = item.placement.box[3] - item.placement.crop_box[1]
        column = item.placement.alpha[:bottom, item.placement.alpha.shape[1] // 2]
        assert column[bottom - 1] < 255 / max(lowered, 2)
        assert lowered == 0 or (column[bottom - lowered - 5 : bottom - lowered] == 255).all()


@pytest.mark.parametrize("version", ["v1", "v15", "mini"])
def test_minis_avatars_have_the_masks_of_dubbing(version: str) -> None:
    for blur in BLUR_FRACTION:
        made = FaceSettings.of(find_version(version), DubSettings(), blur)
        assert made.blur == ("offline" if version == "mini" else blur)


def test_smoothing_is_on_by_default_and_off_gives_the_boxes_of_single_frames():
    jittery = {i: (40 + 4 * (i % 2), 30, 80 + 4 * (i % 2), 80) for i in range(20)}
    smooth, rough = (
        states_of(Clip(20), jittery, settings=settings) for settings in (FaceSettings(), FaceSettings(smoothing=0))
    )
    for states in (smooth, rough):
        list(states.locate(states.frames(), 20))
    assert rough.boxes == [jittery[i] for i in range(20)]
    spread = np.ptp([box[0] for box in smooth.boxes[4:-4]])
    assert spread <= 1


def test_looking_ahead_for_smoothing_does_not_change_when_the_sound_ends():
    jittery = {i: (40 + 7 * i % 5, 30, 80 + 7 * i % 5, 80) for i in range(30)}
    short, whole = (states_of(Clip(30), jittery, settings=FaceSettings()) for _ in range(2))
    first = [item.placement.box for item in short.locate(short.frames(), 9)]
    every = [item.placement.box for item in whole.locate(whole.frames(), 30)]
    assert first == every[:9]


def test_template_face_has_the_box_it_was_made_for():
    for box in [BOX, (0, 0, 300, 420), (13, 17, 60, 99)]:
        x1, y1, x2, y2 = face_box(template_face(box), (1000, 1000, 3))
        assert np.abs(np.array([x1, y1, x2, y2]) - box).max() <= 1


def test_cut_face_takes_the_box():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 30:50] = 200
    np.testing.assert_array_equal(cut_face(image, (30, 20, 50, 40), 16), np.full((16, 16, 3), 200))


def test_cache_drops_the_longest_unused_first():
    cache = ByteCache(30)
    for key in range(3):
        cache.put(key, str(key), 10)
    cache.get(0)
    cache.put(3, "3", 10)
    assert [cache.get(key) for key in range(4)] == ["0", None, "2", "3"]
    cache.put(4, "large", 31)
    assert cache.get(4) is None and cache.get(0) == "0"
    cache.put(0, "new", 5)
    assert (cache.get(0), cache.size) == ("new", 25)
