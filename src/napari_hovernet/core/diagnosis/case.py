"""What is under diagnosis, and how it is to be read: arrays, network, separation, setup."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ...errors import InputError, JobFailed, UserError
from ..choices import check_choices, choice
from ..data.items import Dataset
from ..data.stores import MAPS, TARGETS
from ..hv import ORDERS, SIGNS, HVConvention, compact_ids, convert
from ..inference import predict
from ..networks.registry import Network
from ..params import InferenceParams, SeparationParams
from ..separation import separate
from ..separation.tuning import TuneParams, tune
from ..types import Int32, Maps, Model, ModelInfo
from .report import Remedy


# fmt: off
@dataclass(frozen=True)
class Setup:
    """How everything is to be read, by default as it claims to be; a remedy changes one field."""

    hv_order: str = choice("hv", "Order of HV", "Of the HV that is predicted.", options=ORDERS)
    hv_sign: str = choice("outward", "Sign of HV", "Of the HV that is predicted.", options=SIGNS)
    hv_scale: float = choice(1.0, "HV times", "Predicted HV is multiplied by this.", above=0)
    target_order: str = choice("hv", "Order of targets", "Of stored HV.", options=ORDERS)
    target_sign: str = choice("outward", "Sign of targets", "Of stored HV.", options=SIGNS)
    target_divisor: float = choice(
        1.0, "Divisor of targets", "Stored HV is divided by this.", above=0)
    np_channel: int = choice(
        1, "NP channel", "Which channel is nucleus; 0 = NP given is that of background.",
        low=0, high=1)
    np_activation: str = choice(
        "softmax", "NP activation", "'softmax' = as given; 'logits' = a sigmoid is applied.",
        options=("softmax", "sigmoid", "logits"))
    np_threshold: float | None = choice(
        None, "NP threshold", "Overrides that of the separation.", low=0, high=1, none="as it is")
    channel_order: str = choice(
        "rgb", "Channel order", "Of images as they are given.", options=("rgb", "bgr"))
    input_factor: float = choice(
        1.0, "Image times", "Image values are multiplied by this.", above=0)
    input_gamma: float = choice(
        1.0, "Gamma", "Image values, as shares of 255, are raised to this.", above=0)
    zoom: float = choice(1.0, "Zoom", "Images are resized by this before the network.", above=0)
    token_prefix: int | None = choice(
        None, "Token prefix", "Tokens before the first patch; None = as the model says.",
        low=0, none="as the model says")
    types_background: bool = choice(
        True, "Types have background", "Whether class 0 of the types is background.")
    separation: Mapping[str, Any] | None = None  # Fields to change, or {"preset": name}
    labels_turn: tuple[bool, int] = (False, 0)  # Flip and quarter turns onto the image
    labels_shift: tuple[int, int] = (0, 0)  # Rows and columns onto the image
    labels_zoom: float = choice(1.0, "Labels times", "Size of labels about the centre.", above=0)
    maps_turn: tuple[bool, int] = (False, 0)
    maps_shift: tuple[int, int] = (0, 0)  # Rows and columns, wrapping round
    type_offset: int = 0  # Added to the types of nuclei
    image_order: tuple[int, ...] | None = None  # Which image belongs to the labels of each item
# fmt: on

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("labels_turn", "labels_shift", "maps_turn", "maps_shift", "image_order"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))

    def applied(self, remedy: Remedy) -> Setup:
        """Return the setup with a remedy applied on top of what is there."""
        if not remedy.action:
            raise InputError(f"This remedy has to be done outside of the program: {remedy.text}")
        if remedy.action not in self.__dataclass_fields__:
            raise InputError(f"action is {remedy.action!r}; it is none of the setup's fields.")
        value = remedy.value
        if remedy.action == "separation":
            value = {**({} if "preset" in value else self.separation or {}), **value}
        if remedy.action in ("labels_shift", "maps_shift"):
            value = tuple(a + b for a, b in zip(getattr(self, remedy.action), value, strict=True))
        return replace(self, **{remedy.action: value})

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that are not at their default, JSON-able."""
        plain = asdict(Setup())
        return {k: v for k, v in asdict(self).items() if v != plain[k]}


