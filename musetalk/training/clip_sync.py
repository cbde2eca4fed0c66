"""By how many frames picture and sound of a preprocessed clip are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from musetalk.evaluation.sync_offset import SyncOffset, clip_offset
from musetalk.models.syncnet import SyncNet, load_syncnet
from musetalk.models.syncnet_config import read_syncnet_settings
from musetalk.training.audio_store import open_samples
from musetalk.training.clip_meta import ClipMeta
from musetalk.training.clip_store import RegionFile
from musetalk.training.crops import clip_boxes, cut
from musetalk.training.preprocess.sync import SyncCheck, SyncScore

EXTRA_MARGIN = 10
"""Published: what inference lowers a box by, in pixels."""


def score_clip(
    network: SyncNet, meta: ClipMeta, geometry: str = "inference", margin: float = EXTRA_MARGIN
) -> SyncOffset | None:
    """The offset of a clip whose sound and regions are written.

    Args:
        network: In evaluation mode.
        meta: The clip.
        geometry: How faces are cut: `published` or `inference`, as the network knows them from its training.
        margin: Pixels of the frame that crops are lowered by.

    Returns:
        None where the clip has too few faces in a row.

    Raises:
        InputError: A file of the clip is missing or damaged.
    """
    if meta.regions_path is None:
        return None
    regions = RegionFile(meta.regions_path)
    boxes = clip_boxes(meta.landmarks, meta.detections, meta.video_size, geometry, margin)

    def face_at(frame: int) -> np.ndarray:
        box, region = boxes[frame], regions.read(frame)
        assert box is not None
        return cut(region.image, region.origin, region.scale, box, network.shapes.resolution)

    has_face = np.array([box is not None and regions.has(frame) for frame, box in enumerate(boxes)], bool)
    return clip_offset(network, has_face, face_at, open_samples(meta.wav_path))


def load_sync_check(config: Path, weights: Path | None = None, device: str = "cpu") -> SyncCheck:
    """What preprocessing asks whether a clip is in sync; a partial of this function is its factory.

    A clip that has too few faces in a row to be looked at counts as in sync, with confidence 0.

    Args:
        config: YAML of the SyncNet.
        weights: Its weights; None: those that the YAML names.
        device: Where it runs.

    Raises:
        ConfigError: The YAML cannot be read or makes no SyncNet.
        WeightsError: The weights are missing or those of another network.
    """
    settings = read_syncnet_settings(config)
    network = load_syncnet(settings, weights or settings.ckpt.inference_ckpt_path, str(config)).to(device)

    def check(meta: ClipMeta) -> SyncScore:
        found = score_clip(network, meta)
        return SyncScore(0, 0.0) if found is None else SyncScore(found.offset, found.confidence)

    return check
