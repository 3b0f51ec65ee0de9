"""Every adjustable number of the pipeline, named, documented and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from ..errors import InputError

TILINGS = ("large", "reference")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
METHODS = ("local", "hover_net", "magnitude_peaks")
PRESETS = ("local", "hover_net", "magnitude_peaks", "merging_relabel")
FAULTS = {
    "magnitude_peaks": "Faulty on purpose: seeds are the peaks of the HV magnitude, which is about "
    "0 in the centre of a nucleus and 1 on its rim, so nuclei break up along their rims.",
    "merging_relabel": "Faulty on purpose: after the watershed the union of all instances is "
    "labelled anew, so touching nuclei merge again, whatever the network predicted.",
}
"""Presets that repeat historical mistakes, and what is wrong with each."""
SOBEL_SIZES = range(3, 32, 2)
MAX_SCALE = 64.0
"""Largest sigma in pixels for differentiating HV; beyond it the halo of a band explodes."""


@dataclass(frozen=True)
class InferenceParams:
    """How an image goes through the network.

    Parameters
    ----------
    tiling : {"large", "reference"}
        "large" picks big tiles from the device's memory; "reference" repeats
        hover_net's own tiles (270 -> 80, 256 -> 164, reflect padding).
    tile : int, optional
        Input tile edge in pixels; rounded up to the network's next legal size.
        None = chosen by ``tiling``.
    batch : int, optional
        Tiles per forward pass; None = chosen from the device's memory.
    image_mpp, model_mpp : float, optional
        Micrometres per pixel of the image and of the model's training data;
        ``model_mpp`` overrides what the checkpoint says. Resampled when both are
        known and differ by more than ``mpp_tolerance``.
    mpp_tolerance : float
        Relative difference of mpp that is left alone, default 0.10.
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto" = bfloat16 autocast on CUDA that supports it, float32 elsewhere.
    """

    tiling: str = "large"
    tile: int | None = None
    batch: int | None = None
    image_mpp: float | None = None
    model_mpp: float | None = None
    mpp_tolerance: float = 0.10
    precision: str = "auto"

    def __post_init__(self) -> None:
        _one_of("tiling", self.tiling, TILINGS)
        _one_of("precision", self.precision, PRECISIONS)
        for name in ("tile", "batch", "image_mpp", "model_mpp"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} is {value}; give a number above 0, or None for auto.")
        if not self.mpp_tolerance >= 0:
            raise InputError(f"mpp_tolerance is {self.mpp_tolerance}; give 0 or more.")


@dataclass(frozen=True)
class SeparationParams:
    """How instances are cut out of NP and HV maps.

    Fields marked *local*, *hover_net* or *magnitude_peaks* are read by that method alone.

    Parameters
    ----------
    method : {"local", "hover_net", "magnitude_peaks"}
        "local" = ours: nothing depends on what else is in the tile. "hover_net" = the
        published post-processing, tile-wide stretching included. "magnitude_peaks" = a
        historical mistake, kept to show what it does: seeds are peaks of the magnitude.
    np_threshold : float
        Least NP probability of a nucleus pixel, in 0..1.
    min_area : int
        Connected areas of fewer pixels are dropped.
    max_hole_area : int
        *local*: holes of up to this many pixels are filled, if one instance has all of them.
    scales : tuple of float
        *local*: sigmas in pixels of the Gaussians through which HV is differentiated.
        Small ones draw the borders, large ones tell one nucleus from two.
    depth : float
        *local*: two basins of the energy are one nucleus if the pass between them lies
        less than this above the floor of the shallower one. Energy is sigma times how
        fast HV closes in per pixel, so it has no unit: about -0.4 inside a nucleus 20
        pixels wide, up to +0.5 between two.
    oblique : float
        *local*: how far, in 0..1, the lower principal strain of HV takes the place of its
        divergence. Finds borders that run between rows and columns, and costs calm.
    min_mean_np : float
        *local*: instances whose mean NP probability is lower are dropped, in 0..1.
    magnitude_low, magnitude_high : float
        *local*: where the mean HV magnitude of the neighbourhood is below or above
        these, HV is scaled to them first, so that weak or overshooting maps separate too.
    magnitude_window : int
        *local*: edge in pixels, odd, of the square neighbourhood of that mean.
    sobel_size : int
        *hover_net*: edge in pixels of the Sobel kernel, odd, 3..31.
    energy_threshold : float
        *hover_net*: border strength in 0..1 from which a pixel cannot be marker.
    blur_size : int
        *hover_net*: edge in pixels, odd, of the Gaussian that smooths the energy.
    opening_size : int
        *hover_net*: edge in pixels, odd, of the ellipse that opens the markers.
    min_marker_area : int
        *hover_net*: markers of fewer pixels are dropped.
    peak_distance : int
        *magnitude_peaks*: least distance in pixels between two seeds.
    merge_touching : bool
        A historical mistake, kept to show what it does: label the union of all instances
        anew at the end, which makes one of all that touch.
    band_rows : int
        Image rows filtered at a time; bounds memory, never changes the result.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> SeparationParams.preset("hover_net").sobel_size
    21
    """

    method: str = "local"
    np_threshold: float = 0.45
    min_area: int = 20
    max_hole_area: int = 200
    scales: tuple[float, ...] = (1.5, 3.0)
    depth: float = 0.15
    oblique: float = 0.25
    min_mean_np: float = 0.6
    magnitude_low: float = 0.5
    magnitude_high: float = 0.9
    magnitude_window: int = 129
    sobel_size: int = 21
    energy_threshold: float = 0.4
    blur_size: int = 3
    opening_size: int = 5
    min_marker_area: int = 10
    peak_distance: int = 5
    merge_touching: bool = False
    band_rows: int = 512

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        object.__setattr__(self, "scales", tuple(self.scales))
        for name in ("np_threshold", "energy_threshold", "min_mean_np", "oblique"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number in 0..1.")
        for name in ("min_area", "max_hole_area", "depth", "min_marker_area"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is {getattr(self, name)}; give 0 or more.")
        self._check_filters()

    def _check_filters(self) -> None:
        if not self.scales or not all(0 < scale <= MAX_SCALE for scale in self.scales):
            raise InputError(
                f"scales is {self.scales}; give one or more sigmas above 0 and up to {MAX_SCALE:g}."
            )
        if not 0 < self.magnitude_low <= self.magnitude_high:
            raise InputError(
                f"magnitude_low is {self.magnitude_low} and magnitude_high "
                f"{self.magnitude_high}; give 0 < low <= high."
            )
        if self.sobel_size not in SOBEL_SIZES:
            raise InputError(f"sobel_size is {self.sobel_size}; give an odd number in 3..31.")
        for name in ("blur_size", "opening_size", "magnitude_window"):
            if getattr(self, name) < 1 or getattr(self, name) % 2 != 1:
                raise InputError(f"{name} is {getattr(self, name)}; give an odd number above 0.")
        for name in ("band_rows", "peak_distance"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")

    @classmethod
    def preset(cls, name: str = "local") -> SeparationParams:
        """Look up a named set of numbers.

        Parameters
        ----------
        name : str
            "local" (default), "hover_net" (as published), or one of two that repeat a
            historical mistake and say so in :data:`FAULTS`: "magnitude_peaks" and
            "merging_relabel" (all of the mask, cut and then merged again).

        Raises
        ------
        InputError
            If the name is not known.

        Examples
        --------
        >>> SeparationParams.preset("merging_relabel").merge_touching
        True
        """
        _one_of("preset", name, PRESETS)
        if name == "local":
            return cls()
        published = cls(method="hover_net", np_threshold=0.5, min_area=10, max_hole_area=0)
        if name == "magnitude_peaks":
            return replace(published, method="magnitude_peaks")
        if name == "merging_relabel":
            everything = replace(published, method="local", min_area=0, min_mean_np=0.0)
            return replace(everything, merge_touching=True)
        return published


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; choose one of {', '.join(allowed)}.")


SCHEMA = 1
"""Version of the form in which a configuration is written."""
FREEZING = ("nothing", "encoder", "all but heads", "two phases")
SCHEDULES = ("constant", "cosine", "step")
TRAIN_PRECISIONS = ("auto", "32", "bf16", "16")
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
        _one_of("precision", self.precision, TRAIN_PRECISIONS)
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
