"""One training sample of a clip: frames, references and boxes are drawn, faces are cut out, sound is put beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from musetalk.audio.mel import mel_window_length, mel_window_start, sync_mel_slice
from musetalk.audio.windows import DEFAULT_PADDING
from musetalk.face.boxes import SMOOTHING_RADIUS
from musetalk.face.landmarks import Box
from musetalk.synthetic.mouth_channels import SPREAD
from musetalk.training.audio_store import frame_windows, open_samples
from musetalk.training.augment import draw_grading, graded, mirrored
from musetalk.training.clip_meta import FPS
from musetalk.training.clip_store import RegionFile
from musetalk.training.crops import cut, has_area, inference_boxes, lowered, mouth_in_crop, union_box, union_boxes
from musetalk.training.sampling import choose_reference, comparable_landmarks, draw_margin, sample_starts
from musetalk.training.tracks import Track

DYNAMIC_MARGIN = "dynamic_margin_crop_resize"
INFORMATIVE = "pose_similarity_and_mouth_dissimilarity"


@dataclass(frozen=True)
class SampleSettings:
    """What a sample is. Where not said otherwise, the names and defaults are the published ones.

    Attributes:
        n_sample_frames: Consecutive frames of a sample, T (stage 1: 1, stage 2: 16).
        crop_type: crop_resize, or dynamic_margin_crop_resize, which lowers each crop by a drawn margin.
        sample_method: How references are chosen: pose_similarity_and_mouth_dissimilarity, or random.
        top_k_ratio: See `sampling.informative_frames`.
        cropping_jaw2edge_margin_mean, cropping_jaw2edge_margin_std: Of the drawn margin, in pixels of the frame.
        control_face_min_size: Leave out frames whose face is narrower than min_face_size pixels.
        padding_pixel_mouth: Pixels of the crop that the mouth box is wider at each side than the lips.
        audio_padding_length_left, audio_padding_length_right: Sound beside a frame, in 25 fps frames.
        image_size: Side of the cut faces.
        ref_dropout_rate: Share of samples whose references are black.
        geometry: Ours: `published` cuts around detection and landmarks, `inference` where inference cuts.
        extra_margin: Ours, geometry inference: pixels of the frame that inference lowers a box; the drawn margin lies
            around it.
        smooth_boxes: Ours, geometry inference: frames to each side that inference smooths boxes over; 0: not at all.
        use_twins: Ours: where a clip has twins, masked face and reference are those of one of them, at the same frame.
        twin_probability: Ours: share of the samples of such a clip for which they are.
        sources_per_target: Ours: so many twins of a clip are sources of the same target, a row of the sample for each.
        mixed_boxes: Ours: such crops lie around a drawn mixture of both mouths, so that they tell neither; else around
            the twin's, as at inference.
        true_mouths: Ours: samples hold the true mouths, which a clip then must have (rendered data).
        color_rate, mirror_rate: Ours: shares of the samples whose colours are changed, and that are mirrored.
        seed: Everything drawn is a function of it and the number of the sample.
    """

    n_sample_frames: int = 1
    crop_type: str = "crop_resize"
    sample_method: str = INFORMATIVE
    top_k_ratio: float = 0.51
    cropping_jaw2edge_margin_mean: float = 10.0
    cropping_jaw2edge_margin_std: float = 10.0
    control_face_min_size: bool = True
    min_face_size: int = 150
    padding_pixel_mouth: int = 10
    audio_padding_length_left: int = DEFAULT_PADDING
    audio_padding_length_right: int = DEFAULT_PADDING
    image_size: int = 256
    ref_dropout_rate: float = 0.0
    geometry: str = "published"
    extra_margin: int = 10
    smooth_boxes: int = SMOOTHING_RADIUS
    use_twins: bool = True
    twin_probability: float = 1.0
    sources_per_target: int = 1
    mixed_boxes: bool = False
    true_mouths: bool = False
    color_rate: float = 0.0
    mirror_rate: float = 0.0
    seed: int = 41

    @property
    def least_twins(self) -> int:
        """Twins that a clip needs: as many as a target has sources, where these are several; else it does without."""
        return self.sources_per_target if self.sources_per_target > 1 else 0

    @property
    def min_width(self) -> int:
        """Narrowest face that is used, in pixels of the frame; at least 1."""
        return max(self.min_face_size, 1) if self.control_face_min_size else 1


class OpenClip:
    """A clip as samples are made of it.

    Args:
        track: Its faces.
        regions: Their pixels.
        hidden: (steps, S, D) float16 hidden states of its sound; None: samples have no audio windows.
        twins: The clips that show the same frames with other mouths.
    """

    def __init__(
        self, track: Track, regions: RegionFile, hidden: np.ndarray | None = None, twins: Sequence[OpenClip] = ()
    ) -> None:
        self.track, self.regions, self.hidden, self.twins = track, regions, hidden, tuple(twins)

    def usable(self, settings: SampleSettings) -> np.ndarray:
        """(n,) bool: frames with a face that is wide enough."""
        return self.track.facts.widths >= settings.min_width

    @cached_property
    def points(self) -> np.ndarray:
        """(n, 23, 2) of all frames, see `comparable_landmarks`; NaN where there is no face."""
        landmarks = self.track.landmarks
        return comparable_landmarks(landmarks, union_boxes(self.track.detections, landmarks))

    @cached_property
    def samples(self) -> np.ndarray:
        """The clip's sound, see `open_samples`."""
        return open_samples(self.track.facts.wav)

    @property
    def nbytes(self) -> int:
        """Memory that it holds, about; what is mapped from files is not counted."""
        track = self.track
        own = track.landmarks.nbytes * 2 + track.detections.nbytes + track.facts.frames * 48
        return own + sum(twin.nbytes for twin in self.twins)


