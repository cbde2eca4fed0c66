"""A SyncNet small enough for tests: 5 frames of 32 pixels, 16 columns of mel, embeddings of 16 numbers."""

from __future__ import annotations

from typing import Any

from musetalk.models.syncnet import SyncNet
from musetalk.models.syncnet_config import SyncNetSettings
from musetalk.schema import parse

FRAMES, SIDE, COLUMNS, WIDTH = 5, 32, 16, 16
TINY: dict[str, Any] = {
    "model": {
        "audio_encoder": {
            "in_channels": 1,
            "block_out_channels": [8, 8, 8, 16, 16],
            "downsample_factors": [2, 2, 2, 2, [5, 1]],
            "attn_blocks": [0, 0, 0, 0, 0],
            "dropout": 0.0,
            "norm_num_groups": 4,
        },
        "visual_encoder": {
            "in_channels": 15,
            "block_out_channels": [8, 8, 16, 16, 16],
            "downsample_factors": [[1, 2], 2, 2, 2, 2],
            "attn_blocks": [0, 0, 0, 0, 0],
            "norm_num_groups": 4,
        },
    },
    "data": {"num_frames": FRAMES, "resolution": SIDE, "lower_half": True},
}


def tiny_settings() -> SyncNetSettings:
    return parse(SyncNetSettings, TINY, "tiny")[0]


def tiny_syncnet() -> SyncNet:
    return SyncNet(tiny_settings())
