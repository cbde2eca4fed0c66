from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from musetalk.errors import InputError
from musetalk.synthetic.sentences import LANGUAGES, random_sentence, sentences
from musetalk.synthetic.speech import (
    PAUSE,
    SAMPLE_RATE,
    Utterance,
    augment,
    available_engines,
    random_utterance,
    synthesize,
)
from musetalk.synthetic.visemes import (
    CHANNELS,
    PHONE_TO_VISEME,
    VISEMES,
    VOWELS,
    lip_gap,
    mouth_curves,
    phone_visemes,
    random_mouth,
    rest_pose,
)

JAW = CHANNELS.index("jawOpen")
SPEAKERS = [("flite", "slt"), ("flite", "rms"), ("espeak", "en-us+f3"), ("espeak", "en-us+m3")]
TEXT = "My mother bought five brown eggs by the open window. A fat cat took the boat to Bob."


def need(engine: str) -> None:
    if engine not in available_engines():
        pytest.skip(f"{engine} is not installed")


def made(*phones: tuple[str, float], engine: str = "flite", level: float = 0.1) -> Utterance:
    """An utterance of phones and their lengths; every phone sounds equally loud, pauses are silent."""
    sound, spans, start = [], [], 0.0
    for symbol, seconds in phones:
        tone = np.sin(2 * np.pi * 150 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
        sound.append(tone * (0.0 if symbol == PAUSE else level))
        spans.append((symbol, start, start + seconds))
        start += seconds
    return Utterance(np.concatenate(sound).astype(np.float32), spans, engine, "made")


def level_of(audio: np.ndarray, start: float, end: float) -> float:
    """RMS."""
    return float(np.sqrt(np.mean(audio[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].astype(float) ** 2)))


def visemes_of(utterance: Utterance, phone: str) -> tuple[str, ...]:
    return phone_visemes(phone, utterance.engine == "flite")


def test_english_is_varied_and_every_language_has_sentences() -> None:
    english = sentences("en-us")
    assert len(set(english)) >= 150
    assert sentences("en-us") == english
    for language in LANGUAGES:
        assert len(set(sentences(language))) >= 8
        assert random_sentence(np.random.default_rng(0), language) in sentences(language)


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phones_follow_each_other_and_end_with_the_audio(engine: str, voice: str) -> None:
    need(engine)
    spoken = synthesize(TEXT, engine, voice)
    starts, ends = (np.array([phone[i] for phone in spoken.phones]) for i in (1, 2))
    assert spoken.audio.dtype == np.float32
    assert np.abs(spoken.audio).max() <= 1
    assert starts[0] == 0
    assert np.all(ends > starts)
    assert np.allclose(starts[1:], ends[:-1])
    assert ends[-1] == pytest.approx(spoken.seconds)


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phones_lie_where_they_sound(engine: str, voice: str) -> None:
    need(engine)
    spoken = synthesize(TEXT, engine, voice)
    pauses, vowels, stops = [], [], []
    for phone, start, end in spoken.phones:
        # the middle half: the edges are transitions
        level = level_of(spoken.audio, start + (end - start) / 4, end - (end - start) / 4)
        if phone == PAUSE and end - start > 0.06:
            pauses.append(level)
        elif set(visemes_of(spoken, phone)) <= VOWELS:
            vowels.append(level)
        elif phone in ("p", "t", "k"):
            stops.append(level)
    assert max(pauses) < 0.1 * np.median(vowels)
    assert np.median(stops) < 0.35 * np.median(vowels)


@pytest.mark.parametrize(("engine", "voice"), SPEAKERS)
def test_phone_times_have_no_constant_offset(engine: str, voice: str) -> None:
    """Moved by 40 ms either way, the phones fit the loudness worse."""
    need(engine)
    spoken = synthesize("A big puppy took a tiny cup of tea to the top of a steep peak. Take a pot.", engine, voice)
    grid = np.arange(0.1, spoken.seconds - 0.1, 0.005)
    starts = np.array([start for _, start, _ in spoken.phones])
    vowel = np.array([set(visemes_of(spoken, phone)) <= VOWELS for phone, _, _ in spoken.phones])
    loud = np.array([np.log10(level_of(spoken.audio, t - 0.005, t + 0.005) + 1e-3) for t in grid])

    def fit(shift: float) -> float:
        return float(np.corrcoef(vowel[np.searchsorted(starts, grid - shift, side="right") - 1], loud)[0, 1])

    assert fit(0) > max(fit(-0.04), fit(0.04))


def test_formant_shift_keeps_the_phones_on_the_sound() -> None:
    need("flite")
    usual, higher = (synthesize("Papa, papa.", "flite", "slt", formant=f) for f in (1.0, 1.2))
    assert higher.seconds == pytest.approx(usual.seconds, rel=0.05)
    for phone, start, end in higher.phones:
        if phone == "aa":
            assert level_of(higher.audio, start, end) > 5 * level_of(higher.audio, 0, higher.phones[0][2] / 2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_and_moves_the_mouth(language: str) -> None:
    need("espeak")
    spoken = synthesize(sentences(language)[0], "espeak", f"{language}+m3")
    assert 0.7 < spoken.seconds < 6
    assert {viseme for phone, _, _ in spoken.phones for viseme in visemes_of(spoken, phone)} >= {"rest"}
    assert mouth_curves(spoken, 25)[:, JAW].max() > 0.2


def test_unknown_engine_is_an_input_error() -> None:
    with pytest.raises(InputError):
        synthesize("Hello", "morse")


@pytest.mark.parametrize("engine", ["flite", "espeak"])
def test_random_utterance_is_reproducible_and_as_long_as_asked(engine: str) -> None:
    need(engine)
    first, again = (random_utterance(np.random.default_rng(4), 5, 7, (engine,)) for _ in range(2))
    other = random_utterance(np.random.default_rng(5), 5, 7, (engine,))
    assert np.array_equal(first.audio, again.audio)
    assert first.phones == again.phones
    assert not np.array_equal(first.audio[:16000], other.audio[:16000])
    assert 5 <= first.seconds <= 7
    assert np.abs(first.audio).max() <= 1
    assert first.phones[-1][2] == pytest.approx(first.seconds)


@pytest.mark.parametrize("seed", range(3))
def test_spoken_mouth_follows_loudness_and_shuts_where_it_should(seed: int) -> None:
    engines = available_engines()
    if not engines:
        pytest.skip("no synthesizer is installed")
    spoken = random_utterance(np.random.default_rng((5, seed)), 8, 10, engines[:1])
    curves = mouth_curves(spoken, Fraction(25))
    loud = np.sqrt(np.mean(spoken.audio[: len(curves) * 640].reshape(-1, 640) ** 2, axis=1))
    assert np.corrcoef(curves[:, JAW], loud)[0, 1] > 0.5
    gap = lip_gap(curves)
    for phone, start, end in spoken.phones:
        if visemes_of(spoken, phone) == ("closed",) and int((start + end) / 2 * 25) < len(gap):
            frame = int((start + end) / 2 * 25)
            assert gap[frame] < 0.05, (phone, start)
            assert curves[frame, JAW] < 0.1
        if phone == PAUSE and end - start > 0.4:
            assert np.all(gap[int((start + 0.12) * 25) + 1 : int((end - 0.12) * 25)] < 0.05)


def test_mean_jaw_correlation_of_english_is_above_half() -> None:
    need("flite")
    found = []
    for seed in range(4):
        spoken = random_utterance(np.random.default_rng((8, seed)), 8, 10, ("flite",))
        curves = mouth_curves(spoken, 25)
        loud = np.sqrt(np.mean(spoken.audio[: len(curves) * 640].reshape(-1, 640) ** 2, axis=1))
        found.append(np.corrcoef(curves[:, JAW], loud)[0, 1])
    assert np.mean(found) > 0.5


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(50), Fraction(30000, 1001), 24.0])
def test_frame_count_is_the_whole_frames_of_the_sound(fps: Fraction | float) -> None:
    spoken = made(("pau", 0.3), ("aa", 0.71), ("pau", 0.233))
    curves = mouth_curves(spoken, fps)
    assert curves.shape == (int(len(spoken.audio) * Fraction(fps) / SAMPLE_RATE), len(CHANNELS))
    assert curves.dtype == np.float32
    assert curves.min() >= 0
    assert curves.max() <= 1


