"""Open what a user names for a diagnosis."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.diagnosis.case import MAPS, TARGETS, Case, ItemSource
from ..core.diagnosis.params import DiagnosisParams
from ..core.diagnosis.predicting import Predictor
from ..core.diagnosis.separating import Separator
from ..core.diagnosis.setup import Setup
from ..core.hv import HVConvention
from ..core.io.files import load_json, read_params
from ..core.types import Progress
from ..core.weights import BUILT_IN, offered
from ..errors import CheckpointError, InputError
from .diagnose_items import DataFound, find_items

AUGMENTATIONS = ("ours", "story", "none")
"""Augmentations that have a name."""
DEFAULT_LOSS = "default"
FEW_VALUES = 2
"""NP of so few values is a target, not a prediction."""
NOTHING = (
    "There is nothing to diagnose; give a model, data, a separation, a loss or an augmentation."
)


@dataclass(frozen=True)
class DiagnoseChoice:
    """What a user chooses: paths and names only.

    Parameters
    ----------
    model : str
        "compact" or a checkpoint file, "" = none.
    data : str
        See :func:`.diagnose_items.find_items`, "" = none.
    separation : str
        A preset's name, or a file of the tuner; "" = the default.
    family : str
        Organ family of the token decoder, "" = all.
    split : str, optional
        Only this split; the others are looked through for leaks.
    n_samples : int
        Images that go through the network.
    augmentation : str
        A name of :data:`AUGMENTATIONS`, or the folder of a training run; "" = not tested.
    loss : str
        "default", the folder of a training run, or a JSON file of loss parameters; "" = not
        tested.
    device : str
        "auto", "cpu", "cuda", "mps" ...
    convention : str
        What stored or given HV claims to be: a preset of ``HVConvention``; "" = [H, V] outward.

    Examples
    --------
    >>> DiagnoseChoice(model="compact").empty
    False
    """

    model: str = ""
    data: str = ""
    separation: str = ""
    family: str = ""
    split: str | None = None
    n_samples: int = 20
    augmentation: str = ""
    loss: str = ""
    device: str = "auto"
    convention: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is chosen."""
        return not any((self.model, self.data, self.separation, self.augmentation, self.loss))

    @property
    def params(self) -> DiagnosisParams:
        """How much is looked at."""
        if self.n_samples < 1:
            raise InputError(f"The number of samples is {self.n_samples}; give 1 or more.")
        plain = DiagnosisParams()
        return replace(plain, n_maps=self.n_samples, n_items=max(plain.n_items, self.n_samples))


@dataclass(frozen=True)
class Own:
    """A user's own code in place of something with a name; see :func:`open_steps`."""

    model: Any = None
    separation: Any = None
    augmentation: Any = None
    loss: Any = None

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return all(x is None for x in vars(self).values())


def open_steps(choice: DiagnoseChoice, own: Own | None = None) -> Generator[Progress, None, Case]:
    """Open what a user chose; images are read later, one at a time.

    Parameters
    ----------
    choice : DiagnoseChoice
    own : Own, optional
        Functions of the user's own, which count before names.

    Yields
    ------
    Progress

    Returns
    -------
    Case
        A checkpoint that is refused is its ``model_error``, for a check to say.

    Raises
    ------
    InputError
        If nothing is chosen, or something is not there or cannot be used.
    """
    own = own or Own()
    if choice.empty and own.empty:
        raise InputError(NOTHING)
    yield Progress(0, 0, "looking at the data")
    found = find_items(Path(choice.data), choice.family, choice.split) if choice.data else None
    notes = () if found is None else found.notes
    separator = Separator.of(own.separation if own.separation is not None
                             else _separation(choice.separation))  # fmt: skip
    loss = own.loss if own.loss is not None else _loss(choice.loss)
    augmentation = own.augmentation if own.augmentation is not None else _augmentation(
        choice.augmentation)  # fmt: skip
    yield Progress(0, 0, "loading the model")
    predictor, refused = _predictor(choice, own)
    kind = _kind(found, with_model=bool(predictor or refused))
    return Case(
        items=None if found is None else found.items,
        held_out=None if found is None else found.held_out,
        kind=kind,
        predictor=predictor,
        model_error=refused,
        separator=separator,
        loss=loss,
        augmentation=augmentation,
        n_types=_n_types(found, predictor),
        setup=_setup(choice.convention, kind),
        notes=notes,
    )


def _predictor(choice: DiagnoseChoice, own: Own) -> tuple[Predictor | None, str]:
    """Load the model; returns also why it is refused, "" if it is not."""
    from ..core.checkpoint import load_model  # noqa: PLC0415 - torch on first use

    if own.model is not None:
        return Predictor.of(own.model), ""
    if not choice.model:
        return None, ""
    if choice.model not in BUILT_IN and not Path(choice.model).is_file():
        names = " or ".join(map(repr, offered()))
        raise InputError(f"{choice.model} is not there; give {names}, or a checkpoint file.")
    try:
        return Predictor.of(load_model(choice.model, choice.device)), ""
    except CheckpointError as error:
        return None, str(error)


def _separation(name: str) -> Any:
    if not name:
        return None
    if Path(name).suffix.lower() == ".json":
        return read_params(name)
    return name


def _loss(name: str) -> Any:
    from ..core.params import LossParams, config_from_dict  # noqa: PLC0415 - on use
    from ..core.training.files import RunFolder  # noqa: PLC0415

    if not name:
        return None
    if name == DEFAULT_LOSS:
        return LossParams()
    path = Path(name)
    if path.is_dir():
        return RunFolder(path).read_config().loss
    if not path.is_file():
        raise InputError(
            f"loss is {name!r}; give {DEFAULT_LOSS!r}, the folder of a training run, or a JSON "
            "file of loss parameters."
        )
    values = load_json(path)
    if isinstance(values, dict) and "loss" in values:
        return config_from_dict(values, str(path)).loss
    return config_from_dict({"loss": values}, str(path)).loss


def _augmentation(name: str) -> Any:
    from ..core.training.files import RunFolder  # noqa: PLC0415 - on first use

    if not name or name in AUGMENTATIONS:
        return name or None
    if Path(name).is_dir():
        RunFolder(Path(name)).read_config()
        return AUGMENTATIONS[0]
    raise InputError(
        f"augmentation is {name!r}; choose {', '.join(AUGMENTATIONS)}, or give the folder of a "
        "training run."
    )


def _kind(found: DataFound | None, *, with_model: bool) -> str:
    """Tell predicted maps from stored targets."""
    if found is None:
        return MAPS
    if found.kind:
        return found.kind
    parts = found.items.parts
    if with_model:
        return TARGETS
    if "np" not in parts:
        return TARGETS if "hv" in parts else MAPS
    return TARGETS if _few_values(found.items) else MAPS


def _few_values(items: ItemSource) -> bool:
    try:
        first = np.asarray(items.read(0).np)
        return len(np.unique(first)) <= FEW_VALUES
    except (InputError, TypeError):
        return False


def _n_types(found: DataFound | None, predictor: Predictor | None) -> int | None:
    if predictor is not None and predictor.model is not None and predictor.model.info.types:
        return len(predictor.model.info.types)
    return None if found is None else found.n_types


def _setup(convention: str, kind: str) -> Setup:
    if not convention:
        return Setup()
    named = HVConvention.preset(convention)
    if kind == TARGETS:
        return Setup(target_order=named.order, target_sign=named.sign)
    return Setup(hv_order=named.order, hv_sign=named.sign)
