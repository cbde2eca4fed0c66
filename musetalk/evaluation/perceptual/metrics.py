"""FID, CSIM and LPIPS of an entry, in the file's terms: which pictures are compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np

from musetalk.evaluation.evidence import Beside, Evidence
from musetalk.evaluation.metrics import HIGHER, LOWER, Metric
from musetalk.evaluation.pairing import read_paired
from musetalk.evaluation.perceptual.frechet import Features, frechet_distance
from musetalk.evaluation.perceptual.identity import align, cosine, load_recogniser
from musetalk.evaluation.perceptual.inception import load_inception
from musetalk.evaluation.perceptual.lpips import distances, load_lpips
from musetalk.evaluation.regions import CHIN_MARGIN, cut_box
from musetalk.evaluation.track import FaceTrack
from musetalk.evaluation.values import NotMeasurable
from musetalk.evaluation.weights_needed import ALEXNET, ARCFACE, INCEPTION, LPIPS_LINEAR, SFACE, lacking, needed
from musetalk.face.boxes import face_box, lower_chin
from musetalk.face.landmarks import Box, Face
from musetalk.media.frames import open_source

LPIPS_SIDE = 256
"""LPIPS compares faces scaled to this, the size that the model paints."""
_BATCH = 8


def fid(evidence: Evidence) -> float:
    """Fréchet distance between the faces of the generated video and those of the reference, else the source."""
    other = evidence.yardstick.track
    (path,) = needed(evidence, INCEPTION)
    network = load_inception(path, evidence.device)
    clouds = []
    for track in (evidence.generated, other):
        features = Features(network)
        for face in faces_of(track):
            features.add(face)
        cloud = features.cloud()
        if cloud is None:
            raise NotMeasurable("there are less than two faces to compare")
        clouds.append(cloud)
    return frechet_distance(clouds[0], clouds[1])


def lpips(evidence: Evidence) -> float:
    """Mean LPIPS of the face box of the reference, else the source, cut from both frames."""
    beside = evidence.yardstick
    alexnet, linear = needed(evidence, ALEXNET, LPIPS_LINEAR)
    network = load_lpips(alexnet, linear, evidence.device)
    found: list[float] = []
    pairs = _face_pairs(evidence, beside)
    while batch := list(islice(pairs, _BATCH)):
        found += distances(network, batch)
    return _mean(found)


def csim(evidence: Evidence) -> float:
    """Mean cosine of the faces' embeddings in the generated frames and those beside them; found once."""
    return evidence.once("csim", lambda: _csim(evidence))


def _csim(evidence: Evidence) -> float:
    beside = evidence.source or evidence.yardstick
    arcface, sface = evidence.models_dir / ARCFACE, evidence.models_dir / SFACE
    recogniser = load_recogniser(arcface, sface, evidence.device)
    if recogniser is None:
        raise lacking(evidence, f"{sface} (SFace) or {arcface} (ArcFace)")
    remark = f"CSIM is by {recogniser.name}, against the {'source' if beside is evidence.source else 'reference'}"
    evidence.remarks.append(remark)
    own, other = evidence.generated.landmarks, scaled_landmarks(evidence.generated, beside)
    found = []
    for index, frame, partner in _in_step(evidence.generated, beside):
        if partner is not None and np.isfinite(own[index]).all() and np.isfinite(other[index]).all():
            first, second = align(frame, own[index]), align(partner, other[index])
            found.append(cosine(recogniser.embed(first), recogniser.embed(second)))
    return _mean(found)


def faces_of(track: FaceTrack) -> Iterator[np.ndarray]:
    """The face box of v1.5 of every frame that shows a face, (h, w, 3) uint8 BGR."""
    frames = open_source(track.path, track.fps).frames()
    for frame, face in zip(frames, track.faces(), strict=False):
        box = None if face is None else _box(face, track)
        if box is not None:
            yield cut_box(frame, box)


def _box(face: Face, track: FaceTrack) -> Box | None:
    box = face_box(face, (track.height, track.width))
    return None if box is None else lower_chin(box, CHIN_MARGIN, track.height)


def scaled_landmarks(generated: FaceTrack, beside: Beside) -> np.ndarray:
    """(n, 68, 2) of the video beside, in pixels of the generated one."""
    return beside.landmarks * np.array([generated.width / beside.track.width, generated.height / beside.track.height])


def _in_step(generated: FaceTrack, beside: Beside) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    size = generated.width, generated.height
    partners = read_paired(beside.track.path, generated.fps, beside.pairing, size)
    frames = open_source(generated.path, generated.fps).frames()
    for index, (frame, partner) in enumerate(zip(frames, partners, strict=False)):
        yield index, frame, partner


def _face_pairs(evidence: Evidence, beside: Beside) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    landmarks = scaled_landmarks(evidence.generated, beside)
    for index, frame, partner in _in_step(evidence.generated, beside):
        if partner is None or not np.isfinite(landmarks[index]).all():
            continue
        edges = (*landmarks[index].min(axis=0).tolist(), *landmarks[index].max(axis=0).tolist())
        box = _box(Face(landmarks[index], edges), evidence.generated)
        if box is not None:
            first, second = (
                cv2.resize(cut_box(image, box), (LPIPS_SIDE, LPIPS_SIDE), interpolation=cv2.INTER_AREA)
                for image in (frame, partner)
            )
            yield first, second


def _mean(values: list[float]) -> float:
    if not values:
        raise NotMeasurable("there is no frame in which both show a face")
    return float(np.mean(values))


PERCEPTUAL = (
    Metric(
        "fid", "FID of the faces", "distance", LOWER,
        "Fréchet distance of pytorch-fid's 2048 Inception features between the face boxes of all frames and those of "
        "the reference, without one the source. A clip has fewer frames than features: compare within one table only.",
        fid, 2,
    ),
    Metric(
        "csim", "CSIM", "cosine", HIGHER,
        "Mean cosine of ArcFace's or SFace's embedding (the notes say whose) of the aligned face with that of the "
        "source, without one the reference.",
        csim,
    ),
    Metric(
        "lpips", "LPIPS of the face", "distance", LOWER,
        "LPIPS 0.1 with AlexNet of the face box at 256×256 against the reference, without one the source; mean.",
        lpips,
    ),
)  # fmt: skip