def test_an_empty_sound_has_no_frames() -> None:
    empty = Utterance(np.zeros(0, np.float32), [], "flite", "none")
    assert mouth_curves(empty, 25).shape == (0, len(CHANNELS))


@pytest.mark.parametrize(("phone", "jaw"), [("aa", 0.55), ("ax", 0.25), ("iy", 0.15), ("uw", 0.12), ("s", 0.08)])
def test_a_held_phone_reaches_its_shape(phone: str, jaw: float) -> None:
    curves = mouth_curves(made(("pau", 0.5), (phone, 0.6), ("pau", 0.5)), 50)
    assert curves[40, JAW] == pytest.approx(jaw, abs=0.06)
    if phone == "uw":
        assert curves[40, CHANNELS.index("mouthPucker")] == pytest.approx(0.82, abs=0.07)
    assert np.allclose(curves[[2, -2]], rest_pose(), atol=0.05)


def test_a_short_stop_between_open_vowels_shuts_the_lips_in_one_frame() -> None:
    for shift in np.arange(0, 0.04, 0.007):
        spoken = made(("pau", 0.2 + shift), ("aa", 0.2), ("b", 0.035), ("aa", 0.2), ("pau", 0.3))
        gap = lip_gap(mouth_curves(spoken, 25))
        closure = int((0.4 + shift + 0.0175) * 25)
        assert gap[closure] < 0.05
        assert min(gap[closure - 2], gap[closure + 2]) > 0.5


