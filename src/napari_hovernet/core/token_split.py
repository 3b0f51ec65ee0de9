"""Which samples of a family a checkpoint was trained on, as far as anything tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .model import ModelInfo
from .token_data import TokenData
from .training.params import DataParams, TrainConfig, config_from_dict
from .training.sources.family import find_families
from .training.sources.load import load_samples

VAL, TRAIN, UNKNOWN = "val", "train", ""
NOT_KNOWN = "not known: may have been trained on"
OURS = ("schema", "data", "optim", "seed")
"""Entries of the training arguments that our own training writes."""


@dataclass(frozen=True)
class Membership:
    """On which side each sample is.

    Parameters
    ----------
    splits : tuple of str
        "val", "train" or "" of each sample.
    words : mapping of str to str
        What to call the samples of each side.
    notes : tuple of str
        How that is known, and what it does not tell.
    """

    splits: tuple[str, ...]
    words: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return any(self.splits)

    def chosen(self, split: str | None = None) -> tuple[int, ...]:
        """List the samples of a side; of validation if there are any and none is named.

        Parameters
        ----------
        split : {"train", "val", "all"}, optional
            None = validation where it is known, else all.

        Raises
        ------
        InputError
            If the side is not known, or there is no such side.

        Examples
        --------
        >>> sides = Membership(("val", "train"), {"val": "validation", "train": "training"})
        >>> sides.chosen(), sides.chosen("train"), sides.chosen("all")
        ((0,), (1,), (0, 1))
        """
        every = tuple(range(len(self.splits)))
        wanted = VAL if split is None and VAL in self.splits else split
        if wanted in (None, "all"):
            return every
        if wanted not in (VAL, TRAIN):
            raise InputError(f"split is {split!r}; choose one of train, val, all.")
        found = tuple(i for i in every if self.splits[i] == wanted)
        if not found:
            raise InputError(
                f"It is not known which samples are for {wanted}: neither fold_ids nor the "
                "checkpoint say so. Leave --split out to take all."
            )
        return found

    def called(self, indices: tuple[int, ...]) -> str:
        """Say which samples these are.

        Examples
        --------
        >>> Membership(("", ""), {"": NOT_KNOWN}).called((0, 1))
        'not known: may have been trained on'
        """
        sides = {self.splits[i] for i in indices}
        told = [self.words[side] for side in (VAL, TRAIN, UNKNOWN) if side in sides]
        return " and ".join(told) or NOT_KNOWN


def membership(info: ModelInfo, data: TokenData) -> Membership:
    """Find out which samples a checkpoint was trained on.

    A checkpoint that was trained here keeps its data, share and seed, and the division is
    made again from them. Else ``fold_ids`` tell: the last fold validates.

    Parameters
    ----------
    info : ModelInfo
        Of the checkpoint.
    data : TokenData

    Examples
    --------
    >>> membership(describe("best.safetensors"), data).called((0, 1))  # doctest: +SKIP
    'validation (seed 0)'
    """
    config = own_config(info)
    if config is not None:
        found = _by_checkpoint(config, data)
        if found is not None:
            return found
    folds = data.ids.get("fold_ids")
    if folds is not None and len(set(folds)) > 1:
        return _by_folds(folds)
    nothing = "neither fold_ids nor the checkpoint tell which samples were trained on"
    return Membership((UNKNOWN,) * len(data), {UNKNOWN: NOT_KNOWN}, (nothing,))


def own_config(info: ModelInfo) -> TrainConfig | None:
    """Return how a checkpoint was trained, None if not by us."""
    stored: Any = info.training.get("args", info.training)
    if not isinstance(stored, Mapping) or not all(name in stored for name in OURS):
        return None
    fields = TrainConfig.__dataclass_fields__
    known = {k: v for k, v in stored.items() if k in fields or k == "schema"}
    try:
        return config_from_dict(known, "The checkpoint's training")
    except InputError:
        return None


def _by_checkpoint(config: TrainConfig, data: TokenData) -> Membership | None:
    """Divide again as the training did; None if it was on other data."""
    sources, moved = _sources(config, data)
    if not sources:
        return None
    params = DataParams(
        sources=tuple(map(str, sources)),
        family=config.data.family,
        val_fraction=config.data.val_fraction,
        hv_convention=config.data.hv_convention,
    )
    try:
        divided = load_samples(params, needs="tokens", seed=config.seed)
    except InputError:
        return None
    side = {s.name: TRAIN for s in divided.train} | {s.name: VAL for s in divided.val}
    splits = tuple(side.get(data.name(i), UNKNOWN) for i in range(len(data)))
    if not any(splits):
        return None
    how = _fold_words(data.ids.get("fold_ids"), splits) or dict.fromkeys(
        (VAL, TRAIN), f"seed {config.seed}"
    )
    words = {
        VAL: f"validation ({how[VAL]})",
        TRAIN: f"training ({how[TRAIN]})",
        UNKNOWN: NOT_KNOWN,
    }
    notes = [f"the checkpoint's own division: {divided.split_words}"]
    if moved:
        notes.append("the data have moved since; they are taken to be the same")
    if not config.start.startswith("scratch:"):
        notes.append(f"training started from {config.start}, which may have seen any of them")
    return Membership(splits, words, tuple(notes))


def _sources(config: TrainConfig, data: TokenData) -> tuple[list[Path], bool]:
    """Return the places of the training data as they are now, and whether they have moved."""
    given = [Path(source) for source in config.data.sources]
    ours = data.features[0].resolve()
    holding = [s for s in given if s.exists() and _holds(s, ours)]
    if len(holding) == 1 and all(s.exists() for s in given):
        return given, False
    if len(given) == 1 and not given[0].exists():
        named = given[0].name.lower().startswith(data.family.lower())
        if given[0].suffix.lower() == ".npz":
            return ([data.features[0]], True) if named else ([], True)
        return [data.features[0].parent], True
    return [], False


def _holds(source: Path, features: Path) -> bool:
    found = (f.features for f in find_families(source))
    return any(file is not None and file.resolve() == features for file in found)


def _by_folds(folds: tuple[str, ...]) -> Membership:
    last = max(folds, key=_as_number)
    splits = tuple(VAL if fold == last else TRAIN for fold in folds)
    how = _fold_words(folds, splits) or {}
    words = {VAL: f"validation ({how[VAL]})", TRAIN: f"training ({how[TRAIN]})"}
    note = (
        "by fold_ids the last fold validates; the checkpoint does not say whether its training "
        "kept to that"
    )
    return Membership(splits, words, (note,))


def _fold_words(folds: tuple[str, ...] | None, splits: tuple[str, ...]) -> dict[str, str] | None:
    """Name the folds of each side; None where a fold is on both."""
    if folds is None:
        return None
    sides = {
        side: sorted({f for f, s in zip(folds, splits, strict=True) if s == side}, key=_as_number)
        for side in (VAL, TRAIN)
    }
    if set(sides[VAL]) & set(sides[TRAIN]) or not sides[VAL] or not sides[TRAIN]:
        return None
    return {k: f"fold{'s' if len(v) > 1 else ''} {', '.join(v)}" for k, v in sides.items()}


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
