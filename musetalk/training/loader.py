"""Which samples a process takes, in which order: a pure function of the position in the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_all_start_methods
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from musetalk.errors import MuseTalkError

# Workers forked from this process would inherit locks of torch and OpenCV. Spawned ones end through the interpreter's
# shutdown, which now and then aborts while torch still sends a batch; those of a fork server end at once.
_CONTEXT = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class Share:
    """The part of each pass that one process takes.

    Attributes:
        rank, processes: Which process of how many.
        batch: Samples of one process in one pass.
    """

    rank: int
    processes: int
    batch: int

    @property
    def together(self) -> int:
        """Samples that all processes take in one pass."""
        return self.processes * self.batch

    def numbers(self, position: int) -> range:
        """Sample numbers of this process in the pass that begins at a position of the run.

        Two processes of batch 8 take together what one process of batch 16 takes.
        """
        first = position + self.rank * self.batch
        return range(first, first + self.batch)


class RunSampler(Sampler[list[int]]):
    """Batches of sample numbers without end, from a position on.

    Args:
        share: Of this process.
        position: Samples that the run has taken so far.
    """

    def __init__(self, share: Share, position: int) -> None:
        self.share = share
        self.position = position

    def __iter__(self) -> Iterator[list[int]]:
        for index in count():
            yield list(self.share.numbers(self.position + index * self.share.together))


class AnyNumber(Dataset[Any]):
    """A dataset that knows what every number means: it has no end, so torch must not ask for its length.

    An expected error is given in a sample's place: raised in a worker process, torch would keep its text alone.
    """

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __getitem__(self, number: int) -> Any:
        try:
            return self.samples[number]
        except MuseTalkError as error:
            return error


def _collate(samples: list[Any]) -> Any:
    return next((one for one in samples if isinstance(one, MuseTalkError)), None) or default_collate(samples)


def batches(samples: Any, share: Share, position: int, workers: int, pin: bool) -> Iterator[Any]:
    """Collated batches of a process, from a position of the run on, without end.

    Args:
        samples: `samples[number]` gives the sample of a running number, the same in every process.
        share: Of this process.
        position: Samples taken so far.
        workers: Processes that load; 0: this one.
        pin: Put batches in page-locked memory, for a GPU.

    Raises:
        MuseTalkError: What a sample raised, in whatever process.
    """
    loader: DataLoader[Any] = DataLoader(
        AnyNumber(samples),
        batch_sampler=RunSampler(share, position),
        collate_fn=_collate,
        num_workers=workers,
        pin_memory=pin,
        multiprocessing_context=_CONTEXT if workers else None,
        prefetch_factor=4 if workers else None,
    )
    for batch in loader:
        if isinstance(batch, MuseTalkError):
            raise batch
        yield batch
