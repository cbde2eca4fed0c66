from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from musetalk.models.single_thread_pool import SingleThreadPool


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    torch.set_num_threads(2)


def test_each_thread_has_one_core_and_all_work_at_the_same_time() -> None:
    threads, together = SingleThreadPool(3), threading.Barrier(3, timeout=30)

    def work() -> tuple[int, bool]:
        together.wait()
        return torch.get_num_threads(), torch.is_inference_mode_enabled()

    with ThreadPoolExecutor(3) as callers:
        assert [call.result() for call in [callers.submit(threads.run, work) for _ in range(3)]] == [(1, True)] * 3


def test_threads_that_begin_meanwhile_have_all_cores() -> None:
    threads = SingleThreadPool(1)

    def begin_another() -> int:
        with ThreadPoolExecutor(1) as other:
            return other.submit(torch.get_num_threads).result()

    assert threads.run(begin_another) == 2 == torch.get_num_threads()


def test_an_error_is_raised() -> None:
    def work() -> int:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        SingleThreadPool(1).run(work)
