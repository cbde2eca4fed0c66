"""Parts of a batch at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from musetalk.models.batch_threads import BatchThreads


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_are_consecutive_and_in_order(count: int) -> None:
    parts = BatchThreads(3).run(lambda part: list(range(count))[part], count)
    assert [one for part in parts for one in part] == list(range(count)) and len(parts) == min(count, 3)


def test_parts_run_at_the_same_time_with_their_share_of_the_threads() -> None:
    together = threading.Barrier(2, timeout=30)

    def work(part: slice) -> tuple[int, bool]:
        together.wait()
        return torch.get_num_threads(), torch.is_inference_mode_enabled()

    assert BatchThreads(2).run(work, 4) == [(1, True), (1, True)]
    assert torch.get_num_threads() == 2


def test_an_error_of_a_part_is_raised() -> None:
    def work(part: slice) -> int:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        BatchThreads(2).run(work, 2)
