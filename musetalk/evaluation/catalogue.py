"""All metrics, in the order of the table."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from musetalk.evaluation import pictures
from musetalk.evaluation.evidence import Beside, Evidence, Sound
from musetalk.evaluation.likeness import face_landmark_distance, mouth_landmark_distance
from musetalk.evaluation.lip_sync import best_lag, control_correlation, correlation, gap_curve, width_curve
from musetalk.evaluation.metrics import FACT, HIGHER, LOWER, ONE, ZERO, Metric
from musetalk.evaluation.perceptual.metrics import PERCEPTUAL
from musetalk.evaluation.silence import silence_leak, silence_motion
from musetalk.evaluation.steadiness import box_jitter, landmark_jitter, relative
from musetalk.evaluation.sync_metrics import SYNC
from musetalk.evaluation.values import NotMeasurable

_SHIFTED = "The same with the other curve turned round by 2/8 … 6/8 of its length, mean of five: a control."
_GAP = "the lip gap (inner lips over nose bridge to chin)"
_WIDTH = "the lip width (mouth corners over outer eye corners)"

VIDEO = (
    Metric("frames", "frames", "", FACT, "Frames of the generated video.", lambda e: e.generated.frames, 0),
    Metric(
        "faces", "frames with a face", "", FACT, "Frames that MediaPipe sees a face in.",
        lambda e: e.generated.seen.sum(), 0,
    ),
    Metric("fps", "frame rate", "fps", FACT, "Frames a second.", lambda e: float(e.generated.fps)),
    Metric("width", "width", "px", FACT, "Pixels across.", lambda e: e.generated.width, 0),
    Metric("height", "height", "px", FACT, "Pixels down.", lambda e: e.generated.height, 0),
    Metric(
        "video_seconds", "length of the picture", "s", FACT, "Frames over frame rate.",
        lambda e: float(e.generated.seconds),
    ),
    Metric("audio_seconds", "length of the sound", "s", FACT, "Of the speech.", lambda e: float(e.sound.seconds)),
    Metric(
        "audio_minus_video", "sound longer than picture by", "ms", ZERO,
        "Length of the speech minus length of the picture.",
        lambda e: float(1000 * (e.sound.seconds - e.generated.seconds)), 0,
    ),
)  # fmt: skip


def _other_audio(evidence: Evidence) -> Sound:
    if evidence.other_audio is None:
        raise NotMeasurable("needs --other_audio")
    return evidence.other_audio


def _gap_lag(evidence: Evidence) -> float:
    curve = evidence.loudness_lags
    if np.ptp(curve) == 0:
        raise NotMeasurable("lip gap or loudness does not vary")
    return float(1000 * best_lag(curve) / evidence.generated.fps)


LIPS_AND_SOUND = (
    Metric(
        "gap_loudness", "lip gap ~ loudness", "r", HIGHER,
        f"Pearson r over frames of {_GAP} with the RMS of the speech in the frame.",
        lambda e: correlation(e.gaps, e.loudness),
    ),
    Metric(
        "gap_loudness_shifted", "lip gap ~ shifted loudness", "r", FACT, _SHIFTED,
        lambda e: control_correlation(e.gaps, e.loudness),
    ),
    Metric(
        "gap_other_loudness", "lip gap ~ another speech", "r", FACT,
        "Pearson r of the lip gap with the RMS of --other_audio: a control.",
        lambda e: correlation(e.gaps, e.loudness_of(_other_audio(e))),
    ),
    Metric(
        "width_loudness", "lip width ~ loudness", "r", FACT,
        f"Pearson r over frames of {_WIDTH} with the RMS of the speech in the frame.",
        lambda e: correlation(e.widths, e.loudness),
    ),
    Metric(
        "width_loudness_shifted", "lip width ~ shifted loudness", "r", FACT, _SHIFTED,
        lambda e: control_correlation(e.widths, e.loudness),
    ),
    Metric(
        "gap_lag", "lip gap later than loudness by", "ms", ZERO,
        "Shift within ±0.6 s at which lip gap and loudness agree best; positive: the mouth is late.", _gap_lag, 0,
    ),
    Metric(
        "gap_reference", "lip gap ~ reference", "r", HIGHER,
        f"Pearson r over frames of {_GAP} with that of the reference.",
        lambda e: correlation(e.gaps, gap_curve(e.given_reference.landmarks)),
    ),
    Metric(
        "gap_reference_shifted", "lip gap ~ shifted reference", "r", FACT, _SHIFTED,
        lambda e: control_correlation(e.gaps, gap_curve(e.given_reference.landmarks)),
    ),
    Metric(
        "width_reference", "lip width ~ reference", "r", HIGHER,
        f"Pearson r over frames of {_WIDTH} with that of the reference.",
        lambda e: correlation(e.widths, width_curve(e.given_reference.landmarks)),
    ),
    Metric(
        "width_reference_shifted", "lip width ~ shifted reference", "r", FACT, _SHIFTED,
        lambda e: control_correlation(e.widths, width_curve(e.given_reference.landmarks)),
    ),
)  # fmt: skip

SILENCE = (
    Metric(
        "silent_frames", "silent frames", "", FACT,
        "Frames inside pauses of at least 0.2 s, 35 dB below the loud ones, without the 0.08 s at the pauses' ends.",
        lambda e: e.silent.sum(), 0,
    ),
    Metric(
        "silence_leak", "open mouth in silence", "share", LOWER,
        "Share of the silent frames in which the inner lips are further apart than 0.25 of their width.",
        lambda e: silence_leak(e.aspects, e.silent),
    ),
    Metric(
        "silence_motion", "motion in silence", "ratio", LOWER,
        "Standard deviation of the lip gap in silent frames over that in the others.",
        lambda e: silence_motion(e.gaps, e.silent),
    ),
)  # fmt: skip

STEADINESS = (
    Metric(
        "landmark_jitter", "jitter of the landmarks", "% of eyes", LOWER,
        "RMS over time of the second difference of brows, nose and eyes, over √6: the standard deviation of a random "
        "tremble, in percent of the distance of the outer eye corners.",
        lambda e: landmark_jitter(e.landmarks),
    ),
    Metric(
        "landmark_jitter_ratio", "jitter of the landmarks over the source's", "ratio", LOWER,
        "The same over that of the source's frames.",
        lambda e: relative(landmark_jitter(e.landmarks), landmark_jitter(e.given_source.landmarks)),
    ),
    Metric(
        "box_jitter", "jitter of the face box", "% of eyes", LOWER,
        "The same for the edges of the box around all landmarks but the mouth's.", lambda e: box_jitter(e.landmarks),
    ),
    Metric(
        "box_jitter_ratio", "jitter of the face box over the source's", "ratio", LOWER,
        "The same over that of the source's frames.",
        lambda e: relative(box_jitter(e.landmarks), box_jitter(e.given_source.landmarks)),
    ),
)  # fmt: skip


def _mean(name: str, evidence: Evidence) -> float:
    return pictures.mean_of(evidence.given_source.pairs[name])


def _ratio(name: str, root: bool, evidence: Evidence) -> float:
    pairs = evidence.given_source.pairs
    return pictures.ratio_of(pairs[name], pairs[f"{name}_beside"], root)


BLENDING = (
    Metric(
        "seam", "gradient on the mask's edge", "ratio", ONE,
        "RMS gradient of the grey picture where the published mask fades (alpha 10 … 90 %), over the source's there; "
        "above 1: edges that the source does not have, below: smoothed.",
        partial(_ratio, "edge", True),
    ),
    Metric(
        "new_line", "strongest new straight edge", "grey levels", LOWER,
        "Largest mean step across a row or column around the face, mouth left out, in the difference to the source; "
        "mean over frames: the border of a pasted box.",
        partial(_mean, "line"), 2,
    ),
    Metric(
        "colour_shift", "colour shift inside the mask", "ΔE", LOWER,
        "CIE 1976 ΔE between the mean colours inside the mask, mouth left out, of generated and source frame; mean.",
        partial(_mean, "colour"), 2,
    ),
    Metric(
        "mouth_sharpness", "sharpness of the mouth", "ratio", ONE,
        "Variance of the Laplacian in the mouth box, mean over frames, over the source's.",
        partial(_ratio, "sharpness", False),
    ),
    Metric(
        "apart_face", "difference outside the lips", "grey levels", LOWER,
        "Mean absolute difference to the source in the face box without the mouth box.",
        partial(_mean, "apart_face"), 2,
    ),
    Metric(
        "apart_background", "difference in the background", "grey levels", LOWER,
        "Mean absolute difference to the source outside the square of 1.5 times the face box.",
        partial(_mean, "apart_background"), 2,
    ),
)  # fmt: skip


def _beside(role: str, evidence: Evidence) -> Beside:
    return evidence.given_reference if role == "reference" else evidence.given_source


def _ssim(role: str, region: str, evidence: Evidence) -> float:
    return pictures.mean_of(_beside(role, evidence).pairs[f"ssim_{region}"])


def _psnr(role: str, region: str, evidence: Evidence) -> float:
    return pictures.psnr(_beside(role, evidence).pairs[f"mse_{region}"])


def _likeness(role: str) -> tuple[Metric, ...]:
    where = {"face": "in the face box", "mouth": "in the mouth box", "background": "in the background"}
    # What a mouth says should differ from the source's, so only the reference makes a verdict of it.
    better = {region: HIGHER if role == "reference" or region == "background" else FACT for region in where}
    ssim = [
        Metric(
            f"ssim_{region}_{role}", f"SSIM {words}, {role}", "", better[region],
            f"Structural similarity (Wang et al. 2004, grey, 11×11 Gaussian of 1.5) to the {role} {words}.",
            partial(_ssim, role, region), 4,
        )
        for region, words in where.items()
    ]  # fmt: skip
    psnr = [
        Metric(
            f"psnr_{region}_{role}", f"PSNR {words}, {role}", "dB", better[region],
            f"Peak signal to noise ratio to the {role} {words}, of the mean squared error over frames; equal: 100.",
            partial(_psnr, role, region), 2,
        )
        for region, words in where.items()
    ]  # fmt: skip
    return (*ssim, *psnr)


LANDMARKS = (
    Metric(
        "lmd_mouth", "LMD of the mouth", "% of eyes", LOWER,
        "Mean distance of the 20 lip landmarks from the reference's, both moved to mean 0, in percent of the distance "
        "of the reference's outer eye corners.",
        lambda e: mouth_landmark_distance(e.landmarks, e.given_reference.landmarks), 2,
    ),
    Metric(
        "lmd_face", "LMD of the face", "% of eyes", LOWER,
        "Mean distance of all 68 landmarks from the reference's, where they are in the picture, in the same unit.",
        lambda e: face_landmark_distance(e.landmarks, _in_pixels_of(e, e.given_reference)), 2,
    ),
)  # fmt: skip


def _in_pixels_of(evidence: Evidence, beside: Beside) -> np.ndarray:
    own, other = evidence.generated, beside.track
    return beside.landmarks * np.array([own.width / other.width, own.height / other.height])


def _grouped(groups: dict[str, tuple[Metric, ...]]) -> tuple[Metric, ...]:
    return tuple(replace(metric, group=name) for name, metrics in groups.items() for metric in metrics)


METRICS = _grouped(
    {
        "video": VIDEO,
        "lips and sound": (*LIPS_AND_SOUND, *SYNC),
        "silence": SILENCE,
        "steadiness": STEADINESS,
        "blending, against the source": BLENDING,
        "likeness to the source": _likeness("source"),
        "likeness to the reference": (*_likeness("reference"), *LANDMARKS),
        "perception": PERCEPTUAL,
    }
)
