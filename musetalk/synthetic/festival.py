"""A third synthesizer, Festival, for the sound of other speakers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from musetalk.errors import DeviceError
from musetalk.synthetic.utterance import PAUSE, Phone


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_ARPABET = _pairs(
    "aa ɑ ae æ ah ʌ ao ɔ aw aʊ ax ə axr ɚ ay aɪ ch tʃ dh ð dx ɾ eh ɛ el əl em əm en ən er ɝ ey eɪ hh h hv h ih ɪ iy i "
    "jh dʒ ng ŋ nx n ow oʊ oy ɔɪ r ɹ sh ʃ th θ uh ʊ uw u y j zh ʒ"
)
_CZECH = _pairs("c ts c~ tʃ ch x d~ ɟ dz dz dz~ dʒ n* ŋ n~ ɲ r~ rʒ r~* rʒ s~ ʃ t~ c z~ ʒ h ɦ")
_FINNISH = _pairs("@ æ 7 ø & ɑ N ŋ L l T d S ʃ Z ʒ D d")
_ITALIAN = _pairs("E ɛ O ɔ ts ts tS tʃ dz dz dZ dʒ S ʃ J ɲ ng ŋ nf ɱ L ʎ r r")
_CATALAN = _pairs("ax ə E ɛ O ɔ J ɲ L ʎ S ʃ Z ʒ rr r")


@dataclass(frozen=True)
class FestivalVoice:
    """`language`, one of `made_up`'s; `phones`: what its own symbols are in IPA, those that are not IPA already."""

    language: str
    phones: Mapping[str, str]

    def ipa(self, symbol: str) -> str:
        """A phone of this voice in IPA, or PAUSE; marks of length and stress are dropped."""
        bare = symbol if symbol in self.phones else symbol.rstrip("1:")
        if bare.strip("#_") == "" or bare in ("pau", "brth"):
            return PAUSE
        return self.phones.get(bare, bare)


FESTIVAL_VOICES = {
    "ked_diphone": FestivalVoice("en-us", _ARPABET),
    "cmu_us_slt_arctic_hts": FestivalVoice("en-us", _ARPABET),
    "lp_diphone": FestivalVoice("it", _ITALIAN),
    "pc_diphone": FestivalVoice("it", _ITALIAN),
    "czech_dita": FestivalVoice("cs", _CZECH),
    "czech_krb": FestivalVoice("cs", _CZECH),
    "czech_machac": FestivalVoice("cs", _CZECH),
    "czech_ph": FestivalVoice("cs", _CZECH),
    "suo_fi_lj_diphone": FestivalVoice("fi", _FINNISH),
    "hy_fi_mv_diphone": FestivalVoice("fi", _FINNISH),
    "upc_ca_ona_hts": FestivalVoice("ca", _CATALAN),
}
"""By the names that Debian's packages give them; those whose phones lie where they sound."""


@cache
def installed_voices() -> tuple[str, ...]:
    """Those of FESTIVAL_VOICES that this machine has; none without Festival."""
    program = shutil.which("festival")
    if program is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "list.scm"
        script.write_text('(format t "%l\\n" (voice.list))')
        done = subprocess.run([program, "-b", str(script)], capture_output=True, text=True, check=False)
    found = done.stdout.replace("(", " ").replace(")", " ").split()
    return tuple(name for name in FESTIVAL_VOICES if name in found)


def run_festival(text: str, voice: str, rate: float) -> tuple[np.ndarray, int, list[Phone]]:
    """Speak a text.

    Args:
        text: In the language of the voice.
        voice: One of FESTIVAL_VOICES.
        rate: Speed, 1 is the voice's own; HMM voices keep theirs.

    Returns:
        Samples float32 in −1…1, their rate, and phones in IPA.

    Raises:
        DeviceError: Festival or the voice is not installed, or it failed.
    """
    program = shutil.which("festival")
    if program is None:
        raise DeviceError("festival is not installed", "Install it, e.g. `apt-get install festival`.")
    if voice not in installed_voices():
        known = ", ".join(installed_voices()) or "none"
        raise DeviceError(f"festival's voice {voice} is not installed", f"Install its package; there are: {known}.")
    with tempfile.TemporaryDirectory() as folder:
        script, sound, segments = (Path(folder) / name for name in ("say.scm", "speech.wav", "speech.seg"))
        words = text.replace("\\", "").replace('"', "")
        script.write_text(
            f"(voice_{voice})\n(Parameter.set 'Duration_Stretch {1 / rate:.4f})\n"
            f'(set! said (Utterance Text "{words}"))\n(utt.synth said)\n'
            f'(utt.save.wave said "{sound}" \'riff)\n(utt.save.segs said "{segments}")\n',
            encoding="utf-8",
        )
        command = [program, "-b", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if not sound.exists() or not segments.exists():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DeviceError(f"festival could not say {words[:40]!r}: {last[:200]}", "Use another voice, or flite.")
        with wave.open(str(sound)) as file:
            sample_rate = file.getframerate()
            audio = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        lines = segments.read_text(errors="replace").splitlines()[1:]
    phones, start = [], 0.0
    for line in lines:
        end, _, symbol = line.split()
        phones.append((FESTIVAL_VOICES[voice].ipa(symbol), start, float(end)))
        start = float(end)
    return audio, sample_rate, phones
