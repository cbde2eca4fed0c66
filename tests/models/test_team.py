"""Parts of a batch at the same time."""

from __future__ import annotations

import threading

import pytest
import torch

from musetalk.models.team import Team


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_are_consecutive_and_in_order(count: int) -> None:
    parts = Team(3).run(lambda part: list(range(count))[part], count)
    assert [one for part in parts for one in part] == list(range(count)) and len(parts) == min(count, 3)


def test_parts_run_at_the_same_time_with_their_share_of_the_threads() -> None:
    together = threading.Barrier(2, timeout=30)
    before = torch.get_num_threads()

    def work(part: slice) -> tuple[int, bool]:
        together.wait()
        return torch.get_num_threads(), torch.is_inference_mode_enabled()

    try:
        assert Team(2).run(work, 4) == [(1, True), (1, True)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_part_is_raised() -> None:
    def work(part: slice) -> int:
        raise RuntimeError("out of memory")

    before = torch.get_num_threads()
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            Team(2).run(work, 2)
    finally:
        torch.set_num_threads(before)
