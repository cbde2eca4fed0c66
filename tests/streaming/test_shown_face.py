import numpy as np

from musetalk.streaming.shown_face import ShownFace


def face(grey):
    return np.full((2, 2, 3), grey, np.uint8)


def seen(shown):
    face, share = shown
    return (None if face is None else int(face[0, 0, 0]), round(share, 3))


def test_speech_fades_in_and_out():
    shown = ShownFace(2)
    assert seen(shown.rest()) == (None, 0)
    assert [seen(shown.speak(k, face(10 + k))) for k in range(3)] == [(10, 0.5), (11, 1), (12, 1)]
    assert [seen(shown.rest()) for _ in range(3)] == [(12, 0.5), (None, 0), (None, 0)]
    assert seen(shown.speak(9, face(20))) == (20, 0.5)


def test_without_fading_speech_is_there_at_once():
    shown = ShownFace(0)
    assert seen(shown.speak(0, face(10))) == (10, 1)
    assert seen(shown.rest()) == (None, 0)


def test_the_latest_face_stays_where_a_frame_has_none():
    shown = ShownFace(0)
    assert seen(shown.speak(0, None)) == (None, 1)
    shown.speak(1, face(10))
    assert seen(shown.speak(2, None)) == (10, 1)


def test_a_late_face_replaces_an_older_one_only():
    shown = ShownFace(0)
    shown.speak(0, face(10))
    shown.speak(1, None)
    shown.late(1, face(11))
    assert seen(shown.speak(2, None)) == (11, 1)
    shown.speak(3, face(13))
    shown.late(2, face(12))
    assert seen(shown.speak(4, None)) == (13, 1)


def test_a_late_face_does_not_end_the_rest():
    shown = ShownFace(0)
    shown.rest()
    shown.late(0, face(10))
    assert seen(shown.speak(1, None)) == (None, 1)