def draw_sample(clip: OpenClip, settings: SampleSettings, rng: np.random.Generator) -> dict[str, np.ndarray] | None:
    """A sample of a clip.

    T is settings.n_sample_frames; where a frame has several sources, it is their number, and the frame always the same.

    Returns:
        target, reference, mask_source: (T, size, size, 3) uint8 BGR; mask_source is the face whose upper half is kept.
        mouth_box: (T, 4) int32 in the crop, x1, y1, x2, y2, end exclusive; with twins around all mouths, of which one
            has to appear and the others to vanish.
        frames: (T,) int64.
        mouths: (T, C) float32, each channel in its `mouth_channels.SPREAD`; with `true_mouths` alone.
        windows: (T, tokens, D) float16 audio windows, without positions; absent where the clip was opened without.
        mel: (80, mel_window_length(T)) float32 from the first frame on; absent where T is 1.
        None where what was drawn cannot be cut out, no frame can be the reference, or twins are missing.

    Raises:
        InputError: A file of the clip is damaged.
    """
    length = settings.n_sample_frames
    usable = clip.usable(settings)
    twins = _drawn_twins(clip, settings, rng)
    if len(twins) < settings.least_twins:
        return None
    for twin in twins:
        usable = usable & twin.usable(settings)
    starts = sample_starts(usable, length)
    if not len(starts):
        return None
    frames = int(starts[rng.integers(len(starts))]) + np.arange(length)
    track = twins[0].track if twins else clip.track
    if twins and settings.mixed_boxes:
        track = mixed_track(track, clip.track, rng.random())
    boxes = crop_boxes(track, frames, settings, drawn_margin(rng, settings))
    if boxes is None:
        return None
    mouth_boxes = _mouth_boxes([clip, *twins], frames, boxes, settings)
    if mouth_boxes is None:
        return None
    size = settings.image_size
    target = cut_faces(clip.regions, frames, boxes, size)
    mask_source = target
    if twins:
        # As at inference, the reference is the very frame whose lower half is masked.
        reference = mask_source = np.concatenate([cut_faces(twin.regions, frames, boxes, size) for twin in twins])
        target, mouth_boxes = (np.concatenate([rows] * len(twins)) for rows in (target, mouth_boxes))
        frames = np.concatenate([frames] * len(twins))
    else:
        drawn = _draw_references(clip, usable, frames, settings, rng)
        if drawn is None:
            return None
        reference = cut_faces(clip.regions, *drawn, size)
    if rng.random() < settings.ref_dropout_rate:
        reference = np.zeros_like(reference)
    sample = {
        "target": target,
        "reference": reference,
        "mask_source": mask_source,
        "mouth_box": mouth_boxes,
        "frames": frames.astype(np.int64),
    }
    if settings.true_mouths and clip.track.mouths is not None:
        sample["mouths"] = clip.track.mouths[frames] / SPREAD
    if clip.hidden is not None:
        left, right = settings.audio_padding_length_left, settings.audio_padding_length_right
        sample["windows"] = frame_windows(clip.hidden, frames.tolist(), left, right)
    if length > 1:
        first = mel_window_start(int(frames[0]), FPS)
        sample["mel"] = sync_mel_slice(clip.samples, first, mel_window_length(length, FPS))
    return _augmented(sample, settings, rng)


