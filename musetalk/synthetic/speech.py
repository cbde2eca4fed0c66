"""Synthetic speech with the time of every phone, and the damage real recordings suffer.

Two speech synthesizers are used where they are installed: flite (English, ARPAbet phones) and espeak-ng (many
languages, IPA phones).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import wave
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from scipy import signal

from musetalk.errors import DeviceError, InputError
from musetalk.synthetic.sentences import ENGLISH, EVERY, HELD_OUT, LANGUAGES, TRAIN, random_sentence

SAMPLE_RATE = 16000
PAUSE = "pau"
Phone = tuple[str, float, float]
"""Symbol (ARPAbet or IPA, `pau` for silence), start and end in seconds."""
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ESPEAK_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt4",
    "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Hugo", "Jacky", "Lee", "Mario", "Michael", "Mike",
    "adam", "anika", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "iven", "john", "linda", "max",
    "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph",
    "travis", "victor", "zac",
)  # fmt: skip
CLOSURE_FLOOR = 10 ** (-50 / 20)
MAX_CLOSURE = 0.15
"""espeak-ng dates a voiceless stop from its burst; the silence before it, at most this many seconds, is its closure."""


@dataclass(frozen=True)
class Utterance:
    """`audio` (n,) float32 mono 16 kHz in −1…1; `phones` in order and without gaps, from 0 to the end of the audio."""

    audio: np.ndarray
    phones: list[Phone]
    engine: str
    voice: str

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE


def available_engines() -> tuple[str, ...]:
    """The synthesizers this machine has, of `flite` and `espeak`."""
    from ctypes.util import find_library

    engines = []
    if shutil.which("flite"):
        engines.append("flite")
    if find_library("espeak-ng"):
        engines.append("espeak")
    return tuple(engines)


def synthesize(
    text: str,
    engine: str = "flite",
    voice: str = "slt",
    rate: float = 1.0,
    pitch: float = 50.0,
    formant: float = 1.0,
) -> Utterance:
    """Speak `text`.

    Args:
        engine: `flite` or `espeak`.
        voice: one of `FLITE_VOICES`; for espeak a language with an optional variant, `en-us+f3`.
        rate: speed, 1 is the voice's own (espeak: 175 words a minute).
        pitch: 0…100; espeak's pitch. flite's unit voices keep theirs; use `formant`.
        formant: the recording is played this many times faster, phones along with it: a shorter vocal tract and a
            higher voice. The synthesizer's speed makes up for it, so `rate` stays what is heard.

    Raises:
        DeviceError: the synthesizer is not installed or failed.
    """
    own_rate = rate / formant
    if engine == "flite":
        audio, sample_rate, phones = _run_flite(text, voice, own_rate, pitch)
    elif engine == "espeak":
        audio, sample_rate, phones = _run_espeak(text, voice, own_rate, pitch)
    else:
        raise InputError(f"Unknown speech engine {engine!r}", "Use flite or espeak.")
    # `formant` in steps of 1/50 keeps the resampling ratio small and exact
    numerator, denominator = SAMPLE_RATE * 50, sample_rate * round(formant * 50)
    divisor = gcd(numerator, denominator)
    if numerator != denominator:
        audio = signal.resample_poly(audio, numerator // divisor, denominator // divisor)
    stretch = 50 / round(formant * 50)
    end = len(audio) / SAMPLE_RATE
    phones = _tidy([(symbol, min(s * stretch, end), min(e * stretch, end)) for symbol, s, e in phones], end)
    return Utterance(np.clip(audio, -1, 1).astype(np.float32), phones, engine, voice)


def _run_flite(text: str, voice: str, rate: float, pitch: float) -> tuple[np.ndarray, int, list[Phone]]:
    program = shutil.which("flite")
    if program is None:
        raise DeviceError("flite is not installed", "Install it, e.g. `apt-get install flite`.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [program, "-voice", voice, "--setf", f"duration_stretch={1 / rate:.4f}"]
        command += ["--setf", f"int_f0_target_mean={80 + 1.2 * pitch:.1f}", "-psdur", "-t", text, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not path.exists():
            raise DeviceError(f"flite failed: {done.stderr.strip()[:200]}", "Check `flite -lv` for the voice's name.")
        with wave.open(str(path)) as file:
            sample_rate = file.getframerate()
            audio = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    phones, start = [], 0.0
    for item in done.stdout.split():
        symbol, _, end = item.rpartition(":")
        phones.append((symbol, start, float(end)))
        start = float(end)
    return audio, sample_rate, phones


def _run_espeak(text: str, voice: str, rate: float, pitch: float) -> tuple[np.ndarray, int, list[Phone]]:
    request = {"text": text, "voice": voice, "rate": round(175 * rate), "pitch": round(pitch), "range": 50}
    worker = Path(__file__).with_name("espeak_worker.py")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(worker)], input=json.dumps(request).encode(), capture_output=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise DeviceError(f"espeak-ng failed: {lines[-1][:200]}", "Install it, e.g. `apt-get install espeak-ng`.")
    head, _, body = done.stdout.partition(b"\n")
    header = json.loads(head)
    sample_rate = int(header["sample_rate"])
    audio = np.frombuffer(body, "<i2").astype(np.float32) / 32768
    # a parenthesised event announces another language and makes no sound
    events = [(symbol, min(at, len(audio))) for symbol, at in header["phones"] if not symbol.startswith("(")]
    starts = [at for _, at in events]
    for index in range(1, len(events)):
        if events[index][0] and events[index - 1][0]:
            starts[index] = _closure_start(audio, sample_rate, starts[index - 1], starts[index])
    ends = [*starts[1:], len(audio)]
    phones = [
        (symbol or PAUSE, start / sample_rate, end / sample_rate)
        for (symbol, _), start, end in zip(events, starts, ends, strict=True)
    ]
    return audio, sample_rate, phones


def _closure_start(audio: np.ndarray, sample_rate: int, earliest: int, event: int) -> int:
    """Where the silence that ends at sample `event` begins."""
    step = sample_rate // 200
    lowest = max(earliest + step, event - int(MAX_CLOSURE * sample_rate))
    start = event
    while start - step >= lowest and np.sqrt(np.mean(audio[start - step : start] ** 2)) < CLOSURE_FLOOR:
        start -= step
    return start


def _tidy(phones: list[Phone], end: float) -> list[Phone]:
    """Phones without empty ones, neighbouring pauses joined, from 0 to `end`."""
    tidy: list[Phone] = []
    for symbol, start, stop in phones:
        if stop - start < 1e-4:
            continue
        if symbol == PAUSE and tidy and tidy[-1][0] == PAUSE:
            tidy[-1] = (PAUSE, tidy[-1][1], stop)
        else:
            tidy.append((symbol, tidy[-1][2] if tidy else start, stop))
    if not tidy:
        return [(PAUSE, 0.0, end)]
    if tidy[0][1] > 0:
        first = tidy[0]
        tidy[:1] = [(PAUSE, 0.0, first[2])] if first[0] == PAUSE else [(PAUSE, 0.0, first[1]), first]
    last = tidy[-1]
    if last[2] < end - 1e-4:
        tidy[-1:] = [(PAUSE, last[1], end)] if last[0] == PAUSE else [last, (PAUSE, last[2], end)]
    else:
        tidy[-1] = (last[0], last[1], end)
    return tidy


def _trim(utterance: Utterance, keep: float = 0.06) -> tuple[np.ndarray, list[Phone]]:
    """The audio with at most `keep` seconds of pause at either end, and its phones."""
    phones = utterance.phones
    first = max(0.0, phones[0][2] - keep) if phones[0][0] == PAUSE else 0.0
    last = min(utterance.seconds, phones[-1][1] + keep) if phones[-1][0] == PAUSE else utterance.seconds
    a, b = round(first * SAMPLE_RATE), round(last * SAMPLE_RATE)
    if b <= a:
        return np.zeros(0, np.float32), []
    moved = [
        (symbol, max(start, first) - a / SAMPLE_RATE, min(stop, last) - a / SAMPLE_RATE)
        for symbol, start, stop in phones
        if stop > first and start < last
    ]
    return utterance.audio[a:b], moved


def _speech_level(audio: np.ndarray) -> float:
    """RMS of the louder half of 20 ms blocks."""
    blocks = audio[: len(audio) // 320 * 320].reshape(-1, 320)
    if len(blocks) == 0:
        return 1e-6
    power = np.sort((blocks**2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()) + 1e-6)


def _slow_gain(length: int, rng: np.random.Generator) -> np.ndarray:
    """Gain (length,) that wanders within about ±5 dB over seconds."""
    knots = max(3, int(length / SAMPLE_RATE / rng.uniform(0.8, 2.5)) + 2)
    decibels = np.clip(rng.normal(0, rng.uniform(0.5, 3.0), knots), -6, 5)
    at = np.linspace(0, knots - 1, length)
    base = at.astype(int).clip(0, knots - 2)
    blend = (1 - np.cos(np.pi * (at - base))) / 2
    return (10 ** ((decibels[base] * (1 - blend) + decibels[base + 1] * blend) / 20)).astype(np.float32)


HELD_OUT_FLITE = ("awb",)
HELD_OUT_VARIANTS = ESPEAK_VARIANTS[6::7]
"""Voices that no training hears; see `sentences.POOLS`."""


def voices(pool: str = EVERY) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """flite's voices and espeak's variants of a pool."""
    found = []
    for every, held_out in ((FLITE_VOICES, HELD_OUT_FLITE), (ESPEAK_VARIANTS, HELD_OUT_VARIANTS)):
        chosen = {EVERY: every, TRAIN: tuple(v for v in every if v not in held_out), HELD_OUT: held_out}
        found.append(chosen[pool])
    return found[0], found[1]


def random_voice(
    rng: np.random.Generator, engines: tuple[str, ...] | None = None, pool: str = EVERY
) -> tuple[str, str, str]:
    """Engine, voice and language; flite and English are favoured."""
    engines = available_engines() if engines is None else engines
    if not engines:
        raise DeviceError("No speech synthesizer is installed", "Install one: `apt-get install flite espeak-ng`.")
    flite, variants = voices(pool)
    engine = "flite" if "flite" in engines and (len(engines) == 1 or rng.random() < 0.5) else "espeak"
    if engine == "flite":
        chances = np.array([{"slt": 0.3, "rms": 0.3, "awb": 0.25, "kal16": 0.15}[voice] for voice in flite])
        return engine, flite[rng.choice(len(flite), p=chances / chances.sum())], "en-us"
    languages = ENGLISH if rng.random() < 0.45 else LANGUAGES
    language = languages[rng.integers(len(languages))]
    return engine, f"{language}+{variants[rng.integers(len(variants))]}", language


def random_utterance(
    rng: np.random.Generator,
    min_seconds: float,
    max_seconds: float,
    engines: tuple[str, ...] | None = None,
    pool: str = EVERY,
    longest_pause: float = 1.2,
) -> Utterance:
    """Sentences of one random speaker with pauses between them, `min_seconds` … `max_seconds` long.

    Loudness differs between sentences and wanders within them, as a speaker's does. The sound may end
    within a sentence.

    Args:
        engines: the synthesizers to draw from; those of `available_engines` by default.
        pool: of voices and sentences, one of `sentences.POOLS`.
        longest_pause: seconds between sentences, at most.
    """
    engine, voice, language = random_voice(rng, engines, pool)
    formant = round(float(np.clip(rng.normal(1.0, 0.08), 0.84, 1.2)) * 50) / 50
    rate = float(np.exp(rng.normal(0.0 if engine == "flite" else -0.08, 0.16)).clip(0.68, 1.45))
    pitch = float(rng.uniform(15, 85))
    target = round(rng.uniform(min_seconds, max_seconds) * SAMPLE_RATE)
    pieces: list[np.ndarray] = []
    phones: list[Phone] = []
    length = 0

    def pause(seconds: float) -> None:
        nonlocal length
        count = round(seconds * SAMPLE_RATE)
        pieces.append(np.zeros(count, np.float32))
        phones.append((PAUSE, length / SAMPLE_RATE, (length + count) / SAMPLE_RATE))
        length += count

    pause(rng.uniform(0.0, 0.6))
    while length < target:
        spoken = synthesize(
            random_sentence(rng, language, pool),
            engine,
            voice,
            rate * rng.uniform(0.92, 1.08),
            pitch + rng.normal(0, 4),
            formant,
        )
        audio, moved = _trim(spoken)
        gain = 10 ** (float(np.clip(rng.normal(-23, 3.5), -31, -16)) / 20) / _speech_level(audio)
        pieces.append(audio * np.float32(gain))
        offset = length / SAMPLE_RATE
        phones += [(symbol, start + offset, stop + offset) for symbol, start, stop in moved]
        length += len(audio)
        pause(rng.uniform(0.2, longest_pause))
    audio = np.concatenate(pieces)
    audio *= _slow_gain(len(audio), rng)
    if len(audio) > target:
        fade = min(320, target)
        audio = audio[:target]
        audio[target - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > 0.95:
        audio *= np.float32(0.95 / peak)
    end = len(audio) / SAMPLE_RATE
    kept = [(symbol, start, min(stop, end)) for symbol, start, stop in phones if start < end]
    return Utterance(audio.astype(np.float32), _tidy(kept, end), engine, voice)


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
    level = float(np.sqrt(np.mean(noise**2)))
    return noise / level if level > 0 else noise


def augment(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A worse recording of `audio` (n,) at 16 kHz: same length, same timing, float32 in −1…1.

    Equalizer, room, background noise, telephone band, clipping and level, each at random.
    """
    if len(audio) == 0:
        return audio.astype(np.float32)
    worse = audio.astype(np.float32, copy=True)
    level = _speech_level(worse)
    if rng.random() < 0.7:
        worse = _equalize(worse, rng)
    if rng.random() < 0.5:
        worse = _reverberate(worse, rng)
    if rng.random() < 0.75 and level > 1e-5:
        worse = worse + _noise(audio, rng) * np.float32(_speech_level(worse) * 10 ** (-rng.uniform(10, 40) / 20))
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
