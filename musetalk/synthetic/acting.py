"""What someone does in front of the camera: speaks, pauses, is quiet, laughs; as sound and as curves of the mouth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from musetalk.synthetic.clips import FRAME_RATE, Take
from musetalk.synthetic.coarticulation import mouth_curves
from musetalk.synthetic.mouth_channels import CHANNELS, pose
from musetalk.synthetic.recording import augment, with_hiss
from musetalk.synthetic.sentences import EVERY
from musetalk.synthetic.speech import random_utterance
from musetalk.synthetic.synthesizers import synthesize
from musetalk.synthetic.tongue import tongue_curves
from musetalk.synthetic.utterance import PAUSE, SAMPLE_RATE, Phone, Utterance
from musetalk.synthetic.visemes import rest_pose
from musetalk.synthetic.voices import random_voice

SPEECH, PAUSES, QUIET, LAUGHING, CLOSED = "speech", "pauses", "quiet", "laughing", "closed"
KINDS, CHANCES = (SPEECH, PAUSES, QUIET, LAUGHING), (0.64, 0.2, 0.1, 0.06)
TWIN_KINDS, TWIN_CHANCES = (SPEECH, CLOSED, LAUGHING), (0.6, 0.22, 0.18)
PER_FRAME = SAMPLE_RATE // FRAME_RATE
RATE = Fraction(FRAME_RATE)


@dataclass(frozen=True)
class Performance:
    """A clip's sound and mouth.

    Attributes:
        audio: (frames · 640,) float32, 16 kHz, as recorded: with room and noise.
        take: The mouth of every frame.
        phones: Symbol, start and end in seconds; from 0 to the end.
        kind: One of KINDS; of a twin one of TWIN_KINDS.
        voice: `engine:voice`, or "" where nobody speaks.
        stress: (frames,) 0…1: how loud the clean speech is.
        audible: Whether the sound is what the mouth says; a mouth that laughs without a sound says nothing.
    """

    audio: np.ndarray
    take: Take
    phones: list[Phone]
    kind: str
    voice: str
    stress: np.ndarray
    audible: bool = True


def random_performance(
    rng: np.random.Generator, frames: int, pool: str = EVERY, kind: str | None = None
) -> Performance:
    """A performance of `frames` frames.

    Args:
        rng: Decides everything.
        frames: Length at 25 fps.
        pool: Of voices and sentences, one of `sentences.POOLS`.
        kind: One of KINDS; drawn if None.

    Raises:
        DeviceError: No speech synthesizer is installed.
    """
    kind = str(rng.choice(KINDS, p=CHANCES)) if kind is None else kind
    if kind == QUIET:
        done = _quiet(frames)
    elif kind == LAUGHING:
        done = laughter(rng, frames, pool)
    else:
        lead = float(rng.uniform(0.5, 2.0)) if kind == PAUSES else 0.0
        longest = 4.0 if kind == PAUSES else 1.0
        spoken = random_utterance(rng, frames / FRAME_RATE, frames / FRAME_RATE, pool=pool, longest_pause=longest)
        done = _spoken(_delayed(spoken, lead), frames, kind)
    if rng.random() < 0.22:
        done = replace(done, take=_with_mood(done.take, float(rng.uniform(0.08, 0.32))))
    return replace(done, audio=_recorded(done.audio, rng))


def random_twin(rng: np.random.Generator, frames: int, pool: str = EVERY) -> Performance:
    """Another mouth for the same frames: another sentence, shut, or laughing without a sound."""
    kind = str(rng.choice(TWIN_KINDS, p=TWIN_CHANCES))
    if kind == SPEECH:
        return random_performance(rng, frames, pool, SPEECH)
    still = _quiet(frames)
    if kind == LAUGHING:
        curves, _ = _laugh(rng, frames)
        still = replace(still, take=Take.of(curves))
    return replace(still, audio=_recorded(still.audio, rng), kind=kind, audible=kind != LAUGHING)


def _quiet(frames: int) -> Performance:
    curves = np.tile(rest_pose(), (frames, 1))
    audio = np.zeros(frames * PER_FRAME, np.float32)
    return Performance(audio, Take.of(curves), [(PAUSE, 0.0, frames / FRAME_RATE)], QUIET, "", np.zeros(frames))


def _delayed(spoken: Utterance, seconds: float) -> Utterance:
    """`spoken` after a silence, cut to its own length."""
    count = round(seconds * SAMPLE_RATE)
    if count == 0:
        return spoken
    audio = np.concatenate([np.zeros(count, np.float32), spoken.audio])[: len(spoken.audio)]
    shift, end = count / SAMPLE_RATE, len(audio) / SAMPLE_RATE
    phones = [(PAUSE, 0.0, shift)]
    phones += [(name, a + shift, min(b + shift, end)) for name, a, b in spoken.phones if a + shift < end]
    if phones[1:] and phones[1][0] == PAUSE:
        phones[:2] = [(PAUSE, 0.0, phones[1][2])]
    return replace(spoken, audio=audio, phones=phones)


def _spoken(spoken: Utterance, frames: int, kind: str) -> Performance:
    curves, tongue = mouth_curves(spoken, RATE), tongue_curves(spoken, RATE)
    if len(curves) < frames:  # rounding at the end
        extra = frames - len(curves)
        curves = np.concatenate([curves, np.tile(rest_pose(), (extra, 1))])
        tongue = np.concatenate([tongue, np.zeros((extra, 2), np.float32)])
    audio = np.zeros(frames * PER_FRAME, np.float32)
    count = min(len(audio), len(spoken.audio))
    audio[:count] = spoken.audio[:count]
    loud = np.sqrt((audio.reshape(frames, PER_FRAME) ** 2).mean(axis=1))
    stress = np.clip(loud / max(float(np.quantile(loud, 0.95)), 1e-4), 0, 1)
    take = Take(curves[:frames], tongue[:frames], {})
    return Performance(audio, take, spoken.phones, kind, f"{spoken.engine}:{spoken.voice}", stress)


def _laugh(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Mouth curves of laughter (frames, C), and how strong it is (frames,)."""
    time = np.arange(frames) / FRAME_RATE
    swell = np.clip(0.75 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 0.3) * time + rng.uniform(0, 6)), 0, 1)
    pulse = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(3.2, 5.0) * time + rng.uniform(0, 6))
    opening = swell * (rng.uniform(0.1, 0.3) + rng.uniform(0.05, 0.2) * pulse)
    shape = pose(
        {
            "mouthSmile": rng.uniform(0.45, 0.8),
            "mouthUpperUp": rng.uniform(0.15, 0.4),
            "mouthLowerDown": rng.uniform(0.1, 0.35),
            "mouthStretch": rng.uniform(0.0, 0.2),
        }
    )
    curves = swell[:, None] * shape
    curves[:, CHANNELS.index("jawOpen")] = opening
    return curves.astype(np.float32), swell


