"""Made-up sentences: in a language's own letters, always others, and spoken as words."""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from speech_factory import need

from musetalk.synthetic.festival import FESTIVAL_VOICES
from musetalk.synthetic.made_up import made_up_sentence
from musetalk.synthetic.mouth_channels import CHANNELS
from musetalk.synthetic.sentences import HELD_OUT, LANGUAGES, TRAIN
from musetalk.synthetic.speech import random_utterance
from musetalk.synthetic.speech_corpus import read_speech, write_speech
from musetalk.synthetic.synthesizers import synthesize
from musetalk.synthetic.utterance import PAUSE

SCRIPTS = {"ru": "CYRILLIC", "hi": "DEVANAGARI", "ar": "ARABIC", "ko": "HANGUL", "ja": "HIRAGANA"}
EVERY_LANGUAGE = sorted({"en-us", *LANGUAGES, *(voice.language for voice in FESTIVAL_VOICES.values())})


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_sentences_are_in_the_script_of_their_language_and_never_the_same(language: str) -> None:
    rng = np.random.default_rng(3)
    said = [made_up_sentence(rng, language) for _ in range(100)]
    assert len(set(said)) == 100
    for sentence in said:
        assert sentence[-1] in ".?" and 3 <= len(sentence.split()) <= 9
        letters = {unicodedata.name(letter).split()[0] for letter in sentence if letter.isalpha()}
        assert letters == {SCRIPTS.get(language, "LATIN")}, sentence


def test_the_same_seed_makes_the_same_sentence_and_accents_share_their_words() -> None:
    one, again, british = (
        made_up_sentence(np.random.default_rng(7), name) for name in ("en-us", "en-us", "en-gb-scotland")
    )
    assert one == again == british


@pytest.mark.parametrize("language", LANGUAGES)
def test_espeak_speaks_them(language: str) -> None:
    need("espeak")
    spoken = synthesize(made_up_sentence(np.random.default_rng(1), language), "espeak", language)
    assert sum(phone != PAUSE for phone, _, _ in spoken.phones) >= 6


def test_two_made_up_utterances_hold_more_pairs_of_phones_than_two_of_sentences() -> None:
    need("flite")

    def pairs(share: float) -> int:
        found: set[tuple[str, str]] = set()
        for seed in range(2):
            rng = np.random.default_rng(seed)
            phones = [p[0] for p in random_utterance(rng, 12, 12, ("flite",), made_up=share).phones if p[0] != PAUSE]
            found |= set(pairwise(phones))
        return len(found)

    assert pairs(1.0) > 1.1 * pairs(0.0)


def test_a_corpus_with_laughter_speaks_as_one_without(tmp_path: Path) -> None:
    need("flite")
    for name, share in (("spoken", 0.0), ("mixed", 0.5), ("again", 0.5)):
        write_speech(tmp_path / name, 0, 3, 6, TRAIN, ("flite",), laughing=share)
    spoken, mixed, again = (read_speech(tmp_path / name) for name in ("spoken", "mixed", "again"))
    same = [np.array_equal(one.audio, other.audio) for one, other in zip(spoken, mixed, strict=True)]
    assert same == [False, True, True]
    for one, laughed, repeated, is_speech in zip(spoken, mixed, again, same, strict=True):
        assert np.array_equal(laughed.audio, repeated.audio) and np.array_equal(laughed.curves, repeated.curves)
        smiles = [speech.curves[:, CHANNELS.index("mouthSmile")].mean() for speech in (one, laughed)]
        assert is_speech or smiles[1] > smiles[0] + 0.2
        assert 8 * 25 <= len(laughed.curves) <= 14 * 25 and abs(len(laughed.audio) - 640 * len(laughed.curves)) <= 640


def test_a_corpus_of_made_up_words_is_another_one_than_that_of_sentences(tmp_path: Path) -> None:
    need("flite")
    for name, share in (("sentences", 0.0), ("again", 0.0), ("made_up", 1.0)):
        write_speech(tmp_path / name, 0, 1, 5, TRAIN, ("flite",), share)
    real, again, invented = (read_speech(tmp_path / name)[0] for name in ("sentences", "again", "made_up"))
    assert np.array_equal(real.audio, again.audio)
    assert real.voice == invented.voice and not np.array_equal(real.audio[:48000], invented.audio[:48000])
    write_speech(tmp_path / "held_out", 0, 1, 5, HELD_OUT, ("flite", "festival"))
    assert read_speech(tmp_path / "held_out")[0].voice.startswith("flite:")
