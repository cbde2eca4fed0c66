"""What the UNet trains on: latents of rendered faces and encoder states of the speech that moves them, made once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musetalk.mini.corpus import SAMPLE_RATE, STEP_RATE
from musetalk.synthetic.speech import augment
from musetalk.synthetic.speech_corpus import Speech


def encode_part(vae: Any, path: Path, target: Path, batch: int = 24) -> None:
    """Scene part → latents (s, 6, 2, c, 32, 32) float16: the masked face, then the whole one; unscaled."""
    if target.exists():
        return
    with np.load(path) as data:
        faces, lips, origins = data["faces"], data["lips"], data["origins"]
    flat = faces.reshape(-1, *faces.shape[2:])
    latents = []
    for start in range(0, len(flat), batch):
        rgb = np.ascontiguousarray(flat[start : start + batch, :, :, ::-1])
        images = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1
        masked = images.clone()
        masked[:, :, images.shape[2] // 2 :] = -1  # published: the lower half is black
        both = torch.stack([masked, images], dim=1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            encoded = vae.encode(both).latents
        latents.append(encoded.unflatten(0, (-1, 2)).half().numpy())
    shape = (*faces.shape[:2], 2, *latents[0].shape[2:])
    partial = target.with_name(target.name + ".partial.npz")
    np.savez(partial, latents=np.concatenate(latents).reshape(shape), lips=lips, origins=origins)
    os.replace(partial, target)


def encode_speech(encoder: Any, corpus: list[Speech], seed: int) -> list[np.ndarray]:
    """States (T, S, D) float16 of every utterance, heard somewhere in 30 s of other, augmented speech."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor()
    rng = np.random.default_rng((13, seed))
    order, states = list(rng.permutation(len(corpus))), [np.zeros(0, np.float16)] * len(corpus)
    limit = 30 * SAMPLE_RATE
    while order:
        chosen, total = [order.pop()], 0
        total = len(corpus[chosen[0]].audio)
        while order and total + len(corpus[order[-1]].audio) <= limit:
            chosen.append(order.pop())
            total += len(corpus[chosen[-1]].audio)
        audio = np.concatenate([corpus[i].audio for i in chosen])
        if rng.random() < 0.8:
            audio = augment(audio, rng)
        mel = extractor(audio, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        with torch.inference_mode():
            hidden = encoder(mel, output_hidden_states=True).hidden_states
        stacked = torch.stack(hidden, dim=2)[0].half().numpy()
        position = 0
        for i in chosen:
            first, length = round(position * STEP_RATE / SAMPLE_RATE), len(corpus[i].audio)
            states[i] = stacked[first : first + length * STEP_RATE // SAMPLE_RATE].copy()
            position += length
    return states


@dataclass
class PairSet:
    """Latents (n, 6, 2, c, h, w) float16, lips (n, 6, 4), origins (n, 6, 2) of all scenes."""

    latents: np.ndarray
    lips: np.ndarray
    origins: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> PairSet:
        parts = [np.load(path) for path in sorted(folder.glob("[0-9]*.npz")) if not path.name.endswith(".partial.npz")]
        return cls(*(np.concatenate([part[name] for part in parts]) for name in ("latents", "lips", "origins")))

    def __len__(self) -> int:
        return len(self.latents)


def frame_window(states: np.ndarray, frame: int) -> np.ndarray:
    """Tokens (50, D) of video frame `frame` at 25 fps: 10 steps from 2·frame − 4, zeros outside the sound."""
    steps, count = np.arange(2 * frame - 4, 2 * frame + 6), states.shape[1]
    window = np.zeros((10, count, states.shape[2]), states.dtype)
    inside = (steps >= 0) & (steps < len(states))
    window[inside] = states[steps[inside]]
    return window.reshape(10 * count, -1)


def mouth_weight(lips: np.ndarray, size: int) -> np.ndarray:
    """Weight (n, 1, size, size) float32 from lip boxes (n, 4) in 0…1: high on the mouth, low on the upper half."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size + 0.5 / size
    centre = (lips[:, :2] + lips[:, 2:]) / 2
    half = np.maximum((lips[:, 2:] - lips[:, :2]) / 2, 0.05) * [1.3, 1.8]
    distance = ((x[None] - centre[:, 0, None, None]) / half[:, 0, None, None]) ** 2
    distance = distance + ((y[None] - centre[:, 1, None, None]) / half[:, 1, None, None]) ** 2
    base = np.where(y < 0.45, 0.15, 1.0)[None]
    return (base + 8.0 * np.exp(-np.maximum(distance - 0.5, 0)))[:, None].astype(np.float32)
