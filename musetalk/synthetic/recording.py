"""The damage that real recordings suffer: room, noise, bandwidth, clipping, level."""

from __future__ import annotations

import numpy as np
from scipy import signal

from musetalk.synthetic.utterance import SAMPLE_RATE, speech_level


def _shelf(frequency: float, decibels: float, high: bool) -> np.ndarray:
    """First-order shelf as one second-order section."""
    gain = 10 ** (decibels / 20)
    warp = np.tan(np.pi * frequency / SAMPLE_RATE)
    if high:
        b, a = [gain + warp, warp - gain], [1 + warp, warp - 1]
    else:
        b, a = [1 + gain * warp, gain * warp - 1], [1 + warp, warp - 1]
    return np.array([[b[0] / a[0], b[1] / a[0], 0, 1, a[1] / a[0], 0]])


def _bell(frequency: float, decibels: float, quality: float) -> np.ndarray:
    """Peaking equalizer as one second-order section."""
    root = 10 ** (decibels / 40)
    omega = 2 * np.pi * frequency / SAMPLE_RATE
    alpha = np.sin(omega) / (2 * quality)
    b = np.array([1 + alpha * root, -2 * np.cos(omega), 1 - alpha * root])
    a = np.array([1 + alpha / root, -2 * np.cos(omega), 1 - alpha / root])
    return np.concatenate([b / a[0], a / a[0]])[None]


def _equalize(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sections = [
        _shelf(rng.uniform(150, 500), rng.uniform(-8, 6), high=False),
        _shelf(rng.uniform(1500, 4000), rng.uniform(-10, 8), high=True),
    ]
    if rng.random() < 0.5:
        sections.append(_bell(rng.uniform(300, 5000), rng.uniform(-8, 8), rng.uniform(0.7, 2.5)))
    return signal.sosfilt(np.vstack(sections).astype(np.float32), audio)


def _reverberate(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds a room's tail, a reverberation time of 0.1…0.5 s; the direct sound stays where it is."""
    seconds = rng.uniform(0.1, 0.5)
    length = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(length, np.float32)
    tail *= np.exp(-6.9 * np.arange(length, dtype=np.float32) / length)
    tail[: int(rng.uniform(0.002, 0.02) * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(0, 18) / 20) / (np.linalg.norm(tail) + 1e-9)
    tail[0] = 1
    return signal.oaconvolve(audio, tail)[: len(audio)]


def _noise(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Background (len(audio),) of unit RMS: white, pink-like, hum-like or a babble of the speech itself."""
    kind = rng.choice(4, p=(0.25, 0.35, 0.1, 0.3))
    length = len(audio)
    if kind == 3:
        noise = np.zeros(length, np.float32)
        for _ in range(4):
            noise += np.roll(audio[:: -1 if rng.random() < 0.7 else 1], int(rng.integers(length))) * rng.uniform(0.4, 1)
    else:
        noise = _steady_noise(length, kind, rng)
    return _unit(noise)


def _steady_noise(length: int, kind: int, rng: np.random.Generator) -> np.ndarray:
    """(length,) of any level: white (0), pink-like (1) or hum-like (2)."""
    noise = rng.standard_normal(length, np.float32)
    if kind == 1:  # three leaky poles spread over the octaves fall about 3 dB an octave
        b, a = signal.zpk2tf([0.98443604, 0.83392334, 0.07568359], [0.99572754, 0.94790649, 0.53567505], 1.0)
        noise = signal.lfilter(b.astype(np.float32), a.astype(np.float32), noise)
    elif kind == 2:
        at = np.arange(length, dtype=np.float32) / SAMPLE_RATE
        mains = float(rng.choice([50.0, 60.0]))
        noise *= np.float32(0.3)
        for harmonic in (1, 2, 3):
            noise += np.sin(2 * np.pi * mains * harmonic * at) * np.float32(rng.uniform(0.2, 1))
    return noise


def _unit(noise: np.ndarray) -> np.ndarray:
    level = float(np.sqrt(np.mean(noise**2)))
    return noise / level if level > 0 else noise


def empty_room(length: int, rng: np.random.Generator) -> np.ndarray:
    """What is recorded where nobody speaks, (length,) float32 in −1…1: hiss, sometimes noise or hum."""
    heard = np.zeros(length, np.float32)
    if length and rng.random() < 0.5:
        noise = _unit(_steady_noise(length, int(rng.integers(3)), rng))
        heard += (noise * 10 ** (rng.uniform(-66, -26) / 20)).astype(np.float32)
    return with_hiss(heard, rng)


def with_hiss(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`audio` (n,) with the hiss of a quiet recording, −66…−46 dB, white or muffled; float32 in −1…1."""
    hiss = rng.standard_normal(len(audio), np.float32)
    if rng.random() < 0.6:
        hiss = signal.lfilter([0.12], [1, -0.88], hiss).astype(np.float32)
    level = 10 ** (rng.uniform(-66, -46) / 20)
    hiss *= np.float32(level / max(float(np.sqrt(np.mean(hiss**2))), 1e-9))
    mixed: np.ndarray = np.clip(audio + hiss, -1, 1).astype(np.float32)
    return mixed


def augment(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A worse recording of `audio` (n,) at 16 kHz: same length, same timing, float32 in −1…1.

    Equalizer, room, background noise, telephone band, clipping and level, each at random.
    """
    if len(audio) == 0:
        return audio.astype(np.float32)
    worse = audio.astype(np.float32, copy=True)
    level = speech_level(worse)
    if rng.random() < 0.7:
        worse = _equalize(worse, rng)
    if rng.random() < 0.5:
        worse = _reverberate(worse, rng)
    if rng.random() < 0.75 and level > 1e-5:
        worse = worse + _noise(audio, rng) * np.float32(speech_level(worse) * 10 ** (-rng.uniform(10, 40) / 20))
    if rng.random() < 0.12:
        band = signal.butter(
            4, (rng.uniform(80, 300), rng.uniform(3000, 3800)), "bandpass", fs=SAMPLE_RATE, output="sos"
        )
        worse = signal.sosfilt(band.astype(np.float32), worse)
    elif rng.random() < 0.15:
        band = signal.butter(4, rng.uniform(3800, 7500), "lowpass", fs=SAMPLE_RATE, output="sos")
        worse = signal.sosfilt(band.astype(np.float32), worse)
    peak = float(np.abs(worse).max())
    if peak > 0:
        worse = worse / peak
        if rng.random() < 0.1:
            worse = np.clip(worse * rng.uniform(1.1, 2.0), -1, 1)
        worse = worse * 10 ** (-rng.uniform(0, 24) / 20)
    return np.clip(worse, -1, 1).astype(np.float32)
