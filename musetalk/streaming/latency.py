"""How long frames of speech take, part by part, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musetalk.streaming.stream_frame import FrameTiming

PERCENTILES = (50, 95, 99)

_MOST = 10_000  # milliseconds; what is longer counts as that
LOOK_AHEAD, FEATURES, NETWORK, WAITING, BLENDING = "look-ahead", "features", "network", "waiting", "blending"
OUTPUT, BEYOND, IN_ALL = "output", "beyond look-ahead", "in all"


class Histogram:
    """Durations by the millisecond."""

    def __init__(self) -> None:
        self._counts = np.zeros(_MOST + 1, np.int64)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[min(max(round(seconds * 1000), 0), _MOST)] += 1

    def percentile(self, percent: float) -> int:
        """Milliseconds that this share of the durations does not exceed; 0 when there is none."""
        reached = np.cumsum(self._counts)
        if not reached[-1]:
            return 0
        return int(np.searchsorted(reached, reached[-1] * percent / 100))


class Latency:
    """From the sound of a frame to the frame.

    Parts: `look-ahead`, until the sound after the frame that it also depends on has come; `features`, the audio
    encoder; `network`, UNet and decoder, with waiting for them; `waiting`, until the frame is due; `blending`;
    `output`, until the frame is encoded and on its way. `beyond look-ahead` and `in all` are their sums.
    """

    def __init__(self) -> None:
        self.parts = {
            name: Histogram() for name in (LOOK_AHEAD, FEATURES, NETWORK, WAITING, BLENDING, OUTPUT, BEYOND, IN_ALL)
        }

    def add(self, timing: FrameTiming, gone: float | None = None) -> None:
        """Count a frame of speech with a face of its own.

        Args:
            timing: When things happened to it.
            gone: The clock's time at which it was written; None: the output is not measured.
        """
        end = timing.composed if gone is None else gone
        for name, seconds in (
            (LOOK_AHEAD, timing.arrived - timing.sounded),
            (FEATURES, timing.heard - timing.arrived),
            (NETWORK, timing.generated - timing.heard),
            (WAITING, timing.taken - timing.generated),
            (BLENDING, timing.composed - timing.taken),
            (OUTPUT, end - timing.composed),
            (BEYOND, end - timing.arrived),
            (IN_ALL, end - timing.sounded),
        ):
            self.parts[name].add(seconds)

    def table(self, percentiles: Sequence[float] = PERCENTILES) -> str:
        """Milliseconds of each part."""
        lines = [f"  {'milliseconds':<20}" + "".join(f"{'p' + format(p, 'g'):>7}" for p in percentiles)]
        for name, histogram in self.parts.items():
            lines.append(f"  {name:<20}" + "".join(f"{histogram.percentile(p):>7}" for p in percentiles))
        return "\n".join(lines)
