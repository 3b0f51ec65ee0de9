"""Batch norm: whether what it knows of the data fits the data."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..types import Maps, Progress
from .bench import Bench
from .model_file import listed
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_probe import network_inputs
from .model_weights import NORMS, network_of
from .model_whatifs import Gain, WhatIfs, certainty_of, said
from .predicting import IMAGE, Predictor
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

ID, TITLE = "model.batch_norm", "Statistics of batch norm"
ADAPTED = "batch norm takes its statistics from these images"
BROKEN, NO_STATISTICS, TRAINING, FOREIGN, FAR = 0.93, 0.8, 0.85, 0.8, 0.35
"""How certain each is as a cause."""
MENDED, DOUBT = 0.6, 0.1
"""Agreement below which adapting helps but does not mend; how much less certain it is then."""


@dataclass(frozen=True)
class NormLayer:
    """How a batch norm's running statistics compare with the data.

    Parameters
    ----------
    name : str
    distance : float
        Median over the channels of ``|mean - running mean| / running std``.
    ratio : float
        Median over the channels of var / running var or its inverse, whichever is larger.
    """

    name: str
    distance: float
    ratio: float


@dataclass(frozen=True)
class NormStates:
    """What can be told from batch norms without data.

    Parameters
    ----------
    total : int
    untracked : tuple of str
        Without running statistics: they normalise by whatever is in the tile.
    training : tuple of str
        Left in training mode.
    broken : tuple of str
        With running statistics that are not finite, or variances of impossible size.
    """

    total: int
    untracked: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def norm_states(network: Any, limits: ModelLimits = MODEL_LIMITS) -> NormStates:
    """Look at the batch norms of a network."""
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, NORMS)]
    return NormStates(
        len(layers),
        tuple(name for name, m in layers if m.running_var is None),
        tuple(name for name, m in layers if m.training and m.running_var is not None),
        tuple(name for name, m in layers if m.running_var is not None and _broken(m, limits)),
    )


def _broken(module: Any, limits: ModelLimits) -> bool:
    mean, var = module.running_mean.detach().float(), module.running_var.detach().float()
    if not bool(torch.isfinite(mean).all() and torch.isfinite(var).all()):
        return True
    bad = (var < limits.norm_tiny) | (var > limits.norm_huge)
    return float(bad.float().mean()) > limits.norm_bad_channels or bool((var < 0).any())


def batch_norm(
    states: NormStates,
    layers: Sequence[NormLayer] = (),
    gain: Gain | None = None,
    limits: ModelLimits = MODEL_LIMITS,
) -> Finding:
    """Judge whether batch norm fits the data.

    Parameters
    ----------
    states : NormStates
    layers : sequence of NormLayer
    gain : Gain, optional
        Of taking the statistics from the images at hand.
    limits : ModelLimits
    """
    far = [x for x in layers if is_far(x, limits)]
    share = len(far) / len(layers) if layers else 0.0
    mended = gain is not None and gain.wins(limits.norm_gain, limits)
    measured = _measured(layers, far)
    numbers = _numbers(layers, gain)
    plot = _plot(layers, limits) if layers else None
    judged = _static(states)
    if judged is None and mended and gain is not None and far:
        verdict = FAULT
        judged = (
            verdict,
            "Statistics of batch norm do not fit the data",
            f"{measured} The {said(gain, limits)}.",
            certainty_of(gain, limits) - _doubt(gain, share, limits),
            "Let the network see images like these in training mode once (without updating "
            "weights), or fine-tune it; check that the running statistics were saved and loaded.",
        )
    elif judged is None and gain is None and any(_very_far(x, limits) for x in far):
        judged = (
            FAULT,
            "Statistics of batch norm do not fit the data",
            measured,
            FOREIGN,
            "Prepare the data as in the training (scale, normalisation), or fine-tune.",
        )
    elif judged is None and share > limits.norm_layers and not _healed(gain):
        judged = (
            WARN,
            "Statistics of batch norm are far from the data",
            f"{measured} Adapting them does not mend the maps.",
            FAR,
            "Compare the images with those of the training: stain, brightness, magnification.",
        )
    if judged is None:
        words = f"{states.total} batch norms. {measured}" if layers else f"{states.total} fit."
        if gain is not None and gain.parts:
            words += f" Adapting them gains {gain.mean:+.3f}."
        return Finding(
            ID, OK, TITLE, words, value=share, threshold=limits.norm_layers, numbers=numbers,
            plot=plot,
        )  # fmt: skip
    verdict, title, evidence, certainty, remedy = judged
    return Finding(
        ID,
        verdict,
        title,
        evidence,
        value=share,
        threshold=limits.norm_layers,
        unit="share of layers",
        certainty=certainty,
        remedy=Remedy(remedy),
        numbers=numbers,
        layers=("image", "np", "hv_x"),
        plot=plot,
    )


def _doubt(gain: Gain, share: float, limits: ModelLimits) -> float:
    """Return how much less certain a fault is that adapting helps: partly, or in few layers."""
    return 0.01 if gain.after >= MENDED and share >= limits.norm_layers else DOUBT


def is_far(layer: NormLayer, limits: ModelLimits = MODEL_LIMITS) -> bool:
    """Tell whether a layer's statistics are far from the data."""
    return layer.distance > limits.norm_distance or layer.ratio > limits.norm_ratio


def _very_far(layer: NormLayer, limits: ModelLimits) -> bool:
    return layer.distance > limits.norm_far_distance or layer.ratio > limits.norm_far_ratio


