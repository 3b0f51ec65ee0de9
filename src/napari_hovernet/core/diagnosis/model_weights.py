"""Layers that were never trained: what a half-loaded checkpoint leaves behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..types import Progress
from .bench import Bench
from .model_file import listed
from .model_limits import MODEL_LIMITS, ModelLimits
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, Finding, Remedy

ID, TITLE = "model.untrained", "Layers at their initial values"
SOME_CERTAINTY, ALL_CERTAINTY, ONE_CERTAINTY = 0.97, 0.98, 0.9
UNIFORM_STD = math.sqrt(3.0)
"""A uniform distribution reaches this many of its standard deviations."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class LayerStates:
    """Which layers of a network look as if they had never been trained.

    Parameters
    ----------
    norms : tuple of str
        Batch-norm layers with statistics and weights exactly as they start.
    of_norms : int
        Batch-norm layers with statistics.
    weights : tuple of str
        Layers whose weights are distributed exactly as the default initialisation does it.
    of_weights : int
        Layers with enough weights to tell.
    zeros : tuple of str
        Layers whose weights are all the same.
    """

    norms: tuple[str, ...]
    of_norms: int
    weights: tuple[str, ...]
    of_weights: int
    zeros: tuple[str, ...] = ()


def layer_states(network: nn.Module, limits: ModelLimits = MODEL_LIMITS) -> LayerStates:
    """Look at every layer of a network.

    Parameters
    ----------
    network : nn.Module
    limits : ModelLimits
    """
    norms, weights, zeros, n_norms, n_weights = [], [], [], 0, 0
    for name, module in network.named_modules():
        if isinstance(module, NORMS) and module.running_var is not None:
            n_norms += 1
            if fresh_norm(module):
                norms.append(name)
        elif isinstance(module, WEIGHTED):
            weight = module.weight.detach().float().cpu()
            if weight.numel() > 1 and bool((weight == weight.flatten()[0]).all()):
                zeros.append(name)
            elif weight.numel() >= limits.init_weights:
                n_weights += 1
                if fresh_weights(weight, limits):
                    weights.append(name)
    return LayerStates(tuple(norms), n_norms, tuple(weights), n_weights, tuple(zeros))


def fresh_norm(module: Any) -> bool:
    """Tell whether a batch norm is exactly as it starts: mean 0, variance 1, no batch seen.

    Examples
    --------
    >>> fresh_norm(nn.BatchNorm2d(3))
    True
    """
    tracked = module.num_batches_tracked
    if tracked is not None and int(tracked) != 0:
        return False
    same = bool((module.running_mean == 0).all()) and bool((module.running_var == 1).all())
    if module.affine:
        same = same and bool((module.weight == 1).all()) and bool((module.bias == 0).all())
    return same


def fresh_weights(weight: torch.Tensor, limits: ModelLimits = MODEL_LIMITS) -> bool:
    """Tell whether weights fill the range of torch's default initialisation evenly.

    It draws from a uniform distribution within ``1 / sqrt(fan_in)``; one step of training
    carries some weights beyond that bound.

    Parameters
    ----------
    weight : tensor (out, in, ...)
    limits : ModelLimits
    """
    bound = 1 / math.sqrt(max(weight[0].numel(), 1))
    largest = float(weight.abs().max()) / bound
    std = float(weight.std()) / bound * UNIFORM_STD
    return limits.init_fill <= largest <= 1 + torch.finfo(torch.float32).eps * 4 and (
        abs(std - 1) <= limits.init_std
    )


def untrained(states: LayerStates) -> Finding:
    """Judge whether layers were never trained.

    Parameters
    ----------
    states : LayerStates
    """
    bad = (*states.norms, *states.weights, *states.zeros)
    total = states.of_norms + states.of_weights + len(states.zeros)
    numbers = {
        "batch norms at their start": float(len(states.norms)),
        "batch norms": float(states.of_norms),
        "layers with initial weights": float(len(states.weights)),
        "layers with constant weights": float(len(states.zeros)),
    }
    if not bad:
        words = (
            f"None of {states.of_norms} batch norms is as it starts, and the weights of "
            f"{states.of_weights} layers have left their initial distribution."
        )
        return Finding(ID, OK, TITLE, words, value=0.0, threshold=1.0, numbers=numbers)
    everything = len(bad) == total
    parts = []
    if states.norms:
        parts.append(
            f"{len(states.norms)} of {states.of_norms} batch norms are exactly as they start "
            f"({listed(states.norms)})"
        )
    if states.weights:
        parts.append(
            f"weights of {len(states.weights)} of {states.of_weights} layers are distributed as "
            f"the default initialisation ({listed(states.weights)})"
        )
    if states.zeros:
        parts.append(f"weights are all the same in {listed(states.zeros)}")
    certainty = SOME_CERTAINTY if states.norms or len(bad) > 1 else ONE_CERTAINTY
    text = "; ".join(parts)
    return Finding(
        ID,
        FAULT,
        "The network was never trained" if everything else _title(bad),
        f"{text[0].upper()}{text[1:]}. In a trained network there are none.",
        value=float(len(bad)),
        threshold=1.0,
        unit="layers",
        certainty=ALL_CERTAINTY if everything else certainty,
        remedy=Remedy(
            "Load the checkpoint strictly (load_state_dict(..., strict=True)) and mend what it "
            "names: these layers got no weights from the file. Or train them."
        ),
        numbers=numbers,
        layers=("np", "hv_x", "hv_y"),
    )


def _title(bad: Sequence[str]) -> str:
    tops = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in bad))
    return f"Layers were never trained: {listed(tops)}"


def run_untrained(bench: Bench) -> Steps:
    """Look at the weights."""
    network = network_of(bench)
    if network is None:
        words = "Not tested: the network is a function, its layers cannot be seen."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    yield Progress(0, 1, "looking at weights")
    yield untrained(layer_states(network))


def network_of(bench: Bench) -> Any:
    """Return the network, None if its layers cannot be seen."""
    predictor = bench.case.predictor
    return None if predictor is None or predictor.model is None else predictor.model.network
