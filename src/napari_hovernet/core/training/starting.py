"""The network a run starts from, and how its data are brought to it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import InputError
from ..checkpoint import describe, header, load_model
from ..hv import HVConvention
from ..model import ModelInfo
from ..networks.optimus import GRID
from ..networks.registry import Network, build, names
from ..typesets import numbered
from .params import SCRATCH, TrainConfig
from .samples import LoadedData, Sample

LOOKED_AT = 400
"""Samples whose types are looked at before the start, evenly spread; the rest on use."""
MPP_TOLERANCE = 0.10
"""Relative difference of mpp between data and starting model that is not mentioned."""
TOKENS = "optimus"
"""Architecture that reads tokens of a frozen encoder."""
OURS = "default"
"""Convention of networks that give [H, V] outward, as our targets are."""


@dataclass(frozen=True, eq=False)
class Start:
    """A network to train.

    Parameters
    ----------
    network : Network
        On the CPU, float32.
    info : ModelInfo
        What is known of it, its provenance included.
    notes : tuple of str
        What was assumed or left out.
    typed : bool
        Whether its type head learns.
    """

    network: Network
    info: ModelInfo
    notes: tuple[str, ...]
    typed: bool

    @property
    def n_types(self) -> int | None:
        """Types that training items need, background included; None = they need none."""
        count = self.network.config.get("n_types")
        return int(count) if self.typed and count else None


def needs_of(start: str) -> str:
    """Tell what a starting point reads: "image" or "tokens".

    Raises
    ------
    InputError, CheckpointError
        If there is no such starting point.
    """
    if start.startswith(SCRATCH):
        name = _architecture(start)
        return "tokens" if name == TOKENS else "image"
    return "tokens" if describe(start).architecture == TOKENS else "image"


def start_of(config: TrainConfig, data: LoadedData) -> Start:
    """Load or build the network of a run.

    Parameters
    ----------
    config : TrainConfig
        Its ``start`` and ``seed`` count.
    data : LoadedData
        Says which types there are, how long tokens are and how large pixels.

    Raises
    ------
    InputError
        If the types of the data do not fit those of the network.
    CheckpointError
        If the file cannot be used.

    Notes
    -----
    An untrained network is drawn from ``config.seed`` by torch's global generator.
    """
    highest = highest_type(data.all)
    notes: tuple[str, ...]
    if config.start.startswith(SCRATCH):
        network = _built(config, data, highest)
        info = ModelInfo(
            _architecture(config.start),
            mode=str(network.config.get("mode", "")),
            mpp=_common_mpp(data.all),
            hv_convention=OURS,
            config=dict(network.config),
        )
        notes = (f"An untrained {info.architecture} network; it starts from seed {config.seed}.",)
    else:
        model = load_model(config.start, "cpu")
        network, info, notes = model.network, model.info, tuple(model.info.notes)
    notes = (*notes, *_type_notes(network, highest, config.start), *_mpp_notes(info, data))
    n_types = network.config.get("n_types")
    if n_types and not info.types:
        info = replace(info, types=numbered(int(n_types)))
    return Start(network, described(info), notes, typed=bool(n_types) and highest is not None)


def restored(text: str, state: Mapping[str, torch.Tensor], typed: bool) -> Start:
    """Build the network of an interrupted run from what its resume file says.

    Parameters
    ----------
    text : str
        The header :func:`napari_hovernet.core.checkpoint.header.dump` made.
    state : mapping of tensor
        Weights.
    typed : bool
    """
    info = header.parse(text, "The resume file")
    network = build(info.architecture, info.config)
    network.load_state_dict(state)
    return Start(network, info, (), typed)


def described(info: ModelInfo) -> ModelInfo:
    """Turn where a model came from into provenance, as a file written from it says.

    The same for a fresh and for a resumed run, which knows no more than the header.
    """
    if HVConvention.preset(info.hv_convention).order == "hv" and _outward(info):
        info = replace(info, hv_convention=OURS)  # our own targets, from now on
    return header.parse(header.dump(info), "The starting model")


def highest_type(samples: Sequence[Sample]) -> int | None:
    """Return the highest type among samples; None if they have no types.

    Examples
    --------
    >>> highest_type(()) is None
    True
    """
    every = -(-len(samples) // LOOKED_AT) or 1
    maps = (sample.arrays.type_map for sample in itertools.islice(samples, 0, None, every))
    found = [int(types.max()) for types in maps if types is not None and types.size]
    return max(found, default=None)


def _outward(info: ModelInfo) -> bool:
    return HVConvention.preset(info.hv_convention).sign == "outward"


def _architecture(start: str) -> str:
    name = start.removeprefix(SCRATCH)
    if name not in names():
        raise InputError(
            f"start is {start!r}; untrained there are "
            f"{', '.join(SCRATCH + known for known in names())}."
        )
    return name


def _built(config: TrainConfig, data: LoadedData, highest: int | None) -> Network:
    name = _architecture(config.start)
    wanted: dict[str, Any] = {"n_types": None if not highest else highest + 1}
    if name == TOKENS:
        tokens = next((s.features for s in data.all if s.features is not None), None)
        if tokens is None:
            raise InputError("The token decoder learns from cached features; the data have none.")
        count, length = tokens.shape
        wanted |= {"embed_dim": int(length), "token_prefix": max(int(count) - GRID * GRID, 0)}
    torch.manual_seed(config.seed)
    return build(name, wanted)


def _type_notes(network: Network, highest: int | None, start: str) -> tuple[str, ...]:
    n_types = network.config.get("n_types")
    if not n_types:
        said = "The data have types, but the network has no type head: they are not learned."
        return (said,) if highest else ()
    if highest is None:
        return ("The data have no types: the type head stays as it is.",)
    if highest >= n_types:
        raise InputError(
            f"The data have types up to {highest}, but {start} knows {n_types} (0 = background to "
            f"{n_types - 1}): start from a model with {highest + 1}, from {SCRATCH}"
            "NAME, or leave the types out of the data."
        )
    if highest < n_types - 1:
        return (
            f"The data have types up to {highest}, the network 0 to {n_types - 1}: types above "
            f"{highest} are not seen and may be forgotten.",
        )
    return ()


def _common_mpp(samples: Sequence[Sample]) -> float | None:
    found = {sample.mpp for sample in samples}
    return found.pop() if len(found) == 1 else None


def _mpp_notes(info: ModelInfo, data: LoadedData) -> tuple[str, ...]:
    known = info.mpp
    found = sorted({sample.mpp for sample in data.all if sample.mpp is not None})
    if known is None or not found:
        return ()
    worst = max(found, key=lambda mpp: abs(mpp / known - 1))
    if abs(worst / known - 1) <= MPP_TOLERANCE:
        return ()
    return (
        f"The data have {worst:g} µm per pixel, the starting model {known:g}: nuclei look "
        "larger or smaller than it knows them; resize the images first.",
    )
