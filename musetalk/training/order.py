"""Which clip a sample comes from: a pure function of the seed and the sample's running number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_CYCLE = 4096  # samples within which lists are drawn from exactly in proportion


class SampleOrder:
    """Goes through several lists in proportion to their weights, and through each list epoch by epoch.

    Every clip of a list comes once before one of them comes again; each epoch of a list has its own order.

    Args:
        counts: Clips of each list; lists without any are never drawn from.
        weights: How often each list is drawn from, relative to the others; above 0.
        seed: Of the run.
    """

    def __init__(self, counts: Sequence[int], weights: Sequence[float], seed: int) -> None:
        if len(counts) != len(weights) or not any(counts):
            raise ValueError(f"{len(counts)} lists with {sum(counts)} clips and {len(weights)} weights")
        self._counts, self._seed = list(counts), seed
        shares = _shares([weight if count else 0.0 for count, weight in zip(counts, weights, strict=True)])
        cycle = np.repeat(np.arange(len(counts), dtype=np.uint16), shares)
        self._cycle = np.random.default_rng([seed, len(counts)]).permutation(cycle)
        visits = np.zeros((len(cycle), len(counts)), np.uint16)  # of each list, before each place of the cycle
        visits[1:] = np.cumsum(self._cycle[:-1, None] == np.arange(len(counts)), axis=0)
        self._visits, self._shares = visits, shares

    def place(self, number: int) -> tuple[int, int]:
        """(list, index in the list) of a sample number ≥ 0."""
        rounds, at = divmod(number, len(self._cycle))
        which = int(self._cycle[at])
        visit = rounds * int(self._shares[which]) + int(self._visits[at, which])
        epoch, index = divmod(visit, self._counts[which])
        return which, int(_permutation(self._seed, which, epoch, self._counts[which])[index])


def _shares(weights: Sequence[float]) -> np.ndarray:
    """Samples of each list in a cycle: rounded, but at least 1 where the weight is not 0."""
    weight = np.asarray(weights, np.float64)
    used = np.flatnonzero(weight)
    if len(used) == 1:
        return (weight > 0).astype(np.int64)  # one list: a cycle of one sample
    return np.where(weight > 0, np.maximum(np.round(weight / weight.sum() * _CYCLE), 1), 0).astype(np.int64)


@lru_cache(maxsize=16)
def _permutation(seed: int, which: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, which, epoch]).permutation(count)
