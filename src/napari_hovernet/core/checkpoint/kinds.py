"""Recognise whose network a dict of weights is, by the names and shapes in it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

import torch

from ...errors import CheckpointError
from ..hv import PRESETS
from ..networks.hovernet import KERNEL
from ..networks.optimus import TOKEN_PREFIX
from ..types import PANNUKE, ModelInfo, assumed, numbered
from .header import WANTED, jsonable


class _Foreign(NamedTuple):
    """A relative: its name, beginnings of its weights' names, why not, and what to do."""

    name: str
    beginnings: tuple[str, ...]
    reason: str


_OWN_PROGRAM = "run it with its own program"

_RELATIVES = (
    _Foreign(
        "HoVerNet+",
        ("decoder.ls.",),
        "it also segments tissue layers, at 0.5 mpp; run it with TIAToolbox, or take a HoVer-Net",
    ),
    _Foreign(
        "CellViT",
        ("nuclei_binary_map_decoder.", "hv_map_decoder.", "nuclei_type_maps_decoder."),
        f"its encoder is a vision transformer that is not built in; {_OWN_PROGRAM}",
    ),
    _Foreign(
        "HoVer-NeXt",
        ("encoder.model.", "decoders.", "heads.0.", "heads.1."),
        f"it predicts no HV maps, so nothing here can show or separate them; {_OWN_PROGRAM}",
    ),
)

