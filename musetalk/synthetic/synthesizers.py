"""Speech synthesizers that tell the time of every phone, used where they are installed.

flite speaks English (ARPAbet phones), espeak-ng many languages (IPA phones); `festival` has more voices of people.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import wave
from math import gcd
from pathlib import Path

import numpy as np
from scipy import signal

from musetalk.errors import DeviceError, InputError
from musetalk.synthetic.festival import run_festival
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE, Phone, Utterance, tidy_phones

CLOSURE_FLOOR = 10 ** (-50 / 20)
MAX_CLOSURE = 0.15
"""espeak-ng dates a voiceless stop from its burst; the silence before it, at most this many seconds, is its closure."""


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
        engine: `flite`, `espeak` or `festival`.
        voice: one of `voices.FLITE_VOICES`; for espeak a language with an optional variant, `en-us+f3`;
            one of `festival.FESTIVAL_VOICES`.
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
    elif engine == "festival":
        audio, sample_rate, phones = run_festival(text, voice, own_rate)
    else:
        raise InputError(f"Unknown speech engine {engine!r}", "Use flite, espeak or festival.")
    # `formant` in steps of 1/50 keeps the resampling ratio small and exact
    numerator, denominator = SAMPLE_RATE * 50, sample_rate * round(formant * 50)
    divisor = gcd(numerator, denominator)
    if numerator != denominator:
        audio = signal.resample_poly(audio, numerator // divisor, denominator // divisor)
    stretch = 50 / round(formant * 50)
    end = len(audio) / SAMPLE_RATE
    phones = tidy_phones([(symbol, min(s * stretch, end), min(e * stretch, end)) for symbol, s, e in phones], end)
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
