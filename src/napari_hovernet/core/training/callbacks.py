"""What happens around the steps: rates, epochs, scores, files, and what a run is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ..checkpoint import header
from ..model import Model
from .checkpointing import (
    Position,
    all_finite,
    random_state,
    save_product,
    save_resume,
    set_random_state,
)
from .control import Control
from .journal import Journal
from .module import HEADS_EVERY, Batch, Diverged, TrainingModule
from .params import TrainConfig
from .run_folder import RunFolder
from .schedule import rate
from .starting import Start
from .validation import Validator, remark, score_of

SAVE_SECONDS = 30.0
"""Most time between two resume files: what a killed run can lose."""
PACE_KEPT = 0.9
"""Weight of the past in the running mean of the time of a step."""


@dataclass(frozen=True, eq=False)
class Run:
    """What stays the same throughout a run.

    Parameters
    ----------
    folder : RunFolder
    config : TrainConfig
    start : Start
    validator : Validator
    steps_per_epoch : int
    fingerprint : str
        Of the data.
    """

    folder: RunFolder
    config: TrainConfig
    start: Start
    validator: Validator
    steps_per_epoch: int
    fingerprint: str

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.config.optim.epochs


class Pace:
    """How long a step takes, and how long the rest will."""

    def __init__(self) -> None:
        self.step_seconds = self.score_seconds = 0.0
        self._at = time.monotonic()

    def restart(self) -> float:
        """Start to measure; return the seconds since the last start."""
        now = time.monotonic()
        passed, self._at = now - self._at, now
        return passed

    def step(self) -> float:
        """Count a step; return its seconds."""
        passed = self.restart()
        kept = PACE_KEPT if self.step_seconds else 0.0
        self.step_seconds = kept * self.step_seconds + (1 - kept) * passed
        return passed

    def left(self, steps: int, epochs: int) -> float:
        """Return the seconds that steps and the scoring of epochs will take."""
        return steps * self.step_seconds + epochs * self.score_seconds


class Conductor(L.Callback):
    """Leads a run from where it stands to its end.

    Lightning sees one long row of steps; epochs are ours, so that a run can stop and go on
    anywhere. Everything that must survive is in ``position``, the weights and the random
    numbers.

    Parameters
    ----------
    run : Run
    position : Position
        Changed as the run goes on.
    control : Control
    journal : Journal
    resumed : mapping, optional
        The resume file of an interrupted run.

    Attributes
    ----------
    stopped : bool
        Whether the run was asked to stop before its end.
    """

    def __init__(
        self,
        run: Run,
        position: Position,
        control: Control,
        journal: Journal,
        resumed: dict[str, Any] | None = None,
    ) -> None:
        self.run, self.position, self.stopped = run, position, False
        self._control, self._journal, self._resumed = control, journal, resumed
        self._pace = Pace()
        self._saved = time.monotonic()

    @property
    def epoch(self) -> int:
        """Epoch (from 1) of the next step."""
        return self.position.step // self.run.steps_per_epoch + 1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Score what has not been scored, then put everything as it was."""
        module = _own(pl_module)
        self._control.listen()
        if self._resumed is not None and self._resumed["precision"]:
            trainer.precision_plugin.load_state_dict(self._resumed["precision"])
        self._journal.state("running")
        if self._resumed is not None:
            set_random_state(self._resumed["random"])
            self._resumed = None
        if self.position.scored < self.epoch - 1:
            self._end_epoch(trainer, module, self.epoch - 1)
        self._begin_epoch(module)
        self._obey(trainer, module)
        self._pace.restart()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the learning rate of the step."""
        module, step = _own(pl_module), self.position.step
        now = rate(self.run.config.optim, step, self.run.total)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = now
        module.compare_heads = self._journal.active and step % HEADS_EVERY == 0

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Drop the gradients of frozen weights, where several devices need them to exist."""
        if trainer.world_size > 1:
            for weight in _own(pl_module).freezer.frozen(self.epoch):
                weight.grad = None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count, tell, save and obey; end the epoch if this was its last step."""
        module, position = _own(pl_module), self.position
        epoch = self.epoch
        position.step += 1
        position.add({"total": module.told.total, **module.told.terms})
        position.seconds += self._pace.step()
        self._tell(trainer, module, epoch)
        if position.step % self.run.steps_per_epoch == 0:
            going_on = position.step < self.run.total
            if going_on:  # a run that is through needs no step to be scored again
                self._save(trainer, module)
            self._end_epoch(trainer, module, epoch)
            if going_on:
                self._begin_epoch(module)
        elif time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save(trainer, module)
        self._obey(trainer, module)
        self._pace.restart()

    def _begin_epoch(self, module: TrainingModule) -> None:
        epoch = min(self.epoch, self.run.config.optim.epochs)
        module.train()
        module.freezer.apply(epoch)

    def _tell(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        told, step, per_epoch = module.told, self.position.step, self.run.steps_per_epoch
        if not self._journal.active:
            return
        pace, config = self._pace, self.run.config
        images = config.optim.batch * trainer.world_size
        fields = {
            "epoch": epoch,
            "step": step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "total": told.total,
            "terms": told.terms,
            "shares": told.shares,
            "magnitude": told.magnitude,
            "true_magnitude": told.true_magnitude,
            "images_per_s": images / pace.step_seconds if pace.step_seconds else None,
            "eta_s": pace.left(self.run.total - step, config.optim.epochs - epoch + 1),
        }
        first_or_last = step % per_epoch in (0, 1) or per_epoch == 1
        self._journal.step(first_or_last or told.heads is not None, fields)
        if told.heads is not None:
            self._journal.write("heads", epoch=epoch, step=step, grad_share=told.heads)

    def _end_epoch(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        """Score the network, keep its models, and start the next epoch."""
        if not trainer.is_global_zero:
            self.position.scored = epoch
            self.position.next_epoch()
            trainer.strategy.barrier("scored")
            return
        began, position = time.monotonic(), self.position
        model = Model(module.network, self.run.start.info, module.device)
        val, preview = self.run.validator.score(model)
        self._pace.score_seconds = time.monotonic() - began
        train = position.means()
        seconds = position.seconds + self._pace.score_seconds
        entry = {"epoch": epoch, "train": train, "val": val, "seconds": seconds}
        position.history = [e for e in position.history if e["epoch"] < epoch] + [entry]
        score = score_of(val, train)
        best = position.best_epoch < 0 or score >= position.best_score
        if best:
            position.best_epoch, position.best_score = epoch, score
        if preview is not None:
            preview.write(self.run.folder.preview_of(epoch))
            self._journal.write(
                "preview", epoch=epoch, path=self._place(self.run.folder.preview_of(epoch))
            )
        self._keep_models(module, epoch, best)
        said = remark(epoch, self.run.config.optim.epochs, val.get("magnitude", float("nan")))
        self._journal.write("epoch", **entry, best=best, remark=said)
        position.scored = epoch
        position.next_epoch()
        self._journal.at(epoch, position.step)
        self._save(trainer, module)
        trainer.strategy.barrier("scored")

    def _keep_models(self, module: TrainingModule, epoch: int, best: bool) -> None:
        folder, config = self.run.folder, self.run.config
        kept = {"best": (best, folder.best), "last": (True, folder.last)}
        kept["epoch"] = (epoch in config.save_epochs, folder.model_of(epoch))
        for kind, (wanted, path) in kept.items():
            if wanted:
                history = self.position.history
                save_product(module.network, self.run.start.info, config, history, path)
                self._journal.write("checkpoint", epoch=epoch, path=self._place(path), kind=kind)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.run.folder.path).as_posix()

    def _save(self, trainer: L.Trainer, module: TrainingModule) -> None:
        """Write the resume file, unless the weights are spoilt."""
        self._saved = time.monotonic()
        if not trainer.is_global_zero:
            return
        if not all_finite(module):
            raise Diverged(
                "Weights became NaN or infinite: training stopped, the last good models are "
                "kept. Lower the learning rate, clip the gradient, or train in precision 32."
            )
        state = {
            "network": module.network.state_dict(),
            "loss": module.loss.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
            "random": random_state(),
            "position": vars(self.position),
            "header": header.dump(self.run.start.info),
            "typed": self.run.start.typed,
            "data": self.run.fingerprint,
            "steps_per_epoch": self.run.steps_per_epoch,
        }
        save_resume(self.run.folder.resume_file, state)

    def _obey(self, trainer: L.Trainer, module: TrainingModule) -> None:
        """Pause or stop if that is asked for."""
        command = self._asked(trainer)
        if command == "pause":
            self._save(trainer, module)
            self._journal.state("paused", "Paused between two steps; it keeps its memory.")
            command = self._asked(trainer, wait=True)
            if command != "stop":
                self._journal.state("running")
        if command == "stop" and self.position.step < self.run.total and not self.stopped:
            self.stopped = True
            trainer.should_stop = True
            self._save(trainer, module)
            if trainer.is_global_zero:
                folder, position = self.run.folder, self.position
                info, config = self.run.start.info, self.run.config
                save_product(module.network, info, config, position.history, folder.last)
                self._journal.at(self.epoch, position.step)

    def _asked(self, trainer: L.Trainer, wait: bool = False) -> str:
        """Return the command, the same in all processes."""
        command = self._control.wait() if wait else self._control.command()
        if trainer.world_size == 1:
            return command
        told: str = trainer.strategy.broadcast(command)
        return told


def _own(module: L.LightningModule) -> TrainingModule:
    if not isinstance(module, TrainingModule):
        raise TypeError(f"{type(module).__name__} is no TrainingModule.")
    return module
