"""Child process of `musetalk.synthetic.synthesizers`: one sentence through libespeak-ng, with the time of every phone.

The library carries state from one sentence to the next, so equal input gives equal sound only in a fresh process.
Standard library only, so that it starts fast. Reads a JSON request on stdin; writes one line of JSON, then 16-bit
samples.
"""

from __future__ import annotations

import ctypes
import json
import sys

SYNCHRONOUS = 2
PHONEME_EVENTS_IN_IPA = 1 | 2
CHARS_UTF8 = 1
EVENT_END, EVENT_PHONEME = 0, 7
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
"""Values of the library's public header."""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def main() -> int:
    request = json.load(sys.stdin)
    library = ctypes.CDLL("libespeak-ng.so.1")
    sample_rate = library.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS_IN_IPA)
    if sample_rate <= 0:
        sys.stderr.write("espeak-ng found no voice data\n")
        return 1
    sound: list[bytes] = []
    phones: list[tuple[str, int]] = []

    def collect(samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        index = 0
        while events[index].type != EVENT_END:
            event = events[index]
            if event.type == EVENT_PHONEME:
                phones.append((bytes(event.id.string).decode("utf-8", "ignore"), event.sample))
            index += 1
        if count > 0:
            sound.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        sys.stderr.write(f"espeak-ng has no voice {request['voice']}\n")
        return 1
    library.espeak_SetParameter(RATE, int(request["rate"]), 0)
    library.espeak_SetParameter(PITCH, int(request["pitch"]), 0)
    library.espeak_SetParameter(RANGE, int(request["range"]), 0)
    text = request["text"].encode() + b"\0"
    library.espeak_Synth(text, len(text), 0, 0, 0, CHARS_UTF8, None, None)
    library.espeak_Synchronize()
    header = json.dumps({"sample_rate": sample_rate, "phones": phones}).encode()
    sys.stdout.buffer.write(header + b"\n" + b"".join(sound))
    return 0


if __name__ == "__main__":
    sys.exit(main())
