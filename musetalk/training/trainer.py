"""The one training loop, of every network: one or more processes, accumulation, mixed precision, whole checkpoints.

What is trained, on what, and with which losses is a `Task`. A step is one step of the optimiser. Everything random
follows from the seed and the position in the run, so that a run that was interrupted goes on to the same losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from musetalk.cli import say
from musetalk.errors import ConfigError, TrainingError
from musetalk.training.checkpoint import CheckpointFolder, read_facts, read_part
from musetalk.training.config import RunConfig
from musetalk.training.interruption import Interruption
from musetalk.training.loader import Share, batches
from musetalk.training.log import RunLog
from musetalk.training.optimization import build_optimizer, build_schedule
from musetalk.training.parallel import choose_parallel
from musetalk.training.rates import LossWindow
from musetalk.training.restoring import ARCHITECTURE, check_architecture, load_adversary, load_network, load_optimizer
from musetalk.training.task import Task


class Trainer:
    """Trains a task as the settings say.

    Args:
        config: When to save, validate and stop, and how to optimise.
        settings: The whole configuration as YAML, kept with each checkpoint.
        task: What is trained.
        accelerator: From `accelerator.build_accelerator`.
    """

    def __init__(self, config: RunConfig, settings: str, task: Task, accelerator: Any) -> None:
        self.config, self.settings, self.task, self.accelerator = config, settings, task, accelerator
        self.solver = config.solver
        self.checkpoints = CheckpointFolder(config.folder / "checkpoints", config.total_limit)
        self.bare = dict(task.networks)
        self.share = Share(accelerator.process_index, accelerator.num_processes, task.batch_size)
        self.step = 0
        self.position = 0  # samples that all processes have taken
        self.averages: dict[str, torch.optim.swa_utils.AveragedModel] = {}
        self.parallel = choose_parallel(accelerator)

    def run(self) -> Path:
        """Train from the newest checkpoint, or from the start, to max_train_steps; the folder of the run.

        Raises:
            TrainingError: A loss is not finite.
            OutputError: A checkpoint cannot be written.
            WeightsError: The checkpoint to go on from is damaged or of another architecture.
            KeyboardInterrupt: SIGINT or SIGTERM, after a checkpoint was written.
        """
        resumed = self._checkpoint_to_resume()
        self._place()
        if resumed is not None:
            self._resume(resumed)
        self._wrap()
        if resumed is not None:
            self.parallel.load_shard(resumed)
        log = RunLog(self.config.folder, self.solver.max_train_steps, self.step) if self._is_main else None
        with Interruption() as interruption:
            try:
                self._loop(log, interruption)
            finally:
                if log is not None:
                    log.close()
        return self.config.folder

    def _loop(self, log: RunLog | None, interruption: Interruption) -> None:
        saved = self.step
        window = LossWindow()
        if self.step < self.solver.max_train_steps:
            source = batches(
                self.task.samples,
                self.share,
                self.position,
                self.task.num_workers,
                self.accelerator.device.type == "cuda",
            )
        while self.step < self.solver.max_train_steps:
            losses = self._train_step(source, window)
            window.add(losses, self.solver.gradient_accumulation_steps * self.share.together)
            stop = self._any(interruption.asked)
            self._say_warnings()
            last = self.step == self.solver.max_train_steps
            if log is not None and (self.step % self.config.log_every == 0 or last or stop):
                log.losses(self.step, window.losses(), window.rates() | {"learning_rate": self._learning_rate()})
                window = LossWindow()
            if self.step % self.config.val_freq == 0 or last:
                self._validate(log)
                window.pause()
            if self.step % self.config.checkpointing_steps == 0 or last or stop:
                self._check_weights()
                self._save()
                saved = self.step
                window.pause()
            if stop and not last:
                raise interruption.exception()
        if saved == self.step and self._is_main:
            self.task.export(self._best(), self.config.folder)
        self.accelerator.wait_for_everyone()

    def _train_step(self, source: Any, window: LossWindow) -> dict[str, float]:
        """One step of every optimiser over gradient_accumulation_steps passes; the mean losses of all processes."""
        passes = self.solver.gradient_accumulation_steps
        sums: dict[str, torch.Tensor] = {}
        for index in range(passes):
            last = index == passes - 1
            with window.waiting():
                batch = next(source)
            self._seed()
            with self.accelerator.accumulate(*self.task.networks.values()):
                with self.accelerator.autocast():
                    given = self.task.forward(self._on_device(batch), self.step)
                weighted = [self.task.weights[name] * loss.float() for name, loss in given.losses.items()]
                total = torch.stack(weighted).sum()
                values = {"loss": total, **given.losses}
                if last:
                    self._check_finite({name: sums.get(name, 0) + loss.detach() for name, loss in values.items()})
                self.accelerator.backward(total)
                if last:
                    norm = self.accelerator.clip_grad_norm_(self._parameters(), self.solver.max_grad_norm)
                    if norm is not None and not self._scales:
                        self._check_finite({"gradient": torch.as_tensor(norm)})
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
                for name, (real, beside) in given.pairs.items():
                    role = self.task.adversaries[name].role
                    values[f"{name}_{role}"] = self._teach(name, real, beside, last)
            for name, loss in values.items():
                share = loss.detach().float() / passes
                sums[name] = sums[name] + share if name in sums else share
            self.position += self.share.together
        self.step += 1
        self._advance(given.pairs)
        return self._mean_of_processes(sums)

    def _teach(self, name: str, real: torch.Tensor, beside: torch.Tensor, last: bool) -> torch.Tensor:
        """A pass of a judge, and after the last one its step; its loss."""
        adversary = self.task.adversaries[name]
        loss = adversary.own_loss(real, beside)
        (loss / self.solver.gradient_accumulation_steps).backward()
        if last:
            adversary.optimizer.step()
            adversary.optimizer.zero_grad(set_to_none=True)
        return loss

    def _advance(self, learnt: Iterable[str]) -> None:
        self.schedule.step()
        for name in learnt:
            self.task.adversaries[name].scheduler.step()
        for name, average in self.averages.items():
            average.update_parameters(self.bare[name])

    # Beginning and going on

    def _place(self) -> None:
        device = self.accelerator.device
        dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
        self.task.place(device, dtypes.get(self.accelerator.mixed_precision, torch.float32))
        for network in self.bare.values():
            network.to(device)
        for adversary in self.task.adversaries.values():
            adversary.network.to(device)
        if self.solver.ema_decay:
            average = torch.optim.swa_utils.get_ema_multi_avg_fn(self.solver.ema_decay)
            self.averages = {
                name: torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=average)
                for name, network in self.bare.items()
            }
        scale = self.share.together * self.solver.gradient_accumulation_steps
        self.optimizer: Any = build_optimizer(self._parameters(), self.solver, scale)

    def _wrap(self) -> None:
        """Hand networks and optimisers to accelerate; the schedules begin at the step that is reached."""
        self.schedule = build_schedule(self.optimizer, self.solver, self.step)
        wrapped, self.optimizer = self.parallel.wrap(
            list(self.bare.values()), self.optimizer, self.task.batch_size, self.solver.max_grad_norm
        )
        self.task.networks.update(zip(self.bare, wrapped, strict=True))
        for network in self.bare.values():
            network.train()
        for adversary in self.task.adversaries.values():
            if self.share.processes > 1:
                adversary.trained = nn.parallel.DistributedDataParallel(adversary.network)

    def _checkpoint_to_resume(self) -> Path | None:
        asked = self.config.resume_from_checkpoint
        newest = self.checkpoints.newest()
        if asked is True or asked == Path("latest"):
            return newest
        if asked is False:
            if newest is not None:
                raise ConfigError(
                    f"{self.config.folder} already holds checkpoints, and resume_from_checkpoint is false",
                    "Set resume_from_checkpoint to true to go on from them, or choose another exp_name.",
                )
            return None
        assert isinstance(asked, Path)
        step = int(read_facts(asked)["step"])
        self.accelerator.wait_for_everyone()
        if self._is_main:
            for later in self.checkpoints.after(step):  # else the run would go on from these the next time
                say(f"set aside: {self.checkpoints.set_aside(later)}")
        self.accelerator.wait_for_everyone()
        return asked

    def _resume(self, checkpoint: Path) -> None:
        facts = read_facts(checkpoint)
        check_architecture(self.task.architecture, facts, checkpoint)
        for name, network in self.bare.items():
            load_network(network, checkpoint, name)
        for name, average in self.averages.items():
            if (checkpoint / f"{name}_average.pt").is_file():
                average.load_state_dict(read_part(checkpoint, f"{name}_average"))
        if not self.parallel.shards_optimizer:
            load_optimizer(self.optimizer, checkpoint)
        for name, adversary in self.task.adversaries.items():
            if (checkpoint / f"{name}.pt").is_file():  # a run may gain adversaries
                load_adversary(adversary, checkpoint, name)
        if self.accelerator.scaler is not None and (checkpoint / "scaler.pt").is_file():
            self.accelerator.scaler.load_state_dict(read_part(checkpoint, "scaler"))
        self.step, self.position = int(facts["step"]), int(facts["position"])
        if self._is_main:
            say(f"going on from {checkpoint}: step {self.step}, {self.position} samples")

    # Saving and measuring

    def _save(self) -> None:
        shards = self.parallel.save_shard if self.parallel.shards_optimizer else None
        if self._is_main:
            self.checkpoints.begin(self.step)
        self.accelerator.wait_for_everyone()
        if shards is not None and not self._is_main:
            shards(self.checkpoints.partial(self.step))
        if self._is_main:
            parts: dict[str, Any] = {name: network.state_dict() for name, network in self.bare.items()}
            parts |= {f"{name}_average": average.state_dict() for name, average in self.averages.items()}
            if shards is None:
                parts["optimizer"] = self.optimizer.state_dict()
            parts |= {name: adversary.state_dict() for name, adversary in self.task.adversaries.items()}
            if self.accelerator.scaler is not None:
                parts["scaler"] = self.accelerator.scaler.state_dict()
            facts = {
                "position": self.position,
                "processes": self.share.processes,
                "seed": self.config.seed,
                ARCHITECTURE: self.task.architecture,
            }
            path = self.checkpoints.save(self.step, parts, facts, self.settings, shards)
            self.task.export(self._best(), self.config.folder)
            say(f"saved {path}")
        self.accelerator.wait_for_everyone()

    def _validate(self, log: RunLog | None) -> None:
        if log is not None:
            best = self._best()
            for network in best.values():
                network.eval()
            with torch.no_grad(), self.accelerator.autocast():
                result = self.task.validate(best, self.step)
            for network in self.bare.values():
                network.train()
            if result.values:
                log.validation(self.step, result.values, result.strips)
        self.accelerator.wait_for_everyone()

    def _best(self) -> dict[str, nn.Module]:
        """The networks that are worth keeping: the averages where there are some."""
        return {name: self.averages[name].module if name in self.averages else net for name, net in self.bare.items()}

    def _check_finite(self, values: Mapping[str, torch.Tensor]) -> None:
        bad = [f"{name} {float(value.detach())}" for name, value in values.items() if not torch.isfinite(value).all()]
        if not self._any(bool(bad)):
            return
        newest = self.checkpoints.newest()
        aside = ""
        if newest is not None and newest == self.checkpoints.path(self.step):
            # Its weights are what gave this: they were never used before.
            if self._is_main:
                aside = f" {self.checkpoints.set_aside(newest)} holds the weights that gave it."
            self.accelerator.wait_for_everyone()
            newest = self.checkpoints.newest()
        where = f"go on from {newest} with the same command" if newest else "start again"
        raise TrainingError(
            f"step {self.step + 1}: not a finite number: {', '.join(bad) or 'a loss of another process'}.{aside}",
            f"Set a smaller solver.learning_rate, or no mixed precision; then {where}.",
        )

    def _check_weights(self) -> None:
        """Weights that are not finite are not saved."""
        bad = [name for name, net in self.bare.items() if not all(torch.isfinite(p).all() for p in net.parameters())]
        if bad:
            self._check_finite({f"weights of {name}": torch.tensor(float("nan")) for name in bad})

    # Small things

    @property
    def _is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    @property
    def _scales(self) -> bool:
        """Whether gradients are scaled (fp16): infinite ones are then skipped by the scaler, not an error."""
        return self.accelerator.scaler is not None

    def _parameters(self) -> list[nn.Parameter]:
        return [p for network in self.bare.values() for p in network.parameters() if p.requires_grad]

    def _learning_rate(self) -> float:
        return float(self.schedule.get_last_lr()[0])

    def _seed(self) -> None:
        """Torch's random numbers of this pass, from the position alone: a checkpoint needs no random state."""
        key = np.random.SeedSequence([self.config.seed, self.position, self.share.rank])
        torch.manual_seed(int(key.generate_state(1)[0]))

    def _on_device(self, batch: Any) -> Any:
        from accelerate.utils import send_to_device

        return send_to_device(batch, self.accelerator.device, non_blocking=True)

    def _any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        flags = torch.tensor([float(flag)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flags, "sum").item() > 0)

    def _mean_of_processes(self, values: Mapping[str, torch.Tensor]) -> dict[str, float]:
        stacked = torch.stack([value.reshape(()) for value in values.values()]).to(self.accelerator.device)
        reduced = self.accelerator.reduce(stacked, "mean").tolist()
        return dict(zip(values, reduced, strict=True))

    def _say_warnings(self) -> None:
        for warning in self.task.warnings():
            say(f"warning: {warning}")
