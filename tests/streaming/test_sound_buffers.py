from fractions import Fraction

import numpy as np
import pytest

from musetalk.streaming.sound_buffers import IncomingSound, SoundTrack


def samples(start, stop):
    return np.arange(start, stop, dtype=np.float32)


def test_sound_is_taken_in_pieces_and_in_order():
    incoming = IncomingSound()
    assert incoming.take(100) is None
    incoming.push(samples(0, 30), 1.0)
    incoming.push(samples(30, 90), 2.0)
    assert (incoming.samples, incoming.last) == (90, 2.0)
    first, time = incoming.take(20)
    np.testing.assert_array_equal(first, samples(0, 20))
    assert (time, incoming.samples) == (1.0, 70)
    second, time = incoming.take(40)
    np.testing.assert_array_equal(second, samples(20, 60))
    assert time == 2.0
    incoming.clear()
    assert incoming.take(100) is None and incoming.samples == 0


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_frames_get_their_samples_whatever_the_units_begin_with(fps):
    """Units that begin anywhere, with silence between them: no sample is lost, at most one waits."""
    track, frame, given, heard = SoundTrack(fps), 0, 0, 0
    for pause in (0, 3, 1, 7, 2):
        for _ in range(pause):
            assert not track.cut(frame, None).any()
            frame += 1
        for k in range(40):
            unit = np.ones(int((k + 1) * 16000 / fps) - int(k * 16000 / fps), np.float32)
            sound = track.cut(frame, unit)
            assert len(sound) == int((frame + 1) * 16000 / fps) - int(frame * 16000 / fps)
            given, heard, frame = given + len(unit), heard + int(sound.sum()), frame + 1
            assert 0 <= given - heard <= 1
