"""The Optimus family's own checkpoint: a dict of plain values and tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import torch

from ..model import ModelInfo
from .header import jsonable

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
    """Return what an Optimus ``.pth`` holds; ``torch.load(weights_only=True)`` reads it.

    Parameters
    ----------
    info : ModelInfo
        Its ``training`` and ``history`` count.
    config : mapping
        Of the network.
    state : mapping of tensor

    Returns
    -------
    dict
        "epoch" is counted from 0, -1 = not trained here. Scores are those of the best epoch
        of the history by AJI + PQ ("combined_score"; without instances minus the validation
        loss), NaN where nothing measured them: type accuracy never is. The state of the
        optimiser is not kept.

    Examples
    --------
    >>> made = family_payload(ModelInfo("optimus"), {"n_types": 5, "token_prefix": 5}, {})
    >>> made["epoch"], made["family"], made["n_classes"]
    (-1, '', 5)
    """
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
    """Whether training facts are the arguments of a training of our own.

    Examples
    --------
    >>> is_own({"epoch": 7, "best_dice": 0.8})
    False
    """
    return all(name in training for name in OWN_ARGS)


def family_of(training: Mapping[str, Any]) -> str:
    """Tell the family from training arguments: as named, or by the name of the one data file.

    Examples
    --------
    >>> family_of({"data": {"family": "", "sources": ["data/epidermal_features.npz"]}})
    'epidermal'
    """
    data = training.get("data")
    if not isinstance(data, Mapping):
        return ""
    if data.get("family"):
        return str(data["family"])
    names = {_stem(str(source)) for source in data.get("sources") or ()}
    return names.pop() if len(names) == 1 else ""


def organs_of(family: str) -> tuple[str, ...]:
    """List the organs of a family, () where it is not one of the five."""
    from ..training.sources.families import FAMILIES  # noqa: PLC0415 - which imports us

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
