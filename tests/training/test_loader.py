from __future__ import annotations

from itertools import islice

import pytest
import torch

from musetalk.errors import InputError
from musetalk.training.loader import RunSampler, Share, batches


class Squares:
    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.tensor(number * number)


def test_two_processes_take_together_what_one_of_twice_the_batch_takes() -> None:
    first, second, both = Share(0, 2, 3), Share(1, 2, 3), Share(0, 1, 6)
    assert [*first.numbers(12), *second.numbers(12)] == list(both.numbers(12)) == [12, 13, 14, 15, 16, 17]
    assert first.together == both.together == 6


def test_a_run_goes_on_where_it_was() -> None:
    share = Share(1, 2, 2)
    whole = list(islice(RunSampler(share, 0), 5))
    assert whole == [[2, 3], [6, 7], [10, 11], [14, 15], [18, 19]]
    assert list(islice(RunSampler(share, 12), 2)) == whole[3:]


def test_worker_processes_give_the_same_batches_in_the_same_order() -> None:
    share = Share(0, 1, 2)
    alone = [batch.tolist() for batch in islice(batches(Squares(), share, 4, 0, False), 4)]
    helped = [batch.tolist() for batch in islice(batches(Squares(), share, 4, 2, False), 4)]
    assert alone == helped == [[16, 25], [36, 49], [64, 81], [100, 121]]


class Broken(Squares):
    def __getitem__(self, number: int) -> torch.Tensor:
        if number == 5:
            raise InputError("clip 5 is gone", "Make it again.")
        return super().__getitem__(number)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_expected_error_comes_whole_out_of_a_worker(workers: int) -> None:
    source = batches(Broken(), Share(0, 1, 2), 0, workers, False)
    assert [next(source).tolist() for _ in range(2)] == [[0, 1], [4, 9]]
    with pytest.raises(InputError) as caught:
        next(source)
    assert (caught.value.what, caught.value.fix) == ("clip 5 is gone", "Make it again.")
