"""Which clip a sample number stands for."""

from __future__ import annotations

from collections import Counter

import pytest

from musetalk.training.order import SampleOrder


def test_every_clip_comes_once_an_epoch_and_every_epoch_has_its_own_order() -> None:
    order = SampleOrder([7], [1.0], seed=3)
    epochs = [[order.place(number)[1] for number in range(epoch * 7, epoch * 7 + 7)] for epoch in range(20)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 15


def test_a_number_means_the_same_whenever_it_is_asked_and_another_seed_another_order() -> None:
    forward = [SampleOrder([50, 3], [1.0, 0.5], seed=1).place(number) for number in range(300)]
    order = SampleOrder([50, 3], [1.0, 0.5], seed=1)
    assert [order.place(number) for number in reversed(range(300))] == forward[::-1]
    assert SampleOrder([50, 3], [1.0, 0.5], seed=1).place(123_456_789) == order.place(123_456_789)
    assert [SampleOrder([50, 3], [1.0, 0.5], seed=2).place(number) for number in range(300)] != forward


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [3.0, 1.0, 0.5], [100.0, 1.0, 0.001]])
def test_lists_are_drawn_in_proportion_and_each_is_gone_through_in_epochs(weights: list[float]) -> None:
    counts = [11, 5, 8]
    order = SampleOrder(counts, weights, seed=0)
    places = [order.place(number) for number in range(3 * 4096)]
    for which, count in enumerate(counts):
        visits = [index for one, index in places if one == which]
        assert abs(len(visits) - len(places) * weights[which] / sum(weights)) <= 6
        assert visits
        for first in range(0, len(visits) - count + 1, count):
            assert sorted(visits[first : first + count]) == list(range(count))


def test_processes_that_take_every_second_sample_see_both_lists() -> None:
    order = SampleOrder([10, 10], [1.0, 1.0], seed=0)
    for process in (0, 1):
        seen = Counter(order.place(number)[0] for number in range(process, 400, 2))
        assert min(seen.values()) > 60


def test_an_empty_list_is_never_drawn_from() -> None:
    order = SampleOrder([0, 4, 2], [5.0, 1.0, 1.0], seed=0)
    assert {order.place(number)[0] for number in range(100)} == {1, 2}
    with pytest.raises(ValueError):
        SampleOrder([0, 0], [1.0, 1.0], seed=0)