@dataclass(frozen=True, eq=False)
class RawItem:
    """One image with all that was given for it, exactly as it was given."""

    name: str
    image: Any = None  # (H, W, 3), any dtype and range
    labels: Any = None  # (H, W), true instances
    np: Any = None  # (H, W), NP probability, or stored NP target
    hv: Any = None  # (2, H, W), predicted HV, or stored HV target, any dtype and convention
    types: Any = None  # (H, W), type of each pixel
    instances: Any = None  # (H, W), predicted instances, where they were cut elsewhere
    features: Any = None  # (N, D), tokens of a frozen encoder
    group: str = ""  # Source image, where known
    split: str = ""  # "train" or "val", where known


@dataclass(frozen=True, eq=False)
class Predictor:
    """The network under diagnosis: a model on images, one on tokens, or anybody's function."""

    name: str
    reads: str  # "image" or "features"
    call: Callable[..., Maps]  # uint8 (H, W, 3), or tokens (N, D) and a prefix -> Maps
    model: Model | None = None  # None for a function of the user's own

    @classmethod
    def of(cls, model: Any, inference: InferenceParams | None = None) -> Predictor:
        """Make one of a Model, a Network, or a function image -> Maps or (np, hv)."""
        if isinstance(model, Network):
            model = Model(model.eval(), ModelInfo(type(model).__name__), torch.device("cpu"))
        if isinstance(model, Model):
            name, used = model.info.architecture, inference or InferenceParams()
            if model.network.accepts == "tokens":
                return cls(name, "features", _token_call(model), model)
            return cls(name, "image", lambda image: predict(model, image, used), model)
        if callable(model):
            return cls(getattr(model, "__name__", "own network"), "image", _own_network(model))
        raise InputError(f"model is a {type(model).__name__}; give a Model, a file, or a function "
                         "that takes an image and returns Maps.")  # fmt: skip

    def maps(self, given: Any, token_prefix: int | None = None) -> Maps:
        """Predict; whatever goes wrong is a UserError."""
        try:
            return self.call(given, token_prefix) if self.reads == "features" else self.call(given)
        except UserError:
            raise
        except Exception as error:
            raise JobFailed(f"The network failed ({type(error).__name__}: {error}).") from error


def _token_call(model: Model) -> Callable[..., Maps]:
    network: Any = model.network
    convention = HVConvention.preset(model.info.hv_convention)
    claimed = replace(HVConvention(), order=convention.order, sign=convention.sign)

    def call(features: Any, token_prefix: int | None = None) -> Maps:
        tokens = torch.from_numpy(np.asarray(features, np.float32)[None]).to(model.device)
        before = network.token_prefix
        try:
            if token_prefix is not None:
                network.token_prefix = token_prefix
            with torch.inference_mode():
                out = {k: v.float().cpu() for k, v in network(tokens).items()}
        finally:
            network.token_prefix = before
        types = out.get("tp")
        return Maps(np=out["np"].softmax(1)[0, 1].numpy(), hv=convert(out["hv"][0].numpy(), claimed,
            HVConvention()), types=None if types is None
                    else types.softmax(1)[0].numpy())  # fmt: skip

    return call


def _own_network(function: Callable[[Any], Any]) -> Callable[[Any], Maps]:
    def call(image: Any) -> Maps:
        made = function(image)
        if isinstance(made, Maps):
            return made
        if isinstance(made, dict):
            return Maps(np=made["np"], hv=made["hv"], types=made.get("tp"))
        return Maps(*made)

    return call