def _healed(gain: Gain | None) -> bool:
    """Tell whether maps are good as they are, so that distant statistics do no harm."""
    return gain is not None and bool(gain.parts) and gain.before >= MODEL_LIMITS.fits


Judged = tuple[str, str, str, float, str]


def _static(states: NormStates) -> Judged | None:
    if states.broken:
        return (
            FAULT,
            "Batch norm has impossible statistics",
            f"{len(states.broken)} of {states.total} batch norms have running statistics that are "
            f"not finite, or variances of impossible size ({listed(states.broken)}).",
            BROKEN,
            "Take an earlier checkpoint; half precision or a diverged training spoils them.",
        )
    if states.untracked:
        return (
            FAULT,
            "Batch norm keeps no statistics",
            f"{len(states.untracked)} of {states.total} batch norms have no running statistics "
            f"({listed(states.untracked)}): they normalise by whatever else is in the tile, so "
            "the same nucleus looks different in another tile.",
            NO_STATISTICS,
            "Train with track_running_stats=True, and load the buffers with the weights.",
        )
    if states.training:
        return (
            FAULT,
            "The network is in training mode",
            f"{len(states.training)} of {states.total} batch norms are in training mode "
            f"({listed(states.training)}): results depend on the tile, and dropout is on.",
            TRAINING,
            "Call network.eval() before predicting.",
        )
    return None


def _measured(layers: Sequence[NormLayer], far: Sequence[NormLayer]) -> str:
    if not layers:
        return "Statistics of the data could not be measured."
    distance = float(np.median([x.distance for x in layers]))
    ratio = float(np.median([x.ratio for x in layers]))
    names = f" ({listed([x.name for x in far])})" if far else ""
    return (
        f"Means of the data lie {distance:.2f} running standard deviations off and variances "
        f"differ {ratio:.1f} times (medians over the layers); {len(far)} of {len(layers)} layers "
        f"are far off{names}."
    )


def _numbers(layers: Sequence[NormLayer], gain: Gain | None) -> dict[str, float]:
    if not layers:
        return {}
    return {
        "distance of means": float(np.median([x.distance for x in layers])),
        "ratio of variances": float(np.median([x.ratio for x in layers])),
        "gain of adapting": math.nan if gain is None else gain.mean,
    }


def _plot(layers: Sequence[NormLayer], limits: ModelLimits) -> Plot:
    return Plot(
        "bars",
        "Distance of the data's means, layer by layer",
        tuple(x.name for x in layers),
        (("running standard deviations", tuple(x.distance for x in layers)),),
        y_label="running standard deviations",
        line=limits.norm_distance,
    )


def adapted(network: Any, inputs: Sequence[torch.Tensor]) -> Any:
    """Return a copy of a network whose batch norms know these inputs and nothing else.

    Layer by layer they see what the layers before, adapted too, give.

    Parameters
    ----------
    network : nn.Module
    inputs : sequence of tensor
        What enters it.
    """
    other = copy.deepcopy(network).eval()
    norms = [m for m in other.modules() if isinstance(m, NORMS) and m.running_var is not None]
    for module in norms:
        module.reset_running_stats()
        module.momentum = None
        module.train()
    with torch.inference_mode():
        for given in inputs:
            other(given.clone())
    return other.eval()


def norm_layers(network: Any, other: Any) -> list[NormLayer]:
    """Compare running statistics of a network with those of its adapted copy."""
    there = dict(other.named_modules())
    found = []
    for name, module in network.named_modules():
        if not isinstance(module, NORMS) or module.running_var is None:
            continue
        if module.running_mean is None:
            continue
        twin = there[name]
        if not int(twin.num_batches_tracked):
            continue
        mean, var = (x.detach().double() for x in (module.running_mean, module.running_var))
        mean2, var2 = (x.detach().double() for x in (twin.running_mean, twin.running_var))
        eps = module.eps
        distance = (mean2 - mean).abs() / (var.clamp(min=0) + eps).sqrt()
        quotient = (var2 + eps) / (var.clamp(min=0) + eps)
        ratio = torch.maximum(quotient, 1 / quotient)
        found.append(NormLayer(name, float(distance.median()), float(ratio.median())))
    return found


def run_batch_norm(bench: Bench) -> Steps:
    """Compare statistics with the data; try what adapting them does."""
    network = network_of(bench)
    if network is None:
        words = "Not tested: the network is a function, its layers cannot be seen."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    states = norm_states(network)
    if not states.total:
        yield Finding(ID, NOT_TESTED, TITLE, "Not tested: the network has no batch norm.")
        return
    inputs = yield from network_inputs(bench, MODEL_LIMITS.least_parts)
    if not inputs or states.broken:
        yield batch_norm(states)
        return
    yield Progress(0, 1, "adapting batch norm")
    other = adapted(network, inputs)
    layers = norm_layers(network, other)
    gain: Gain | None = None
    predictor = bench.case.predictor
    if predictor is not None and predictor.reads == IMAGE and any(map(is_far, layers)):
        whatifs = WhatIfs.of(bench)
        predict = _with(other, predictor)
        for step in whatifs.steps(ADAPTED, predict):
            if isinstance(step, Gain):
                gain = step
            else:
                yield step
    yield batch_norm(states, layers, gain)


def _with(network: Any, predictor: Predictor) -> Any:
    """Make a what-if of another network in the same place."""
    if predictor.model is None:  # pragma: no cover - asked before
        return None
    twin = Predictor.of(replace(predictor.model, network=network))

    def predict(bench: Bench, index: int) -> Maps | None:
        return bench.part_changed(index, lambda part: part, twin)

    return predict
