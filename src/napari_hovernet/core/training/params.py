"""Every choice of a training run, checked, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from ...errors import InputError

SCHEMA = 1
"""Version of the form in which a configuration is written."""
FREEZING = ("nothing", "encoder", "all but heads", "two phases")
SCHEDULES = ("constant", "cosine", "step")
PRECISIONS = ("auto", "32", "bf16", "16")
SCRATCH = "scratch:"
"""Prefix of a starting point that is not a file: "scratch:compact" is an untrained network."""

T = TypeVar("T")


@dataclass(frozen=True)
class LossParams:
    """Weights of the loss.

    ``total = lambda_np np + lambda_hv hv + lambda_nt nt`` with
    ``hv = hv_mse + lambda_gradient hv_gradient + lambda_magnitude hv_magnitude``.

    Parameters
    ----------
    lambda_np, lambda_hv, lambda_nt : float
        Weights of the heads, 0 or more.
    lambda_gradient : float
        Weight, within HV, of the error of its derivative.
    lambda_magnitude : float
        Weight, within HV, of the error of its length. It buys length, not direction.
    epsilon : float
        Added under the root of the magnitude; 1e-6 survives float16.
    dice_smooth : float
        Added to both sides of the Dice fraction.
    nt_inside_only : bool
        Count the type loss in nuclei alone, not over the background.
    adaptive : bool
        Weigh the heads by learned ``s``: ``sum exp(-s_i) L_i + s_i``.

    Raises
    ------
    InputError
        If a weight is negative, infinite or NaN, or an epsilon is not above 0.
    """

    lambda_np: float = 1.0
    lambda_hv: float = 2.0
    lambda_nt: float = 1.0
    lambda_gradient: float = 1.0
    lambda_magnitude: float = 1.0
    epsilon: float = 1e-6
    dice_smooth: float = 1e-5
    nt_inside_only: bool = True
    adaptive: bool = False

    def __post_init__(self) -> None:
        for name in ("lambda_np", "lambda_hv", "lambda_nt", "lambda_gradient", "lambda_magnitude"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; give a finite number, 0 or more.")
        for name in ("epsilon", "dice_smooth"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}; give a small number above 0, like 1e-6.")


LOSS_PRESETS: Mapping[str, LossParams] = {
    "default": LossParams(),
    "expert fix": LossParams(lambda_hv=3.0, lambda_gradient=3.0, lambda_magnitude=5.0),
    "before the fix": LossParams(lambda_hv=2.0, lambda_gradient=2.0, lambda_magnitude=1.0),
    "published HoVer-Net": LossParams(lambda_hv=1.0, lambda_gradient=1.0, lambda_magnitude=0.0),
}
"""Weights by name; the second and third are those of the story (see the documentation)."""


@dataclass(frozen=True)
class AugmentParams:
    """How crops are varied; probabilities in 0..1, ranges uniform unless said otherwise.

    Parameters
    ----------
    on : bool
        Whether anything is varied at all; off = crops as they are.
    flips : bool
        Flips and quarter turns.
    p_rotate : float
        Free rotation.
    scale : tuple of float
        Factors of magnification, log-uniform.
    p_stain : float
        Other stain strengths, in optical density.
    stain_gain : tuple of float
        Factors of each stain.
    stain_vectors : float
        Spread of the stain vectors themselves (0 = kept).
    p_tone, p_blur, p_noise, p_jpeg : float
        Gamma, white balance and contrast; blur; noise; JPEG.
    """

    on: bool = True
    flips: bool = True
    p_rotate: float = 0.5
    scale: tuple[float, float] = (0.8, 1.25)
    p_stain: float = 0.6
    stain_gain: tuple[float, float] = (0.6, 1.5)
    stain_vectors: float = 0.05
    p_tone: float = 0.5
    p_blur: float = 0.2
    p_noise: float = 0.2
    p_jpeg: float = 0.1

    def __post_init__(self) -> None:
        for name in ("p_rotate", "p_stain", "p_tone", "p_blur", "p_noise", "p_jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number in 0..1.")
        for name in ("scale", "stain_gain"):
            low, high = _pair(name, getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if not 0 < low <= high < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 < low <= high.")
        if not 0 <= self.stain_vectors < 1:
            raise InputError(f"stain_vectors is {self.stain_vectors}; give 0 up to 1.")


@dataclass(frozen=True)
class DataParams:
    """What to train on.

    Parameters
    ----------
    sources : tuple of str
        Files and folders: an index.csv, a folder of images with label files, PanNuke folds,
        hover_net patches (.npy, .mat), family .npz files.
    family : str
        Organ family of the token decoder ("epidermal" ...), "" for images.
    val_fraction : float
        Share of the source images kept for validation, where the data name none.
    crop : int
        Edge of the training crops in pixels; rounded to what the network can take.
    hv_convention : str
        Of stored HV targets: a preset's name, or "auto" = detected and stated.
    max_val : int
        Validation images scored after each epoch at most.
    """

    sources: tuple[str, ...] = ()
    family: str = ""
    val_fraction: float = 0.2
    crop: int = 256
    hv_convention: str = "auto"
    max_val: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(str(s) for s in self.sources))
        if not 0 < self.val_fraction < 1:
            raise InputError(f"val_fraction is {self.val_fraction}; give a share above 0, below 1.")
        for name in ("crop", "max_val"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")


@dataclass(frozen=True)
class OptimParams:
    """How weights are changed.

    Parameters
    ----------
    epochs, batch : int
    steps_per_epoch : int, optional
        None = as many as cover the training area once.
    lr, weight_decay : float
        AdamW.
    schedule : {"constant", "cosine", "step"}
        "cosine" falls to 0 at the end; "step" divides by 10 at half of the epochs.
    warmup_steps : int
        Steps over which the rate rises from 0.
    freeze : {"nothing", "encoder", "all but heads", "two phases"}
        What stays as it is. "two phases" = the published recipe: encoder frozen in the first
        half of the epochs, free in the second.
    clip : float
        Largest norm of the gradient; 0 = not clipped.
    """

    epochs: int = 20
    batch: int = 8
    steps_per_epoch: int | None = None
    lr: float = 1e-4
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_steps: int = 0
    freeze: str = "nothing"
    clip: float = 5.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        if self.steps_per_epoch is not None and self.steps_per_epoch < 1:
            raise InputError(f"steps_per_epoch is {self.steps_per_epoch}; give 1 or more, or None.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"lr is {self.lr}; give a number above 0, like 1e-4.")
        for name in ("weight_decay", "warmup_steps", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("freeze", self.freeze, FREEZING)


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Parameters
    ----------
    start : str
        Checkpoint to start from: "compact", a file, or "scratch:NAME" ("scratch:compact",
        "scratch:hovernet", "scratch:optimus").
    name : str
        Of the run; letters, digits, ``-`` and ``_``.
    data, loss, augment, optim
        See their classes.
    precision : {"auto", "32", "bf16", "16"}
        Arithmetic; "auto" = bf16 on a GPU that has it, else 32.
    device : str
        "auto", "cpu", "cuda", "mps".
    devices, num_nodes : int
        GPUs and machines; more than one are started by Lightning's own launcher.
    num_workers : int
        Processes that load data; 0 = the training process itself.
    seed : int
    save_epochs : tuple of int
        Epochs (from 1) whose models are kept, beside the best and the last.
    threads : int
        CPU threads, 0 = all; the viewer leaves itself one.
    """

    start: str = "compact"
    name: str = "run"
    data: DataParams = field(default_factory=DataParams)
    loss: LossParams = field(default_factory=LossParams)
    augment: AugmentParams = field(default_factory=AugmentParams)
    optim: OptimParams = field(default_factory=OptimParams)
    precision: str = "auto"
    device: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    num_workers: int = 0
    seed: int = 0
    save_epochs: tuple[int, ...] = (5,)
    threads: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "save_epochs", tuple(int(e) for e in self.save_epochs))
        _one_of("precision", self.precision, PRECISIONS)
        if not self.name or not all(c.isalnum() or c in "-_." for c in self.name):
            raise InputError(f"name is {self.name!r}; use letters, digits, '-', '_' and '.'.")
        for name in ("devices", "num_nodes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        for name in ("num_workers", "seed", "threads"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")


