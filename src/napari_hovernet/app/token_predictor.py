"""Predictions of a token decoder on cached features, for evaluation and magnitude."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.hv_reading import read_hv
from ..core.hv_scores import hv_scores
from ..core.image import UInt8, as_source
from ..core.io.dataset import Pair
from ..core.model import Model
from ..core.separation import separate
from ..core.token_data import TokenData, TokenTruth, truth_of
from ..core.token_inference import (
    TokenMaps,
    TokenParams,
    check_tokens,
    predict_tokens_steps,
    stored_prefix,
)
from ..core.token_pictures import principal_rgb
from ..core.token_prefix import prefix_of, slice_words
from ..core.token_split import Membership
from ..core.truth import Truth, check_truth
from ..core.tuning import TuneParams
from ..core.types import Progress
from ..errors import InputError
from .predictors import Predicted
from .segment import model_metadata


@dataclass(frozen=True)
class TokenChoice:
    """Which samples of a family are meant, and how they are read.

    Parameters
    ----------
    n_samples : int, optional
        None = all.
    split : {"train", "val", "all"}, optional
        None = validation where it is known, else all.
    seed : int, optional
        Draw the samples by it; None = spread evenly.
    truth : str
        See :data:`napari_hovernet.core.token_data.TRUTHS`.

    Examples
    --------
    >>> TokenChoice(n_samples=20).truth
    'auto'
    """

    n_samples: int | None = None
    split: str | None = None
    seed: int | None = None
    truth: str = "auto"


def choose_samples(sides: Membership, choice: TokenChoice) -> tuple[int, ...]:
    """List the samples that are meant, in the order of the file.

    Raises
    ------
    InputError
        If there are none, or ``n_samples`` is below 1.

    Examples
    --------
    >>> choose_samples(Membership(("",) * 10, {"": ""}), TokenChoice(n_samples=3))
    (0, 3, 6)
    """
    there = sides.chosen(choice.split)
    n = choice.n_samples
    if n is None or n >= len(there):
        return there
    if n < 1:
        raise InputError(f"The number of samples is {n}; give 1 or more.")
    if choice.seed is not None:
        drawn = np.random.default_rng(choice.seed).choice(len(there), n, replace=False)
        return tuple(there[i] for i in sorted(drawn.tolist()))
    return tuple(there[i * len(there) // n] for i in range(n))


def token_pairs(data: TokenData, sides: Membership, indices: Sequence[int]) -> tuple[Pair, ...]:
    """Name samples as pairs of a data set; their image is the features file."""
    file: Path = data.features[0]
    return tuple(
        Pair(data.name(i), file, None, data.family, split=sides.splits[i]) for i in indices
    )


@dataclass
class TokenPredictor:
    """Decodes the tokens of samples, a batch at a time, and brings their truth along.

    Parameters
    ----------
    model : Model
        A token decoder.
    data : TokenData
    indices : tuple of int
        Samples, in the order in which they will be asked for.
    params : TokenParams
    tuning : TuneParams
        How HV is read and nuclei are cut.
    truth : str
        See :data:`napari_hovernet.core.token_data.TRUTHS`.

    Raises
    ------
    InputError
        If the decoder cannot read these tokens.

    Examples
    --------
    >>> TokenPredictor(model, data, (0, 1))  # doctest: +SKIP
    """

    model: Model
    data: TokenData
    indices: tuple[int, ...]
    params: TokenParams = field(default_factory=TokenParams)
    tuning: TuneParams = field(default_factory=TuneParams)
    truth: str = "auto"
    true_magnitudes: dict[str, float] = field(default_factory=dict, init=False)
    _decoded: tuple[TokenMaps, dict[int, int]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        tokens = self.data.tokens
        check_tokens(self.model, tokens.shape, tokens.dtype, self.params.prefix)
        self._by_name = {self.data.name(i): i for i in self.indices}

    @property
    def prefix(self) -> int:
        """Tokens before the first patch."""
        return prefix_of(self.params.prefix, stored_prefix(self.model))

    @property
    def notes(self) -> tuple[str, ...]:
        """What holds for every sample."""
        sliced = slice_words(self.prefix, self.data.shape[1])
        return tuple(filter(None, (*self.model.info.notes, *self.data.notes, sliced)))

    def describe(self) -> dict[str, Any]:
        """Return decoder, tokens and parameters."""
        file, name = self.data.features
        return {
            "model": model_metadata(self.model.info),
            "device": str(self.model.device),
            "features": f"{file}:{name}",
            "token_prefix": {"choice": self.params.prefix, "tokens": self.prefix},
            "separation": asdict(self.tuning.separation),
            "hv_reading": asdict(self.tuning.hv),
            "resampling": "none: maps are 224 x 224; true labels are brought to that, nearest",
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Decode one sample, or take it from the batch that was decoded last."""
        index = self._by_name[pair.name]
        decoded, places = yield from self._batch_with(index)
        place = places[index]
        if place in decoded.errors:
            raise InputError(decoded.errors[place])
        maps = read_hv(decoded.maps(place), self.tuning.hv)
        stages = separate(maps, self.tuning.separation)
        found = truth_of(self.data, index, self.truth)
        if found is not None:
            self.true_magnitudes[pair.name] = hv_scores(maps.hv, found.labels).true_magnitude
        return Predicted(
            image=as_source(sample_image(self.data, index)),
            labels=stages.labels,
            maps=maps,
            mask=stages.mask,
            separation=self.tuning.separation,
            truth=None if found is None else _checked(found),
        )

    def _batch_with(
        self, index: int
    ) -> Generator[Progress, None, tuple[TokenMaps, dict[int, int]]]:
        """Return a decoded batch that holds a sample, and the place of each in it."""
        if self._decoded is None or index not in self._decoded[1]:
            at = self.indices.index(index)
            batch = self.indices[at : at + self.params.batch]
            self._decoded = None  # its memory is free before the next is decoded
            tokens = self.data.tokens
            try:
                found = yield from predict_tokens_steps(self.model, tokens, self.params, batch)
            except InputError:  # every sample of the batch: tell of this one alone
                batch = (index,)
                found = yield from predict_tokens_steps(self.model, tokens, self.params, batch)
            self._decoded = found, {i: place for place, i in enumerate(batch)}
        return self._decoded


def sample_image(data: TokenData, index: int) -> UInt8:
    """Return the image of a sample, its tokens as colours where there is none.

    Returns
    -------
    uint8 (224, 224, 3)
    """
    image = data.image(index)
    if image is None:
        image = principal_rgb(np.asarray(data.tokens[index : index + 1], np.float32))[0]
    return image


def _checked(found: TokenTruth) -> Truth:
    truth = check_truth(found.labels, (found.labels.shape[0], found.labels.shape[1]))
    return Truth(truth.labels, truth.n, (*found.notes, *truth.notes))
