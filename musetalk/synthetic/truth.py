"""What is known about a rendered clip, as it is written beside it."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musetalk.evaluation.lip_sync import gap_curve, width_curve
from musetalk.synthetic.acting import Performance
from musetalk.synthetic.clips import Shot
from musetalk.synthetic.utterance import SAMPLE_RATE
from musetalk.training.files import write_whole


def truth(performance: Performance, shots: Sequence[Shot]) -> dict[str, np.ndarray]:
    """The truth about the mouth of n frames.

    `curves` (n, 13) float32 expression weights by `mouth_channels.CHANNELS`, `tongue` (n, 2); `gap_px`, `width_px` (n,)
    the mean distance of the inner lips and that of the mouth's corners in pixels, `gap`, `width` the same as shares of
    the face as `evaluation.lip_sync` measures them, `gap_cm`, `width_cm` on the head itself, whatever its pose;
    `phones` (p,) symbols and `phone_times` (p, 2) seconds; `kind`, `voice`.
    """
    landmarks = np.stack([shot.landmarks for shot in shots])
    inner = np.linalg.norm(landmarks[:, [61, 62, 63]] - landmarks[:, [67, 66, 65]], axis=2).mean(axis=1)
    corners = np.linalg.norm(landmarks[:, 48] - landmarks[:, 54], axis=1)
    curves = {
        "curves": performance.take.curves,
        "tongue": performance.take.tongue,
        "gap_px": inner,
        "width_px": corners,
        "gap": gap_curve(landmarks),
        "width": width_curve(landmarks),
        "gap_cm": np.array([shot.gap for shot in shots]),
        "width_cm": np.array([shot.width for shot in shots]),
        "phone_times": np.array([phone[1:] for phone in performance.phones]).reshape(-1, 2),
    }
    return {name: np.asarray(value, np.float32) for name, value in curves.items()} | {
        "phones": np.array([phone[0] for phone in performance.phones]),
        "kind": np.array(performance.kind),
        "voice": np.array(performance.voice),
    }


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Mono float samples in −1…1 at 16 kHz as 16-bit WAV; appears whole.

    Raises:
        OutputError: It cannot be written.
    """
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    write_whole(path, content.getvalue())