def config_as_dict(config: TrainConfig) -> dict[str, Any]:
    """Give a configuration as plain values (JSON-able).

    Examples
    --------
    >>> config_as_dict(TrainConfig())["optim"]["batch"]
    8
    """
    return {"schema": SCHEMA, **_plain(asdict(config))}


def config_from_dict(values: Mapping[str, Any], where: str = "The configuration") -> TrainConfig:
    """Read a configuration back; what is missing takes its default.

    Raises
    ------
    InputError
        If a field is not known, of another kind or out of range, or the form is newer.

    Examples
    --------
    >>> config_from_dict({"schema": 1, "optim": {"epochs": 3}}).optim.epochs
    3
    """
    known = dict(values)
    schema = known.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(f"{where} has schema {schema!r}; this version reads {SCHEMA}: update it.")
    made: TrainConfig = _made(TrainConfig(), known, where)
    return made


def _made(default: T, values: Mapping[str, Any], where: str) -> T:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: {values!r} is no set of named values.")
    names = {f.name for f in fields(default)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(
            f"{where}: {', '.join(unknown)} is not known; it may need a newer version."
        )
    changes = {n: _like(getattr(default, n), v, f"{where}, {n}") for n, v in values.items()}
    try:
        return replace(default, **changes)  # type: ignore[type-var]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _like(default: Any, value: Any, where: str) -> Any:
    """Check that a value is of the kind of the default; None stands for an optional number."""
    if is_dataclass(default):
        return _made(default, value, where)
    if isinstance(default, tuple):
        if isinstance(value, list | tuple):
            return tuple(value)
    elif isinstance(default, bool | str):
        if isinstance(value, type(default)):
            return value
    elif value is None and default is None:
        return None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(default, float):
            return float(value)
        if float(value).is_integer():
            return int(value)
    raise InputError(f"{where} is {value!r}; give something like {default!r}.")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _pair(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise InputError(f"{name} is {value!r}; give two numbers, low and high.")
    return float(value[0]), float(value[1])


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")
