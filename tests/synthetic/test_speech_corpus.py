"""Utterances on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musetalk.errors import OutputError
from musetalk.synthetic.speech_corpus import read_speech, save_arrays


def test_an_utterance_comes_back(tmp_path: Path) -> None:
    curves = np.ones((5, 13), np.float16)
    save_arrays(tmp_path / "new" / "00000.npz", audio=np.array([0, 32767], np.int16), curves=curves, voice="flite:slt")
    (speech,) = read_speech(tmp_path / "new")
    assert speech.audio.tolist() == [0, 1] and speech.voice == "flite:slt" and speech.curves.shape == (5, 13)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["00000.npz"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"00000\.npz: cannot be written"):
        save_arrays(tmp_path / "file" / "00000.npz", audio=np.zeros(2))
