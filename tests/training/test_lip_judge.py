"""A judge that reads lips: it learns from true mouths, and asks painted ones to be read alike."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from musetalk.training.lip_judge import LipJudge, build_lip_judge


def drawn(gaps: Tensor, contrast: float) -> Tensor:
    """Mouths (n, 3, 32, 48): a dark slit as high as `gaps` (n,), 0…1, on grey."""
    rows = (torch.arange(32) - 15.5).abs()[None, :, None]
    inside = (rows < 1 + 8 * gaps[:, None, None]) & ((torch.arange(48) - 23.5).abs() < 16)
    return (0.2 - contrast * inside.float())[:, None].expand(-1, 3, -1, -1).clone()


@pytest.fixture(scope="module")
def judge() -> LipJudge:
    """One that has learnt to read such mouths, of high contrast."""
    torch.manual_seed(0)
    judge = build_lip_judge(1)
    for _ in range(80):
        gaps = torch.rand(16)
        judge.own_loss(drawn(gaps, 0.8), gaps[:, None]).backward()
        judge.optimizer.step()
        judge.optimizer.zero_grad()
    return judge


def read(judge: LipJudge, images: Tensor) -> Tensor:
    network = copy.deepcopy(judge.network).eval()
    found: Tensor = network(images).mouths[:, 0].detach()
    return found


def test_what_is_learnt_from_strong_lips_holds_for_pale_ones(judge: LipJudge) -> None:
    gaps = torch.linspace(0.1, 0.9, 9)
    for contrast in (0.8, 0.3):
        assert torch.corrcoef(torch.stack([read(judge, drawn(gaps, contrast)), gaps]))[0, 1] > 0.95


def test_another_mouth_costs_more_than_another_light(judge: LipJudge) -> None:
    gaps = torch.linspace(0.1, 0.9, 9)
    real = drawn(gaps, 0.8)
    same, darker, other = (judge.generator_losses(real, fake) for fake in (real, real - 0.2, drawn(1 - gaps, 0.8)))
    for name in ("reading", "feature"):
        assert same[name] == pytest.approx(0, abs=1e-4)
        assert other[name] > 5 * darker[name]


def test_a_mouth_on_the_way_to_the_frames_own_costs_the_square_of_its_share(judge: LipJudge) -> None:
    gaps = torch.linspace(0.1, 0.9, 9)
    real, own = drawn(gaps, 0.8), drawn(1 - gaps, 0.8)
    half = drawn(torch.full((9,), 0.5), 0.8).requires_grad_()
    true, between, copied = (float(judge.copying(real, fake, own).detach()) for fake in (real, half, own))
    assert true < 0.01 and 0.1 < between < 0.5 and 1.0 < copied < 2.0
    assert float(judge.copying(real, real - 0.2, own)) < between / 5
    judge.copying(real, half, own).backward()
    assert half.grad is not None and half.grad.abs().sum() > 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in judge.network.parameters())


def test_two_pictures_are_compared_by_what_is_read_of_them(judge: LipJudge) -> None:
    gaps = torch.linspace(0.1, 0.9, 9)
    fake = drawn(gaps, 0.8).requires_grad_()
    darker, other = (judge.consistency(fake, picture) for picture in (drawn(gaps, 0.8) - 0.2, drawn(1 - gaps, 0.8)))
    assert other > 5 * darker
    other.backward()
    assert fake.grad is not None and fake.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in judge.network.parameters())


def test_gradients_reach_what_is_painted_alone_and_the_reader_by_its_own_loss_alone(judge: LipJudge) -> None:
    gaps = torch.tensor([0.2, 0.7])
    fake = drawn(gaps.flip(0), 0.8).requires_grad_()
    sum(judge.generator_losses(drawn(gaps, 0.8), fake).values(), torch.zeros(())).backward()
    assert fake.grad is not None and fake.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in judge.network.parameters())
    assert judge.network.training
    real = drawn(gaps, 0.8).requires_grad_()
    judge.own_loss(real, gaps[:, None]).backward()
    assert real.grad is None
    assert all(parameter.grad is not None for parameter in judge.network.parameters())
    judge.optimizer.zero_grad()


def test_its_state_goes_on_where_it_was(judge: LipJudge) -> None:
    fresh = build_lip_judge(1)
    fresh.load_state_dict(copy.deepcopy(judge.state_dict()))
    images = drawn(torch.tensor([0.3, 0.8]), 0.5)
    assert torch.equal(read(fresh, images), read(judge, images))
    assert fresh.optimizer.state_dict()["state"].keys() == judge.optimizer.state_dict()["state"].keys()
