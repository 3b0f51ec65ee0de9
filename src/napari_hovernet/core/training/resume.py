"""What a training run has to remember to go on bit for bit, and the models it leaves."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import CheckpointError, UserError, is_out_of_memory, plain
from ..checkpoint import save_model
from ..checkpoint.header import finite
from ..data.items import evenly, listed
from ..data.samples import LoadedData, Sample
from ..io.files import write_whole
from ..networks.registry import Network
from ..params import TrainConfig, config_as_dict
from ..types import Model, ModelInfo
from .files import folder_for

SCHEMA = 1
"""Version of the form of a resume file; others are refused."""
PARTS = ("network", "loss", "optimizer", "precision", "random", "position", "header", "data")
"""What a resume file must hold beside its schema."""
FAMILY = "optimus"
"""Architecture whose checkpoints other programs of its family read as well."""
EARLIER = "earlier"
"""Where the training arguments of the starting model are kept."""


@dataclass
class Position:
    """Where a run stands; everything about it that is neither weights nor random numbers."""

    step: int = 0  # Steps done
    scored: int = -1  # Last epoch that was validated
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = -1  # Epoch of the best model so far, -1 = none yet
    best_score: float = 0.0  # Its score
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0  # Steps in ``sums``
    seconds: float = 0.0  # Time spent in the present epoch

    def add(self, terms: Mapping[str, float]) -> None:
        """Count the loss terms of a step."""
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.counted += 1

    def means(self) -> dict[str, float]:
        """Mean loss terms of the present epoch; {} before its first step."""
        return {name: value / self.counted for name, value in self.sums.items()}

    def end_epoch(self, epoch: int) -> None:
        """Note that an epoch was scored, and start counting anew."""
        self.scored, self.sums, self.counted, self.seconds = epoch, {}, 0, 0.0


def random_state() -> dict[str, Any]:
    """Take down where the random numbers of torch, numpy and Python stand."""
    kind, keys, place, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            "kind": str(kind),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "rest": (int(place), int(has_gauss), float(cached)),
        },
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to where :func:`random_state` was called."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    numpy = state["numpy"]
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["kind"], keys, *numpy["rest"]))  # noqa: NPY002
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))


def seed_everything(seed: int) -> None:
    """Start the random numbers of torch, numpy and Python from a seed."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


def save_resume(path: Path, state: Mapping[str, Any]) -> None:
    """Write a resume file: to a temporary name, flushed, then put in place."""
    buffer = io.BytesIO()  # in memory first: torch turns a full disk into a RuntimeError
    torch.save({"schema": SCHEMA, **state}, buffer)
    folder_for(path)
    write_whole(path, buffer.getvalue())


MOST_STEPS = 1e8
"""No training has so many."""
HASHED = 512
"""Samples whose content is looked at; of more, so many evenly spread."""


def fingerprint(data: LoadedData) -> dict[str, str]:
    """Hash the content of each sample, by part and name, in their order; of some only the name."""
    every = [(f"{part}/{s.name}", s) for part in ("train", "val") for s in getattr(data, part)]
    looked = set(evenly(len(every), HASHED))
    return {name: _digest(sample) if i in looked else "" for i, (name, sample) in enumerate(every)}


def _digest(sample: Sample) -> str:
    made = hashlib.blake2b(digest_size=8)
    for array in vars(sample.arrays).values():
        if array is not None:
            made.update(f"{array.dtype}{array.shape}".encode())
            made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def changed_data(before: Any, now: Mapping[str, str]) -> str:
    """Say in which samples data differ, "" if they do not; older files know no content."""
    if isinstance(before, str):
        names = [[n.partition("/")[2] for n in now if n.startswith(f"{part}/")]
                 for part in ("train", "val")]  # fmt: skip
        alike = before == hashlib.sha256(repr(names).encode()).hexdigest()
        return "" if alike else "other images, or another order"
    if not isinstance(before, Mapping) or list(before) != list(now):
        return "other images, or another order"
    other = [name.partition("/")[2] for name, digest in now.items() if before[name] != digest]
    if not other:
        return ""
    return f"{len(other)} of {len(now)} images or their labels have changed: {plain(listed(other))}"


@contextmanager
def resume_named(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a resume file is used into its name and what to do."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, CheckpointError)
        if is_out_of_memory(error) or (isinstance(error, UserError) and not known):
            raise
        what = str(error) if known else f"{type(error).__name__}: {plain(error, 80)}"
        raise CheckpointError(
            f"{path} cannot be used ({what}); start a new run from best.safetensors beside it."
        ) from error


def check_position(position: Position, total: int, per_epoch: int) -> None:
    """Refuse a position that no run of this length can have."""
    whole = [position.step, position.scored, position.best_epoch, position.counted]
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in whole):
        raise ValueError("its position holds no whole numbers")
    epochs, done = total // per_epoch, position.step // per_epoch
    fits = 0 <= position.step <= total and -1 <= position.scored <= done <= epochs
    fits &= -1 <= position.best_epoch <= position.scored and 0 <= position.counted <= per_epoch
    if not fits or not isinstance(position.sums, dict):
        raise ValueError(f"step {position.step} of {total}, epoch {position.scored} scored")
    told = [entry["epoch"] for entry in position.history]
    if told != sorted(set(told)) or (told[-1] if told else 0) != max(position.scored, 0):
        raise ValueError(f"epochs {told[-3:]} are told, {position.scored} was scored last")


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Go on with the optimiser of a resume file, if it is one of these weights."""
    with resume_named(Path("The resume file")):
        optimizer.load_state_dict(dict(state))
        for group in optimizer.param_groups:
            for weight in group["params"]:
                kept = optimizer.state.get(weight, {})
                moments = [kept[name] for name in ("exp_avg", "exp_avg_sq") if kept]
                fits = (m.shape == weight.shape and finite(m.cpu()) for m in moments)
                if not all(fits):
                    raise ValueError("its optimiser is not one of these weights")
                if kept and not 0 < float(kept["step"]) < MOST_STEPS:
                    raise ValueError(f"its optimiser stands at step {float(kept['step']):g}")


def check_random_state(state: Mapping[str, Any]) -> None:
    """Try the random numbers of a resume file, and go back."""
    before = random_state()
    try:
        set_random_state(state)
    finally:
        set_random_state(before)


def load_resume(path: Path) -> dict[str, Any]:
    """Read a resume file; never runs code in it."""
    with resume_named(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path} was written by another version; start a new run from best.safetensors."
        )
    missing = [name for name in PARTS if name not in state]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; start the run anew.")
    return state


def all_finite(module: nn.Module) -> bool:
    """Tell whether all weights and buffers are finite."""
    values = module.state_dict().values()
    return all(finite(value.cpu()) for value in values if value.is_floating_point())


def save_product(
    network: Network,
    info: ModelInfo,
    config: TrainConfig,
    history: Sequence[Mapping[str, Any]],
    path: Path,
) -> None:
    """Write a model with all that is known of its training; a token decoder also as ``.pth``."""
    training: dict[str, Any] = config_as_dict(config)
    before = {k: v for k, v in info.training.items() if k != EARLIER}
    if before:
        training[EARLIER] = before
    described = replace(info, training=training, history=tuple(history))
    folder_for(path)
    model = Model(network, described, torch.device("cpu"))
    save_model(model, path)
    if described.architecture == FAMILY:
        save_model(model, path.with_suffix(".pth"))