_OPTIMUS_REMEDY = (
    "only the first form of the Optimus decoder (bilinear up-blocks, tokens alone) can be run: "
    "load this one with the code that trained it"
)
_OPTIMUS_VARIANTS = (
    _Foreign(
        "an Optimus decoder with PixelShuffle up-blocks",
        tuple(f"up{n}.conv{i}." for n in range(1, 5) for i in (1, 2)),
        _OPTIMUS_REMEDY,
    ),
    _Foreign("an Optimus decoder with a haematoxylin pyramid", ("h_pyramid.",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with haematoxylin gates", ("h_alphas",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with stain separation", ("ruifrok.",), _OPTIMUS_REMEDY),
    _Foreign("an Optimus decoder with squeeze-excitation", ("se_block.",), _OPTIMUS_REMEDY),
)


def refuse_foreign(name: str, keys: Iterable[str], extras: Mapping[str, Any]) -> None:
    """Refuse a known relative by its name."""
    keys = list(keys)
    if isinstance(extras.get("arch"), str) and str(extras["arch"]).startswith("CellViT"):
        keys.append("hv_map_decoder.")
    for relative in (*_RELATIVES, *_OPTIMUS_VARIANTS):
        if any(key.startswith(relative.beginnings) for key in keys):
            raise CheckpointError(
                f"{name} is {relative.name}, which is recognised but not supported: "
                f"{relative.reason}."
            )


NOT_MEASURED = float("nan")
NOTES, ASSUMED = "notes", "assumed"
"""Entry that keeps what was assumed about a file, so that no assumption becomes a fact."""
ENDINGS = ("_features", "_targets", "_data_fixed")
"""What follows the family in a file's name, small letters."""
BEST = ("best_dice", "best_loss", "best_hv_mse", "best_nt_acc", "combined_score")
"""Scores of the family's dict, in its order."""
DERIVED = ("epoch", *BEST, "family", "organs", "n_classes", "token_prefix", NOTES)
"""Entries that follow from the training arguments and the history."""
OWN_ARGS = ("schema", "data", "optim", "seed")
"""Entries that training arguments of our own have."""


def family_payload(
    info: ModelInfo, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Return what an Optimus ``.pth`` holds; ``torch.load(weights_only=True)`` reads it."""
    training, earlier = info.training, _foreign(info.training)
    family = str(earlier.get("family") or family_of(training))
    return {
        "epoch": _epoch(info, earlier),
        "model_state_dict": dict(state),
        "optimizer_state_dict": {},
        **_scores(info, earlier),
        "family": family,
        "organs": list(earlier.get("organs") or organs_of(family)),
        "args": jsonable(_arguments(training)),
        "hv_convention": info.hv_convention,
        "n_classes": config["n_types"],
        "token_prefix": config["token_prefix"],
        "history": jsonable(info.history),
        NOTES: [note for note in info.notes if ASSUMED in note],
    }


def told_by(extras: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the training arguments that a dict of ours holds, None if it is not ours."""
    args = extras.get("args")
    if isinstance(args, Mapping) and is_own(args):
        return {str(k): jsonable(v) for k, v in args.items()}
    return None


def notes_of(extras: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what had been assumed when a dict of ours was written."""
    notes = extras.get(NOTES)
    if not isinstance(notes, list | tuple):
        return ()
    return tuple(note for note in notes if isinstance(note, str) and ASSUMED in note)


def is_own(training: Mapping[str, Any]) -> bool:
    """Whether training facts are the arguments of a training of our own."""
    return all(name in training for name in OWN_ARGS)


def family_of(training: Mapping[str, Any]) -> str:
    """Tell the family from training arguments: as named, or by the name of the one data file."""
    data = training.get("data")
    if not isinstance(data, Mapping):
        return ""
    if data.get("family"):
        return str(data["family"])
    names = {_stem(str(source)) for source in data.get("sources") or ()}
    return names.pop() if len(names) == 1 else ""


def organs_of(family: str) -> tuple[str, ...]:
    """List the organs of a family, () where it is not one of the five."""
    from ..params import FAMILIES  # noqa: PLC0415 - which imports us

    return FAMILIES.get(family.lower(), ())


def _stem(source: str) -> str:
    stem = PurePath(source).stem
    ending = next((e for e in ENDINGS if stem.lower().endswith(e)), "")
    return stem[: -len(ending)] if ending else ""


def _foreign(training: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a dict that was not ours said of itself."""
    return {} if is_own(training) else training


def _arguments(training: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return training arguments alone, without what stands beside them in the dict."""
    if is_own(training):
        return training
    stored = training.get("args")
    if isinstance(stored, Mapping):
        return stored
    return {k: v for k, v in training.items() if k not in DERIVED}


def _epoch(info: ModelInfo, earlier: Mapping[str, Any]) -> int:
    last = info.history[-1].get("epoch") if info.history else None
    if is_own(info.training) and isinstance(last, int):
        return last - 1  # ours counts finished epochs
    known = earlier.get("epoch", last)
    return known if isinstance(known, int) else len(info.history) - 1


def _scores(info: ModelInfo, earlier: Mapping[str, Any]) -> dict[str, float]:
    found = {name: _number(earlier.get(name)) for name in BEST}
    rated = [(_combined(val), val) for val in map(_validated, info.history) if val]
    if not rated:
        return found
    combined, val = max(rated, key=lambda pair: pair[0])
    measured = {"best_dice": "dice", "best_loss": "loss", "best_hv_mse": "hv_mse"}
    found |= {name: _number(val.get(key)) for name, key in measured.items()}
    return found | {"combined_score": combined}


def _validated(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    val = entry.get("val")
    return val if isinstance(val, Mapping) else {}


def _combined(val: Mapping[str, Any]) -> float:
    """AJI + PQ, or minus the loss where there are no instances."""
    if "aji" in val:
        score = _number(val.get("aji")) + _number(val.get("pq"))
    else:
        score = -_number(val.get("loss"))
    return -math.inf if math.isnan(score) else score


def _number(value: Any) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain else NOT_MEASURED


HOVERNET_MPP = 0.25
"""Micrometres per pixel that every published HoVer-Net was trained at."""

PANNUKE_LICENCE = "CC BY-NC-SA 4.0"

State = Mapping[str, torch.Tensor]


def shape(state: State, key: str, ndim: int, name: str) -> tuple[int, ...]:
    """Look up the shape of a weight that tells how the network was built."""
    if key not in state:
        raise CheckpointError(
            f"{name} lacks {key}, which tells how its network was built; the file is incomplete: "
            "fetch or export it again."
        )
    found = tuple(state[key].shape)
    if len(found) != ndim:
        raise CheckpointError(f"{name} has {key} of shape {found}; it should have {ndim} axes.")
    return found


def hovernet_info(state: State, kind: str, name: str) -> ModelInfo:
    """Read mode and number of types of a HoVer-Net; the rest is assumed and noted."""
    edge = shape(state, "decoder.np.u3.conva.weight", 4, name)[-1]
    mode = next((mode for mode, kernel in KERNEL.items() if kernel == edge), None)
    if mode is None:
        raise CheckpointError(
            f"{name} is a HoVer-Net with decoder kernels of {edge}; known are 3 (fast) and 5 "
            "(original)."
        )
    n_types = None
    if any(key.startswith("decoder.tp.") for key in state):
        n_types = shape(state, "decoder.tp.u0.conv.weight", 4, name)[0]
    types, note = assumed(n_types, mode)
    notes = [note] if note else []
    notes.append(f"mpp is not in the file: {HOVERNET_MPP} assumed, as in all published weights")
    licence = ""
    if n_types == len(PANNUKE):
        licence = PANNUKE_LICENCE
        notes.append(
            f"the licence is not in the file: PanNuke's {PANNUKE_LICENCE} assumed "
            "(not for commercial use)"
        )
    else:
        notes.append("the licence is not in the file: see where it was published")
    return ModelInfo(
        architecture="hovernet",
        mode=mode,
        types=types,
        mpp=HOVERNET_MPP,
        licence=licence,
        file_kind=kind,
        config={"mode": mode, "n_types": n_types},
        notes=tuple(notes),
    )


def optimus_info(state: State, extras: Mapping[str, Any], name: str) -> ModelInfo:
    """Read the sizes of an Optimus decoder, and what its dict says of the training."""
    bottleneck, embed_dim, *_ = shape(state, "bottleneck.0.weight", 4, name)
    n_types = None
    if any(key.startswith("nt_head.") for key in state):
        n_types = shape(state, "nt_head.head.3.weight", 4, name)[0]
    notes = ["decodes the tokens of a vision transformer (H-optimus-0), not images"]
    if n_types is not None:
        notes.append(f"what the {n_types} types are is not in the file: 0 taken as background")
    prefix = extras.get("token_prefix")
    if not isinstance(prefix, int) or isinstance(prefix, bool) or not 0 <= prefix <= 4096:
        prefix = TOKEN_PREFIX
        notes.append(
            f"the token prefix is not in the file: {prefix} assumed; the first files of this "
            "family were trained with 1"
        )
    convention = extras.get("hv_convention")
    if convention not in PRESETS:
        convention = "default"
        notes.append("the HV convention is not in the file: [H, V] outward assumed")
    notes += notes_of(extras)
    training, history = _told(extras)
    return ModelInfo(
        architecture="optimus",
        types={} if n_types is None else numbered(n_types),
        hv_convention=str(convention),
        file_kind="optimus",
        config={
            "embed_dim": embed_dim,
            "bottleneck": bottleneck,
            "n_types": n_types,
            "token_prefix": prefix,
        },
        training=training,
        history=history,
        notes=tuple(notes),
    )


_NOT_TRAINING = (
    "optimizer_state_dict", "scheduler_state_dict", "history", "hv_convention", NOTES,
)  # fmt: skip


def _told(extras: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Split what stands beside the weights into training facts and per-epoch history."""
    facts = {k: v for k, v in extras.items() if k not in _NOT_TRAINING}
    facts = {k: vars(v) if isinstance(v, argparse.Namespace) else v for k, v in facts.items()}
    plain = {k: jsonable(v) for k, v in facts.items()}
    training = {k: v for k, v in plain.items() if v is not None}  # NaN: never measured
    training = dict(told_by(extras) or training)
    history = jsonable(extras.get("history"))
    if isinstance(history, list) and all(isinstance(step, dict) for step in history):
        return training, tuple(history)
    if history:
        training["history"] = history
    return training, ()


def compact_info(state: State, name: str) -> ModelInfo:
    """Read the widths of a bare compact network, which says nothing else of itself."""
    widths: list[int] = []
    while f"down.{len(widths)}.conv1.weight" in state:
        widths.append(shape(state, f"down.{len(widths)}.conv1.weight", 4, name)[0])
    n_types = None
    if "heads.tp.3.weight" in state:
        n_types = shape(state, "heads.tp.3.weight", 4, name)[0]
    return ModelInfo(
        architecture="compact",
        types={} if n_types is None else numbered(n_types),
        file_kind="bare weights",
        config={"widths": widths, "n_types": n_types},
        notes=(
            "bare weights: mpp, type names, licence and training are not in the file; export "
            "to .safetensors keeps them",
        ),
    )


Weights = dict[str, torch.Tensor]

WRAPPERS = ("desc", "model_state_dict", "state_dict", "model")
"""Entries of a checkpoint dict that may hold the weights."""

PREFIXES = ("module.", "model.")
"""Left on every name by DataParallel and by wrappers; each is taken off once."""


@dataclass(frozen=True, eq=False)
class Found:
    """Weights and whose they are."""

    info: ModelInfo  # Architecture, config, types ...; parameters, source and hash not yet
    state: Weights = field(repr=False)  # Named as the network names them


def recognise(payload: Any, name: str) -> Found:
    """Tell whose network a file holds."""
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{name} holds a {type(payload).__name__} instead of named weights; {WANTED}."
        )
    wrapper, state = _unwrap(payload, name)
    state = _strip(state)
    extras = {str(k): v for k, v in payload.items() if k != wrapper} if wrapper else {}
    refuse_foreign(name, state, extras)
    for prefix, read in _READERS:
        if any(key.startswith(prefix) for key in state):
            return Found(read(state, extras, wrapper, name), state)
    tops = list(dict.fromkeys(key.split(".")[0] for key in state))
    shown = ", ".join(tops[:10]) + (" ..." if len(tops) > 10 else "")
    raise CheckpointError(
        f"{name} holds {len(state)} weights of a network that is not known here (its parts: "
        f"{shown}); {WANTED}."
    )


def _unwrap(payload: Mapping[Any, Any], name: str) -> tuple[str, Weights]:
    for wrapper in WRAPPERS:
        inner = payload.get(wrapper)
        if isinstance(inner, Mapping):
            return wrapper, _tensors(inner, name)
    if payload and all(isinstance(v, torch.Tensor) for v in payload.values()):
        return "", _tensors(payload, name)
    keys = [str(k) for k in payload]
    shown = ", ".join(keys[:10]) + (" ..." if len(keys) > 10 else "")
    raise CheckpointError(
        f"{name} holds no weights under any of {', '.join(WRAPPERS)}; its entries are: "
        f"{shown or 'none'}. {WANTED[0].upper()}{WANTED[1:]}."
    )


def _tensors(state: Mapping[Any, Any], name: str) -> Weights:
    wrong = [str(k) for k, v in state.items() if not isinstance(v, torch.Tensor)]
    if wrong or not state:
        what = f"{len(wrong)} entries that are none ({', '.join(wrong[:10])})" if wrong else "none"
        raise CheckpointError(f"{name} should hold weights by name but has {what}; {WANTED}.")
    return {str(k): v for k, v in state.items()}


def _strip(state: Weights) -> Weights:
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _hovernet(state: Weights, _: Mapping[str, Any], wrapper: str, name: str) -> ModelInfo:
    kinds = {"desc": "hover_net", "": "tiatoolbox"}
    return hovernet_info(state, kinds.get(wrapper, f"HoVer-Net under {wrapper!r}"), name)


def _optimus(state: Weights, extras: Mapping[str, Any], _: str, name: str) -> ModelInfo:
    return optimus_info(state, extras, name)


def _compact(state: Weights, _: Mapping[str, Any], __: str, name: str) -> ModelInfo:
    return compact_info(state, name)


_READERS: tuple[tuple[str, Callable[..., ModelInfo]], ...] = (
    ("decoder.np.", _hovernet),
    ("np_head.", _optimus),
    ("heads.np.", _compact),
)
"""A name's beginning that only one architecture has, and who reads the rest."""
