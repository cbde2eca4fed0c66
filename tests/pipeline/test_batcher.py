"""Many threads ask one generator; what is asked for at the same time goes through together, in fair shares."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from musetalk.pipeline.batcher import Batcher


class Gated:
    """A generator whose passes the test lets through one by one; a face is its latent number."""

    def __init__(self, gated=True):
        self.passes = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0 if gated else 10**6)

    def generate(self, latents, windows, visible_from):
        assert len(latents) == len(windows)
        self.passes.append([int(value) for value in latents[:, 0]])
        self.entered.release()
        assert self.gate.acquire(timeout=30)
        if 13 in self.passes[-1]:
            raise ValueError("unlucky")
        return np.stack([np.full((2, 2, 3), int(value), np.uint8) for value in latents[:, 0]])


class Asker(threading.Thread):
    """Asks for some faces in a thread of its own."""

    def __init__(self, batcher, *numbers, tokens=2):
        super().__init__(daemon=True)
        self.batcher, self.numbers, self.tokens = batcher, numbers, tokens
        self.faces = self.error = None
        self.start()

    def run(self):
        latents = torch.tensor(self.numbers, dtype=torch.float32)[:, None]
        try:
            faces = self.batcher.generate(latents, np.zeros((len(self.numbers), self.tokens, 3), np.float32))
            self.faces = [int(face[0, 0, 0]) for face in faces]
        except ValueError as error:
            self.error = error

    def wait_until_asked(self):
        while not any(self.numbers[0] in map(int, request.latents[:, 0]) for request in list(self.batcher._waiting)):
            assert self.is_alive()


def asked(batcher, *askers):
    started = []
    for numbers in askers:
        asker = Asker(batcher, *numbers)
        asker.wait_until_asked()
        started.append(asker)
    return started


def test_one_that_is_alone_does_not_wait_for_others():
    generator = Gated(gated=False)
    asker = Asker(Batcher(generator), 1, 2, 3)
    asker.join(30)
    assert asker.faces == [1, 2, 3] and generator.passes == [[1, 2, 3]]


def test_what_is_asked_for_meanwhile_goes_through_together_in_turns():
    generator = Gated()
    batcher = Batcher(generator, most=4)
    first = Asker(batcher, 1)
    assert generator.entered.acquire(timeout=30)
    others = asked(batcher, [20, 21, 22, 23, 24, 25], [30], [40, 41])
    for _ in range(4):
        generator.gate.release()
    for asker in (first, *others):
        asker.join(30)
    assert [asker.faces for asker in (first, *others)] == [[1], [20, 21, 22, 23, 24, 25], [30], [40, 41]]
    # Each has a face in the first pass, the small requests are done before the large one.
    assert generator.passes == [[1], [20, 30, 40, 21], [41, 22, 23, 24], [25]]
    assert (batcher.passes, batcher.faces) == (4, 10)


def test_different_windows_do_not_go_through_together():
    generator = Gated()
    batcher = Batcher(generator)
    first = Asker(batcher, 1)
    assert generator.entered.acquire(timeout=30)
    others = [Asker(batcher, 2, tokens=2), Asker(batcher, 3, tokens=5)]
    for asker in others:
        asker.wait_until_asked()
    for _ in range(3):
        generator.gate.release()
    for asker in (first, *others):
        asker.join(30)
    assert sorted(map(tuple, generator.passes)) == [(1,), (2,), (3,)]


def test_an_error_reaches_those_of_that_pass_and_the_others_go_on():
    generator = Gated()
    batcher = Batcher(generator, most=2)
    first = Asker(batcher, 1)
    assert generator.entered.acquire(timeout=30)
    unlucky, neighbour, later = asked(batcher, [13, 14], [20], [30])
    for _ in range(6):
        generator.gate.release()
    for asker in (first, unlucky, neighbour, later):
        asker.join(30)
    assert first.faces == [1] and later.faces == [30]
    assert str(unlucky.error) == str(neighbour.error) == "unlucky"


@pytest.mark.parametrize("threads", [2, 8])
def test_nobody_is_forgotten(threads):
    generator = Gated(gated=False)
    batcher = Batcher(generator, most=3)
    wrong = []

    def ask(base):
        for k in range(50):
            numbers = [base + k % 7 + j for j in range(k % 5 + 1)]
            latents = torch.tensor(numbers, dtype=torch.float32)[:, None]
            faces = batcher.generate(latents, np.zeros((len(numbers), 2, 3), np.float32))
            if [int(face[0, 0, 0]) for face in faces] != numbers:
                wrong.append(numbers)

    workers = [threading.Thread(target=ask, args=(20 * (1 + number),)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong and batcher.faces == threads * 150
    assert max(map(len, generator.passes)) == 3