def _drawn_twins(clip: OpenClip, settings: SampleSettings, rng: np.random.Generator) -> tuple[OpenClip, ...]:
    """Those whose frames are the sources; none: the sources are the clip's own."""
    if not settings.use_twins or rng.random() >= settings.twin_probability:
        return ()
    if len(clip.twins) <= settings.sources_per_target:
        return clip.twins
    return tuple(clip.twins[k] for k in rng.choice(len(clip.twins), settings.sources_per_target, replace=False))


def _augmented(
    sample: dict[str, np.ndarray], settings: SampleSettings, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    if settings.color_rate and rng.random() < settings.color_rate:
        sample = graded(sample, draw_grading(rng))
    if settings.mirror_rate and rng.random() < settings.mirror_rate:
        sample = mirrored(sample)
    return sample


def mixed_track(track: Track, other: Track, share: float) -> Track:
    """A track whose faces lie between those of two tracks of the same frames.

    Args:
        share: Of the other one, 0 … 1.
    """
    landmarks, detections = (
        (1 - share) * ours + share * theirs
        for ours, theirs in ((track.landmarks, other.landmarks), (track.detections, other.detections))
    )
    return replace(track, landmarks=landmarks, detections=detections)


def _mouth_boxes(
    clips: Sequence[OpenClip], frames: np.ndarray, boxes: Sequence[Box], settings: SampleSettings
) -> np.ndarray | None:
    """(T, 4) int32 in the crops, around the mouths of all clips; None where a mouth is not in its crop."""
    found = []
    for frame, box in zip(frames.tolist(), boxes, strict=True):
        mouths = [
            mouth_in_crop(clip.track.landmarks[frame], box, settings.padding_pixel_mouth, settings.image_size)
            for clip in clips
        ]
        if not all(mouths):
            return None
        edges = np.array(mouths, np.int32)
        found.append(np.concatenate([edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)]))
    return np.array(found, np.int32)


def drawn_margin(rng: np.random.Generator, settings: SampleSettings) -> float:
    """Pixels of the frame that crops are lowered by: drawn, where the crop type is dynamic."""
    if settings.crop_type != DYNAMIC_MARGIN:
        return settings.extra_margin if settings.geometry == "inference" else 0.0
    return draw_margin(rng, settings.cropping_jaw2edge_margin_mean, settings.cropping_jaw2edge_margin_std)


def _draw_references(
    clip: OpenClip, usable: np.ndarray, frames: np.ndarray, settings: SampleSettings, rng: np.random.Generator
) -> tuple[list[int], list[Box]] | None:
    """A reference frame for each frame, and its box with a margin of its own."""
    candidates = np.flatnonzero(usable)
    points = clip.points[candidates] if settings.sample_method == INFORMATIVE else None
    references, boxes = [], []
    for frame in frames.tolist():
        reference = choose_reference(rng, candidates, points, frame, len(frames), settings.top_k_ratio)
        if reference is None:
            return None
        box = crop_boxes(clip.track, [reference], settings, drawn_margin(rng, settings))
        if box is None:
            return None
        references.append(reference)
        boxes += box
    return references, boxes


def crop_boxes(
    track: Track, frames: Sequence[int] | np.ndarray, settings: SampleSettings, margin: float
) -> list[Box] | None:
    """Crops of consecutive frames with faces, in pixels of the frame; None where one of them has no area."""
    landmarks, detections, shape = track.landmarks, track.detections, track.facts.frame_size
    if settings.geometry == "inference":
        found = inference_boxes(landmarks, detections, shape, int(frames[0]), len(frames), settings.smooth_boxes)
        boxes = [box if box is None else lowered(box, margin, shape) for box in found]
    else:
        boxes = [union_box(detections[frame], landmarks[frame], shape, margin) for frame in frames]
    kept = [box for box in boxes if box is not None and has_area(box)]
    return kept if len(kept) == len(boxes) else None


def cut_faces(
    regions: RegionFile, frames: Sequence[int] | np.ndarray, boxes: Sequence[Box], size: int
) -> np.ndarray:
    """(n, size, size, 3) uint8 BGR: the boxes, in pixels of the frames, of frames with faces.

    Raises:
        InputError: The file is damaged.
    """
    faces = np.empty((len(boxes), size, size, 3), np.uint8)
    for face, frame, box in zip(faces, frames, boxes, strict=True):
        region = regions.read(int(frame))
        face[...] = cut(region.image, region.origin, region.scale, box, size)
    return faces