@dataclass(frozen=True, eq=False)
class Separator:
    """The separation under diagnosis: ours with parameters, or anybody's function."""

    name: str
    cut: Callable[[Maps], Int32]
    params: SeparationParams | None = None  # None for a function of the user's own

    @classmethod
    def of(cls, separation: Any = None) -> Separator:
        """Make one of a preset's name, parameters, or a function f(maps) or f(np, hv)."""
        if separation is None or isinstance(separation, str):
            name = separation or "local"
            return replace(cls.of(SeparationParams.preset(name)), name=name)
        if isinstance(separation, SeparationParams):
            params = separation
            return cls(params.method, lambda maps: separate(maps, params).labels, params)
        if isinstance(separation, TuneParams):
            tuned = separation
            own = tuned.separation
            return cls(own.method, lambda maps: tune(maps, tuned).labels, own)
        if callable(separation):
            return cls(getattr(separation, "__name__", "own separation"), _guarded(separation))
        raise InputError(f"separation is a {type(separation).__name__}; give a preset's name, "
            "SeparationParams, or a function f(np, hv) that returns labels.")  # fmt: skip

    def changed(self, setup: Setup) -> Separator:
        """Return it with the setup's changes; a function of its own can only be replaced."""
        changes = dict(setup.separation or {})
        preset = changes.pop("preset", None)
        base = SeparationParams.preset(preset) if preset else self.params
        if setup.np_threshold is not None:
            changes["np_threshold"] = setup.np_threshold
        if base is None or not (changes or preset):
            return self
        return replace(Separator.of(replace(base, **changes)), name=preset or self.name)


def _guarded(function: Callable[..., Any]) -> Callable[[Maps], Int32]:
    """Call a function of the user's own; its failures become errors that name it."""
    two = _takes_two(function)

    def cut(maps: Maps) -> Int32:
        try:
            made = function(maps.np.copy(), maps.hv.copy()) if two else function(maps)
        except UserError:
            raise
        except Exception as error:
            raise InputError(f"The separation failed ({type(error).__name__}: {error}); it is "
                f"called with np {maps.shape} and hv {maps.hv.shape}.") from error  # fmt: skip
        labels = np.asarray(made)
        if labels.shape != maps.shape:
            raise InputError(f"The separation returned shape {labels.shape} for maps of "
                             f"{maps.shape}; return one label image.")  # fmt: skip
        return compact_ids(np.rint(labels).astype(np.int64))[0]

    return cut


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([p for p in parameters if p.kind in kinds and p.default is p.empty]) != 1


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that is under diagnosis; any part may be missing."""

    items: Dataset | None = None
    held_out: Dataset | None = None  # Images of the other side of the split, for leaks
    kind: str = MAPS  # What np and hv of the items are: MAPS or TARGETS
    predictor: Predictor | None = None
    model_error: str = ""  # Why the model could not be loaded, "" if it could (or there is none)
    separator: Separator | None = None  # Checks of the model use the default without it
    loss: Any = None
    augmentation: Any = None
    n_types: int | None = None  # Types there should be, background included
    setup: Setup = field(default_factory=Setup)
    notes: tuple[str, ...] = ()

    @property
    def has(self) -> frozenset[str]:
        """What there is to test: arrays (np and hv as "maps" or "targets"), "model" and so on."""
        parts = set() if self.items is None else set(self.items.has)
        pair = parts & {"hv", "np"}
        if self.predictor is not None:
            parts.add("maps")
        if pair and self.kind == TARGETS:
            parts.add("targets")
        elif len(pair) == 2:
            parts.add("maps")
        elif pair == {"hv"}:
            parts.add("hv_only")
        there = {"model": self.predictor is not None or bool(self.model_error),
                 "separation": self.separator is not None, "loss": self.loss is not None,
                 "augmentation": self.augmentation is not None,
                 "held_out": self.held_out is not None}  # fmt: skip
        return frozenset(parts | {name for name, here in there.items() if here})

    def with_setup(self, setup: Setup) -> Case:
        """Return the same case, read in another way."""
        return replace(self, setup=setup)
