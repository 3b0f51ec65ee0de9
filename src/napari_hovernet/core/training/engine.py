"""A training run from its folder to its end; lives in a process of its own."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ... import __version__
from ...errors import InputError, UserError
from .. import devices
from ..losses import HoverLoss
from .checkpointing import Position, load_resume, seed_everything
from .control import Control
from .dataset import CropDataset
from .journal import Journal
from .loading import Steps, Stream, loader
from .params import TrainConfig, config_as_dict
from .run_folder import RunFolder
from .samples import LoadedData
from .sources import load_samples
from .starting import Start, needs_of, restored, start_of

if TYPE_CHECKING:
    from .callbacks import Conductor, Run

LIGHTNING_PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
"""Lightning's names of our precisions."""
PRECISIONS = {"auto": "auto", "32": "float32", "bf16": "bfloat16", "16": "float16"}
"""Names in the configuration, and those of :mod:`napari_hovernet.core.devices`."""
ADVICE = (
    r"The 'train_dataloader' does not have many workers",
    r".*in eval mode",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Beginnings of Lightning's warnings that say nothing to a user."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""Variables by which launchers number processes; the one with zeros alone tells and writes."""
DONE, FAILED = 0, 1
"""Exit statuses."""

log = logging.getLogger(__name__)


def run_training(folder: RunFolder, *, resume: bool = False) -> int:
    """Train as the folder's configuration says, and write everything into the folder.

    Parameters
    ----------
    folder : RunFolder
        With its ``config.json``.
    resume : bool
        Go on from ``checkpoints/last.ckpt`` where there is one; on one CPU the run then ends
        bit for bit as if it had never been interrupted. Else it begins anew.

    Returns
    -------
    int
        Exit status: 0 = done, or stopped on request; 1 = failed. What failed is in the
        events and in the status.

    Notes
    -----
    The run is steered by the folder's ``control.json`` and by SIGTERM (stop after the step).
    """
    first = all(os.environ.get(name, "0") in {"", "0"} for name in RANKS)
    try:
        journal = Journal(folder, active=first)
    except UserError as error:
        log.error("%s", error)
        return FAILED
    config: TrainConfig | None = None
    try:
        config = folder.read_config()
        return _trained(folder, config, journal, resume)
    except Exception as error:
        if not isinstance(error, UserError):
            log.exception("The training failed.")
        journal.failed(_described(error, config))
        return FAILED
    finally:
        journal.close()


def _trained(folder: RunFolder, config: TrainConfig, journal: Journal, resume: bool) -> int:
    control = Control(folder, journal.active)
    with control.signals(), _quiet():
        journal.state("starting")
        conductor, message = _run(folder, config, (control, journal), resume)
        control.answered()
        journal.end("stopped" if conductor.stopped else "done", message)
    return DONE


def _run(
    folder: RunFolder, config: TrainConfig, desk: tuple[Control, Journal], resume: bool
) -> tuple[Conductor, str]:
    from .callbacks import Conductor  # noqa: PLC0415 - Lightning takes seconds to import

    control, journal = desk
    if config.threads:
        torch.set_num_threads(config.threads)
    device = devices.resolve_device(config.device)
    precision = devices.choose_precision(device, PRECISIONS[config.precision])
    data = load_samples(config.data, needs=needs_of(config.start), seed=config.seed)
    refuse_faults(data)
    found = load_resume(folder.resume_file) if resume and folder.resume_file.exists() else None
    if found is None and journal.active:
        folder.resume_file.unlink(missing_ok=True)
    start = _start(config, data, found)
    loss = HoverLoss.from_params(config.loss)
    if found is not None:
        loss.load_state_dict(found["loss"])
    crops = crops_of(config, data, start)
    run = _made_run(folder, config, data, (start, loss, crops))
    position = _position(found, run)
    if journal.active:
        run.validator.write_pinned(folder.path / "preview" / "image.npz")
        journal.write("start", **_announced(run, data, device, position))
    conductor = Conductor(run, position, control, journal, found)
    if position.step < run.total:
        seed_everything(config.seed)
        _fit(conductor, crops, (loss, found), (device, precision))
    return conductor, _outcome(conductor)


def _start(config: TrainConfig, data: LoadedData, found: Mapping[str, Any] | None) -> Start:
    if found is None:
        start = start_of(config, data)
    else:
        start = restored(found["header"], found["network"], bool(found["typed"]))
    start.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return start


def _made_run(
    folder: RunFolder,
    config: TrainConfig,
    data: LoadedData,
    parts: tuple[Start, HoverLoss, CropDataset],
) -> Run:
    from .callbacks import Run  # noqa: PLC0415 - Lightning takes seconds to import
    from .validation import Validator  # noqa: PLC0415

    start, loss, crops = parts
    per_step = config.optim.batch * config.devices * config.num_nodes
    return Run(
        folder=folder,
        config=config,
        start=start,
        validator=Validator(data.val, loss, start.n_types, config.data.max_val),
        steps_per_epoch=len(crops) // per_step,
        fingerprint=fingerprint(data),
    )


def _fit(
    conductor: Conductor,
    crops: CropDataset,
    learning: tuple[HoverLoss, Mapping[str, Any] | None],
    where: tuple[torch.device, str],
) -> None:
    import lightning as L  # noqa: PLC0415 - takes seconds

    from .module import TrainingModule  # noqa: PLC0415

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    (loss, found), (device, precision) = learning, where
    run, config = conductor.run, conductor.run.config
    optimizer_state = None if found is None else found["optimizer"]
    module = TrainingModule(run.start, loss, config.optim, optimizer_state)
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


def crops_of(config: TrainConfig, data: LoadedData, start: Start) -> CropDataset:
    """Make the crops of one epoch: whole steps, of a size that the network can take.

    Raises
    ------
    InputError
        If there is nothing to train on.
    """
    crop = start.network.geometry.legal(config.data.crop)
    fitting = replace(config.data, crop=crop)
    per_step = config.optim.batch * config.devices * config.num_nodes
    steps = config.optim.steps_per_epoch
    crops = CropDataset(
        data.train,
        fitting,
        config.augment,
        config.seed,
        length=None if steps is None else steps * per_step,
        n_types=start.n_types,
    )
    crops.length = math.ceil(len(crops) / per_step) * per_step
    return crops


def refuse_faults(data: LoadedData) -> None:
    """Refuse data that the check finds unfit.

    Raises
    ------
    InputError
        Naming the faults.
    """
    if data.faults:
        raise InputError(" ".join(data.faults))


def fingerprint(data: LoadedData) -> str:
    """Tell data sets apart by the names of their samples, in their order.

    Examples
    --------
    >>> fingerprint(LoadedData((), ()))[:8]
    'f5a5fd42'
    """
    said = [[sample.name for sample in part] for part in (data.train, data.val)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _position(found: Mapping[str, Any] | None, run: Run) -> Position:
    """Return where to begin; refuse to go on with other data or other epochs."""
    if found is None:
        return Position()
    if found["data"] != run.fingerprint:
        raise InputError(
            "The data are not those the run began with (other images, or another order): put "
            f"them back, or start a new run from {run.folder.best.name} of this one."
        )
    if found["steps_per_epoch"] != run.steps_per_epoch:
        raise InputError(
            f"An epoch had {found['steps_per_epoch']} steps when the run began and has "
            f"{run.steps_per_epoch} now: put batch, crop and data back, or start a new run from "
            f"{run.folder.best.name} of this one."
        )
    return Position(**found["position"])


def _announced(
    run: Run, data: LoadedData, device: torch.device, position: Position
) -> dict[str, Any]:
    config, start = run.config, run.start
    return {
        "run": run.folder.name,
        "pid": os.getpid(),
        "version": __version__,
        "device": _device_words(device),
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


def _device_words(device: torch.device) -> str:
    known = {info.name: info.label for info in devices.list_devices()}
    named = known.get(str(device)) or next((v for k, v in known.items() if str(device) in k), "")
    return f"{device}: {named}" if named else str(device)


def _outcome(conductor: Conductor) -> str:
    position, run = conductor.position, conductor.run
    if conductor.stopped:
        return (
            f"Stopped on request after step {position.step} of {run.total}; it can be resumed "
            "from there."
        )
    best = position.best_epoch
    before = " (before training: it never got better)" if best == 0 else ""
    return f"Done: {run.total} steps; the best model is that of epoch {best}{before}."


def _described(error: Exception, config: TrainConfig | None) -> dict[str, str]:
    """Turn what was raised into an "error" event: what happened, and what to do."""
    term = str(getattr(error, "term", ""))
    if devices.is_out_of_memory(error):
        return {"message": _memory_words(config), "term": "", "kind": "out of memory"}
    if isinstance(error, UserError):
        return {"message": str(error), "term": term, "kind": type(error).__name__}
    first = (str(error).strip().splitlines() or [""])[0]
    message = f"The training failed ({type(error).__name__}: {first}); the log tells where."
    return {"message": message, "term": "", "kind": type(error).__name__}


def _memory_words(config: TrainConfig | None) -> str:
    sizes = "" if config is None else f" (now {config.optim.batch} crops of {config.data.crop} px)"
    return (
        f"Out of memory: lower the batch or the crop{sizes}, close other programs that use the "
        "device, or choose another one; then start the run anew, or a new one from its last model."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the advice Lightning gives to people who write training loops."""
    with warnings.catch_warnings():
        for advice in ADVICE:
            warnings.filterwarnings("ignore", message=advice)
        yield
