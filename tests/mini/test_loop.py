"""An interrupted training ends like an uninterrupted one."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from musetalk.mini import loop
from musetalk.mini.loop import cosine_rate, train


def regression(seed: int = 0):
    torch.manual_seed(seed)
    network = nn.Linear(3, 1)

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(8, 3, generator=generator)
        return {"loss": (network(x) - x.sum(dim=1, keepdim=True)).square().mean()}

    return network, loss_of


class Stop(Exception):
    pass


def test_a_stopped_run_continues_to_the_same_weights(tmp_path, monkeypatch):
    whole, loss_of = regression()
    train(whole, loss_of, steps=40, rate=0.1, checkpoint=tmp_path / "whole.pt", average=0.9)

    monkeypatch.setattr(loop, "SAVE_SECONDS", -1.0)  # save after every step
    stopped, loss_of = regression()

    def stops_at_17(step: int) -> dict[str, torch.Tensor]:
        if step == 17:
            raise Stop
        return loss_of(step)

    with pytest.raises(Stop):
        train(stopped, stops_at_17, steps=40, rate=0.1, checkpoint=tmp_path / "part.pt", average=0.9)
    resumed, loss_of = regression(seed=1)  # other weights: those of the checkpoint must count
    train(resumed, loss_of, steps=40, rate=0.1, checkpoint=tmp_path / "part.pt", average=0.9)
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_training_learns_and_logs(tmp_path):
    network, loss_of = regression()
    train(network, loss_of, steps=400, rate=0.1, checkpoint=tmp_path / "a.pt", evaluate=lambda: {"w": 1.0})
    rows = [json.loads(line) for line in (tmp_path / "a.log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 400
    assert rows[-1]["w"] == 1.0
    assert rows[-1]["loss"] < 0.01 * rows[0]["loss"]


def test_the_rate_warms_up_and_falls_to_its_floor():
    assert cosine_rate(0, 1000, warmup=100) == 0.01
    assert cosine_rate(99, 1000, warmup=100) == 1.0
    assert cosine_rate(1000, 1000, warmup=100, floor=0.02) == 0.02
    rates = [cosine_rate(step, 1000) for step in range(100, 1000)]
    assert rates == sorted(rates, reverse=True)