def laughter(rng: np.random.Generator, frames: int, pool: str) -> Performance:
    """Ha ha ha, with a smile over what the phones say; as it sounds before a microphone hears it.

    Args:
        rng: Decides everything.
        frames: Length at 25 fps.
        pool: Of voices, one of `sentences.POOLS`.

    Raises:
        DeviceError: No speech synthesizer is installed.
    """
    engine, voice, _ = random_voice(rng, pool=pool)
    audio, phones = np.zeros(0, np.float32), list[Phone]()
    while len(audio) < frames * PER_FRAME:
        text = " ".join([str(rng.choice(["ha", "hah", "heh", "ho"]))] * int(rng.integers(3, 8))) + "!"
        spoken = synthesize(text, engine, voice, rng.uniform(1.0, 1.4), rng.uniform(40, 90))
        offset = len(audio) / SAMPLE_RATE
        phones += [(name, a + offset, b + offset) for name, a, b in spoken.phones]
        audio = np.concatenate([audio, spoken.audio])
    audio = audio[: frames * PER_FRAME]
    end = len(audio) / SAMPLE_RATE
    joined: list[Phone] = []
    for name, a, b in phones:
        if a >= end:
            break
        if joined and joined[-1][0] == PAUSE == name:
            joined[-1] = (PAUSE, joined[-1][1], min(b, end))
        else:
            joined.append((name, a, min(b, end)))
    done = _spoken(Utterance(audio, joined, engine, voice), frames, LAUGHING)
    smile, swell = _laugh(rng, frames)
    smile[:, CHANNELS.index("jawOpen")] = 0
    curves = np.clip(done.take.curves + smile, 0, 1).astype(np.float32)
    squeezed = {name: 0.7 * swell for name in ("cheekSquint", "eyeSquint")}
    return replace(done, take=Take(curves, done.take.tongue, squeezed))


def _with_mood(take: Take, smile: float) -> Take:
    """The same with a lasting smile."""
    curves = take.curves.copy()
    curves[:, CHANNELS.index("mouthSmile")] += smile
    return replace(take, curves=np.clip(curves, 0, 1))


def _recorded(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a microphone hears it: most of the time worse than it was, and never quite silent."""
    return with_hiss(augment(audio, rng) if rng.random() < 0.75 else audio, rng)