def test_louder_vowels_open_wider() -> None:
    spoken = made(("pau", 0.3), *([("aa", 0.3), ("t", 0.1)] * 4), ("pau", 0.3))
    audio = spoken.audio.copy()
    audio[: len(audio) // 2] *= 0.3
    curves = mouth_curves(Utterance(audio, spoken.phones, "flite", "made"), 25)
    half = len(curves) // 2
    assert curves[half:, JAW].max() > 1.4 * curves[:half, JAW].max()
    louder = mouth_curves(Utterance(audio * 2, spoken.phones, "flite", "made"), 25)
    assert np.allclose(louder, curves, atol=1e-5)


def test_the_mouth_rounds_before_a_rounded_vowel_sounds() -> None:
    pucker = CHANNELS.index("mouthPucker")
    rounded = mouth_curves(made(("pau", 0.3), ("s", 0.12), ("uw", 0.3), ("pau", 0.3)), 100)[41, pucker]
    spread = mouth_curves(made(("pau", 0.3), ("s", 0.12), ("iy", 0.3), ("pau", 0.3)), 100)[41, pucker]
    assert rounded > spread + 0.3


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("oʊ", ("mid_rounded", "near_close_rounded")),
        ("ˈɑː", ("open",)),
        ("t͡ʃ", ("palatoalveolar",)),
        ("pʰ", ("closed", )),
        ("y", ("close_rounded",)),
        ("õ", ("mid_rounded",)),
        ("ꜷ", ("schwa",)),
        ("ǂ", ("neutral",)),
    ],
)  # fmt: skip
def test_ipa_is_read_without_its_marks(phone: str, expected: tuple[str, ...]) -> None:
    assert phone_visemes(phone, arpabet=False) == expected


def test_arpabet_has_its_own_y_and_every_phone_a_known_viseme() -> None:
    assert phone_visemes("y", arpabet=True) == ("palatal",)
    assert phone_visemes("ay1", arpabet=True) == ("open", "near_close")
    assert {viseme for visemes in PHONE_TO_VISEME.values() for viseme in visemes} <= set(VISEMES)
    assert {channel for weights in VISEMES.values() for channel in weights} <= set(CHANNELS)


def test_speaker_habits_are_seeded_and_keep_closures() -> None:
    spoken = made(("pau", 0.3), ("aa", 0.2), ("m", 0.08), ("aa", 0.2), ("pau", 0.3))
    plain = mouth_curves(spoken, 25)
    for seed in range(5):
        habits = mouth_curves(spoken, 25, np.random.default_rng(seed))
        assert np.array_equal(habits, mouth_curves(spoken, 25, np.random.default_rng(seed)))
        assert not np.allclose(habits, plain)
        assert lip_gap(habits)[int(0.54 * 25)] < 0.06


def test_random_mouths_are_seeded_and_both_open_and_shut() -> None:
    rng = np.random.default_rng(1)
    mouths = np.stack([random_mouth(rng) for _ in range(200)])
    assert np.array_equal(mouths[0], random_mouth(np.random.default_rng(1)))
    assert mouths.min() >= 0
    assert mouths.max() <= 1
    assert (lip_gap(mouths) < 0.05).mean() > 0.05
    assert (lip_gap(mouths) > 1.0).mean() > 0.1


def test_augment_keeps_length_timing_and_range() -> None:
    spoken = made(("pau", 0.5), ("aa", 0.4), ("pau", 0.5), ("aa", 0.4), ("pau", 0.5))
    peaks = []
    for seed in range(30):
        worse = augment(spoken.audio, np.random.default_rng(seed))
        assert worse.shape == spoken.audio.shape
        assert worse.dtype == np.float32
        assert np.array_equal(worse, augment(spoken.audio, np.random.default_rng(seed)))
        peaks.append(np.abs(worse).max())
        # a tail may follow the sound, but nothing may move: the rise stays where it was
        lag = np.arange(-400, 401, 20)
        loud = [level_of(worse, 0.5 + s / SAMPLE_RATE, 0.6 + s / SAMPLE_RATE) for s in lag]
        assert loud[len(lag) // 2] > 0.6 * max(loud)
    assert 0.04 < min(peaks) < max(peaks) <= 1
    assert augment(np.zeros(1000, np.float32), np.random.default_rng(0)).shape == (1000,)
    assert len(augment(np.zeros(0, np.float32), np.random.default_rng(0))) == 0
