"""A training run from its folder to its end; lives in a process of its own."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch

from ..._version import __version__
from ...errors import InputError, UserError, is_out_of_memory
from ..checkpoint import header
from ..data.samples import LoadedData
from ..inference import devices
from ..losses import HoverLoss
from ..params import TrainConfig, config_as_dict
from ..types import Model
from .check import load_data
from .crops import CropDataset, Steps, Stream, loader
from .files import Journal, RunFolder, is_first
from .module import Batch, Diverged, Start, TrainingModule, rate, restored, start_of
from .resume import (
    Position,
    all_finite,
    changed_data,
    check_position,
    check_random_state,
    fingerprint,
    load_resume,
    random_state,
    resume_named,
    save_product,
    save_resume,
    seed_everything,
    set_random_state,
)
from .validation import Validator, remark, score_of

POLL_SECONDS = 0.2
"""Least time between two looks at the file; also how long a paused run sleeps at a time."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that ask a run to stop after its step."""
SAVE_SECONDS = 30.0
"""Most time between two resume files: what a killed run can lose."""
HEADS_EVERY = 25
"""Steps from one comparison of the heads' gradients to the next; each costs about a third
of a step."""
PACE_KEPT = 0.9
"""Weight of the past in the running mean of the time of a step."""
PRECISIONS = {"auto": "auto", "32": "float32", "bf16": "bfloat16", "16": "float16"}
"""Names in the configuration, and those of :mod:`napari_hovernet.core.inference.devices`."""
LIGHTNING_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
ADVICE = (
    r"The 'train_dataloader' does not have many workers",
    r".*in eval mode",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Beginnings of Lightning's warnings that say nothing to a user."""
DONE, FAILED = 0, 1
"""Exit statuses."""

log = logging.getLogger(__name__)


class Control:
    """What a run is asked for, by its file or by a signal."""

    def __init__(self, folder: RunFolder, active: bool = True) -> None:
        self._folder, self._active = folder, active
        self._signalled = False
        self._looked = 0.0
        self._command = ""
        self._before: dict[signal.Signals, Any] = {}

    def command(self, now: bool = False) -> str:
        """Return what is asked for: "pause", "stop", "resume" or ""."""
        if self._signalled:
            return "stop"
        moment = time.monotonic()
        if self._active and (now or moment - self._looked >= POLL_SECONDS):
            self._looked = moment
            self._command = self._folder.read_command()
        return self._command

    def wait(self) -> str:
        """Sleep while a pause is asked for; return what ended it."""
        while (command := self.command(now=True)) == "pause":
            time.sleep(POLL_SECONDS)
        return command

    def answered(self) -> None:
        """Take the command away once the run has ended: it is not meant for the next one."""
        if self._active:
            self._folder.control_file.unlink(missing_ok=True)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take a signal to end for a request to stop; a second one acts as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals (again: Lightning puts handlers of its own in their place)."""
        if self._before and not self._signalled:
            for number in SIGNALS:
                signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        before = self._before.get(signal.Signals(number), signal.SIG_DFL)
        signal.signal(number, before if before is not None else signal.SIG_DFL)


def run_training(folder: RunFolder, *, resume: bool = False) -> int:
    """Train as the folder's configuration says, and write everything into the folder."""
    try:
        journal = Journal(folder, active=is_first())
    except UserError as error:
        log.error("%s", error)
        return FAILED
    config: TrainConfig | None = None
    control = Control(folder, journal.active)
    try:
        config = folder.read_config()
        with control.signals(), warnings.catch_warnings():
            for advice in ADVICE:
                warnings.filterwarnings("ignore", message=advice)
            journal.state("starting")
            conductor = _run(folder, config, control, journal, resume)
            control.answered()
            journal.end("stopped" if conductor.stopped else "done", _outcome(conductor))
        return DONE
    except Exception as error:
        if not isinstance(error, UserError):
            log.exception("The training failed.")
        journal.failed(_described(error, config))
        return FAILED
    finally:
        journal.close()


@dataclass(frozen=True, eq=False)
class Run:
    """What stays the same throughout a run."""

    folder: RunFolder
    config: TrainConfig
    start: Start
    validator: Validator
    steps_per_epoch: int
    fingerprint: Mapping[str, str]  # Of the data, by sample

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.steps_per_epoch * self.config.optim.epochs


def _run(
    folder: RunFolder, config: TrainConfig, control: Control, journal: Journal, resume: bool
) -> Conductor:
    if config.threads:
        torch.set_num_threads(config.threads)
    device = devices.resolve_device(config.device)
    precision = devices.choose_precision(device, PRECISIONS[config.precision])
    data = load_data(config)
    if data.faults:
        raise InputError(" ".join(data.faults))
    found = load_resume(folder.resume_file) if resume and folder.resume_file.exists() else None
    if found is None and journal.active:
        folder.resume_file.unlink(missing_ok=True)
    loss = HoverLoss.from_params(config.loss)
    if found is None:
        start = start_of(config, data)
    else:
        with resume_named(folder.resume_file):
            start = restored(found["header"], found["network"], bool(found["typed"]))
            loss.load_state_dict(found["loss"])
            if not (all_finite(start.network) and all_finite(loss)):
                raise ValueError("its weights hold NaN or infinite values")
            check_random_state(found["random"])
    start.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    crops = crops_of(config, data, start)
    validator = Validator(data.val, loss, start.n_types, config.data.max_val)
    steps = len(crops) // _per_step(config)
    run = Run(folder, config, start, validator, steps, fingerprint(data))
    with resume_named(folder.resume_file):
        position = _position(found, run)
    if journal.active:
        validator.write_pinned(folder.pinned)
        journal.write("start", **_announced(run, data, device, position))
    conductor = Conductor(run, position, control, journal, found)
    if position.step < run.total:
        seed_everything(config.seed)
        optimizer = None if found is None else found["optimizer"]
        module = TrainingModule(start, loss, config.optim, optimizer)
        _fit(conductor, module, crops, device, precision)
    return conductor


def _fit(
    conductor: Conductor,
    module: TrainingModule,
    crops: CropDataset,
    device: torch.device,
    precision: str,
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    run, config = conductor.run, conductor.run.config
    several = config.devices * config.num_nodes > 1
    module.freezer.apply(min(conductor.epoch, config.optim.epochs))
    trainer = L.Trainer(
        accelerator=device.type,
        devices=config.devices if several or device.index is None else [device.index],
        num_nodes=config.num_nodes,
        precision=LIGHTNING_PRECISION[precision],  # type: ignore[arg-type]
        strategy="ddp" if several else "auto",
        max_epochs=1,
        gradient_clip_val=config.optim.clip or None,
        callbacks=[conductor],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=run.folder.path,
    )
    rank, world = trainer.global_rank, trainer.world_size
    steps = Steps(conductor.position.step, run.total, config.optim.batch, rank, world)
    stream = Stream(crops, config.optim.epochs)
    pin = devices.pins_memory(device)
    trainer.fit(module, loader(stream, steps, config.num_workers, pin))


def _per_step(config: TrainConfig) -> int:
    """Crops of one step on all devices."""
    return config.optim.batch * config.devices * config.num_nodes


def crops_of(config: TrainConfig, data: LoadedData, start: Start) -> CropDataset:
    """Make the crops of one epoch: whole steps, of a size that the network can take."""
    crop = start.network.geometry.legal(config.data.crop)
    per_step, steps = _per_step(config), config.optim.steps_per_epoch
    crops = CropDataset(
        data.train,
        replace(config.data, crop=crop),
        config.augment,
        config.seed,
        length=None if steps is None else steps * per_step,
        n_types=start.n_types,
    )
    crops.length = math.ceil(len(crops) / per_step) * per_step
    return crops


def _position(found: Mapping[str, Any] | None, run: Run) -> Position:
    """Return where to begin; refuse to go on with other data or other epochs."""
    if found is None:
        return Position()
    if difference := changed_data(found["data"], run.fingerprint):
        raise InputError(
            f"The data are not those the run began with ({difference}): put them back, or start a "
            f"new run from {run.folder.best.name} of this one."
        )
    if found["steps_per_epoch"] != run.steps_per_epoch:
        raise InputError(
            f"An epoch had {found['steps_per_epoch']} steps when the run began and has "
            f"{run.steps_per_epoch} now: put batch, crop and data back, or start a new run from "
            f"{run.folder.best.name} of this one."
        )
    missing = [f.name for f in fields(Position) if f.name not in found["position"]]
    if missing:
        raise ValueError(f"its position lacks {', '.join(missing)}")
    position = Position(**found["position"])
    check_position(position, run.total, run.steps_per_epoch)
    return position


def _announced(
    run: Run, data: LoadedData, device: torch.device, position: Position
) -> dict[str, Any]:
    config, start = run.config, run.start
    known = {info.name: info.label for info in devices.list_devices()}
    label = known.get(str(device)) or next((v for k, v in known.items() if str(device) in k), "")
    return {
        "run": run.folder.name,
        "pid": os.getpid(),
        "version": __version__,
        "device": f"{device}: {label}" if label else str(device),
        "epochs": config.optim.epochs,
        "steps_per_epoch": run.steps_per_epoch,
        "batch": config.optim.batch,
        "parameters": sum(p.numel() for p in start.network.parameters()),
        "train_images": len(data.train),
        "val_images": len(run.validator.samples),
        "notes": [*data.notes, *data.problems, *start.notes],
        "resumed_epoch": position.step // run.steps_per_epoch if position.step else 0,
        "resumed_step": position.step,
        "config": config_as_dict(config),
    }


def _outcome(conductor: Conductor) -> str:
    position, total = conductor.position, conductor.run.total
    if conductor.stopped:
        return (
            f"Stopped on request after step {position.step} of {total}; it can be resumed from "
            "there."
        )
    best = position.best_epoch
    before = " (before training: it never got better)" if best == 0 else ""
    return f"Done: {total} steps; the best model is that of epoch {best}{before}."


def _described(error: Exception, config: TrainConfig | None) -> dict[str, str]:
    """Turn what was raised into an "error" event: what happened, and what to do."""
    kind, message = type(error).__name__, str(error)
    if is_out_of_memory(error):
        sizes = f" (now {config.optim.batch} crops of {config.data.crop} px)" if config else ""
        kind = "out of memory"
        message = (
            f"Out of memory: lower the batch or the crop{sizes}, close other programs that use "
            "the device, or choose another one; then start the run anew, or a new one from its "
            "last model."
        )
    elif not isinstance(error, UserError):
        first = (message.strip().splitlines() or [""])[0]
        message = f"The training failed ({kind}: {first}); the log tells where."
    return {"message": message, "term": str(getattr(error, "term", "")), "kind": kind}


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
    """Leads a run from where it stands to its end; Lightning sees one long row of steps."""

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
        """Count, log, save and obey; end the epoch if this was its last step."""
        module, position = _own(pl_module), self.position
        epoch = self.epoch
        position.step += 1
        position.add({"total": module.numbers.total, **module.numbers.terms})
        position.seconds += self._pace.step()
        self._log(trainer, module, epoch)
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
        module.train()
        module.freezer.apply(min(self.epoch, self.run.config.optim.epochs))

    def _log(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        if not self._journal.active:
            return
        numbers, step, per_epoch = module.numbers, self.position.step, self.run.steps_per_epoch
        pace, optim = self._pace, self.run.config.optim
        images = optim.batch * trainer.world_size
        fields = {
            "epoch": epoch,
            "step": step,
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "total": numbers.total,
            "terms": numbers.terms,
            "shares": numbers.shares,
            "magnitude": numbers.magnitude,
            "true_magnitude": numbers.true_magnitude,
            "images_per_s": images / pace.step_seconds if pace.step_seconds else None,
            "eta_s": pace.left(self.run.total - step, optim.epochs - epoch + 1),
        }
        first_or_last = step % per_epoch in (0, 1) or per_epoch == 1
        self._journal.step(first_or_last or numbers.heads is not None, fields)
        if numbers.heads is not None:
            self._journal.write("heads", epoch=epoch, step=step, grad_share=numbers.heads)

    def _end_epoch(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        """Score the network, keep its models, and start the next epoch."""
        if trainer.is_global_zero:
            self._score(trainer, module, epoch)
        else:
            self.position.end_epoch(epoch)
        trainer.strategy.barrier("scored")

    def _score(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        began, position, folder = time.monotonic(), self.position, self.run.folder
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
            preview.write(folder.preview_of(epoch))
            self._journal.write("preview", epoch=epoch, path=self._place(folder.preview_of(epoch)))
        kept = {"best": (best, folder.best), "last": (True, folder.last)}
        kept["epoch"] = (epoch in self.run.config.save_epochs, folder.model_of(epoch))
        for kind, (wanted, path) in kept.items():
            if wanted:
                self._save_model(module, path)
                self._journal.write("checkpoint", epoch=epoch, path=self._place(path), kind=kind)
        advice = remark(epoch, self.run.config.optim.epochs, val.get("magnitude", math.nan))
        self._journal.write("epoch", **entry, best=best, remark=advice)
        position.end_epoch(epoch)
        self._journal.at(epoch, position.step)
        self._save(trainer, module)

    def _place(self, path: Path) -> str:
        return path.relative_to(self.run.folder.path).as_posix()

    def _save_model(self, module: TrainingModule, path: Path) -> None:
        info, config = self.run.start.info, self.run.config
        save_product(module.network, info, config, self.position.history, path)

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
            "data": dict(self.run.fingerprint),
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
                self._save_model(module, self.run.folder.last)
                self._journal.at(self.epoch, self.position.step)

    def _asked(self, trainer: L.Trainer, wait: bool = False) -> str:
        """Return the command, the same in all processes."""
        command = self._control.wait() if wait else self._control.command()
        if trainer.world_size == 1:
            return command
        same: str = trainer.strategy.broadcast(command)
        return same


def _own(module: L.LightningModule) -> TrainingModule:
    if not isinstance(module, TrainingModule):
        raise TypeError(f"{type(module).__name__} is no TrainingModule.")
    return module
