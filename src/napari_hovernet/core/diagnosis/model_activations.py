"""Activations: dead channels, explosions, outputs that are the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..types import Progress
from .bench import Bench
from .model_file import listed
from .model_limits import MODEL_LIMITS, ModelLimits
from .model_probe import LayerOutput, run_part, watched
from .model_weights import network_of
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

ID, TITLE = "model.activations", "Activations"
LEAST_CHANNELS = 4
"""Layers with fewer channels are not said to be dead."""
NAN_CERTAINTY, EXPLODED, CONSTANT, DEAD, SOME_DEAD = 0.95, 0.92, 0.75, 0.85, 0.35
"""How certain each is as a cause."""
OUTPUT = "output "
IMAGES = 2
"""Images whose parts are watched."""


def activations(layers: Sequence[LayerOutput], limits: ModelLimits = MODEL_LIMITS) -> Finding:
    """Judge what the layers of a network give.

    Parameters
    ----------
    layers : sequence of LayerOutput
        In the order in which they work.
    limits : ModelLimits
    """
    rectified = [x for x in layers if x.rectified and len(x.low) >= LEAST_CHANNELS]
    dead = max((x.dead for x in rectified), default=0.0)
    largest = max((x.largest for x in layers), default=0.0)
    numbers = {"largest value": largest, "largest share of dead channels": dead}
    plot = _plot(layers)
    for judge in (_not_finite, _exploding, _constant, _dead, _flat):
        found = judge(layers, limits)
        if found is None:
            continue
        verdict, title, words, certainty, remedy, value, bound, unit = found
        return Finding(
            ID,
            verdict,
            title,
            words,
            value=value,
            threshold=bound,
            unit=unit,
            certainty=certainty,
            remedy=Remedy(remedy),
            numbers=numbers,
            layers=("np", "hv_x", "hv_y"),
            plot=plot,
        )
    words = (
        f"{len(layers)} layers give finite values of at most {largest:.3g}; of the channels of a "
        f"rectified layer at most {dead:.0%} are 0 everywhere."
    )
    bound = limits.dead_fault
    return Finding(ID, OK, TITLE, words, value=dead, threshold=bound, numbers=numbers, plot=plot)


Judged = tuple[str, str, str, float, str, float, float, str]


def _not_finite(layers: Sequence[LayerOutput], _: ModelLimits) -> Judged | None:
    names = [x.name for x in layers if not x.finite]
    if not names:
        return None
    return (
        FAULT,
        f"Values become NaN or infinite in layer {names[0]}",
        f"{len(names)} of {len(layers)} layers give NaN or infinite values, the first is "
        f"{names[0]}; in health none does.",
        NAN_CERTAINTY,
        "Look at the weights of that layer and at what enters it; run in float32.",
        float(len(names)),
        0.0,
        "layers",
    )


def _exploding(layers: Sequence[LayerOutput], limits: ModelLimits) -> Judged | None:
    sizes: list[float] = []
    for layer in layers:
        before = float(np.median(sizes)) if sizes else 0.0
        grown = before > 0 and layer.size > limits.layer_growth * before
        if layer.largest > limits.explodes or grown:
            return (
                FAULT,
                f"Activations explode in layer {layer.name}",
                f"Values reach {layer.largest:.3g} in layer {layer.name} (typically "
                f"{layer.size:.3g}), where the layers before give {before:.3g}; in health "
                f"values stay below {limits.explodes:g} and grow less than "
                f"{limits.layer_growth:g} times.",
                EXPLODED,
                "Look at the weights and batch norms of that layer, and at the range of what "
                "enters the network; take an earlier checkpoint.",
                layer.largest,
                limits.explodes,
                "",
            )
        sizes.append(layer.size)
    return None


def _constant(layers: Sequence[LayerOutput], limits: ModelLimits) -> Judged | None:
    flat = [
        x.name
        for x in layers
        if x.name.startswith(OUTPUT)
        and bool((x.spread <= limits.constant * max(x.largest, 1.0)).all())
    ]
    if not flat:
        return None
    first = next(
        (x.name for x in layers if bool((x.spread <= limits.constant * max(x.largest, 1.0)).all())),
        flat[0],
    )
    return (
        FAULT,
        f"The network's {listed([n.removeprefix(OUTPUT) for n in flat])} is the same everywhere",
        f"{listed(flat)} does not change over the image; the first layer that gives the same "
        f"everywhere is {first}. In health no layer does.",
        CONSTANT,
        "The network is dead from that layer on: take an earlier checkpoint, or train with a "
        "smaller learning rate.",
        0.0,
        limits.constant,
        "standard deviation",
    )


def _dead(layers: Sequence[LayerOutput], limits: ModelLimits) -> Judged | None:
    rectified = [x for x in layers if x.rectified and len(x.low) >= LEAST_CHANNELS]
    bad = [x for x in rectified if x.dead >= limits.dead_warn]
    if not bad:
        return None
    worst = max(bad, key=lambda x: x.dead)
    fault = worst.dead >= limits.dead_fault
    return (
        FAULT if fault else WARN,
        f"Layer {worst.name} is dead",
        f"{worst.dead:.0%} of the {len(worst.low)} channels of {worst.name} are 0 everywhere "
        f"({len(bad)} of {len(rectified)} rectified layers have {limits.dead_warn:.0%} or more).",
        DEAD if fault else SOME_DEAD,
        "Take an earlier checkpoint, or train with a smaller learning rate; check the range of "
        "what enters the network.",
        worst.dead,
        limits.dead_fault,
        "share of channels",
    )


def _flat(layers: Sequence[LayerOutput], limits: ModelLimits) -> Judged | None:
    """Find layers many of whose channels are the same everywhere, though not rectified."""
    shares = [
        (float((x.spread <= limits.constant * max(x.largest, 1.0)).mean()), x.name)
        for x in layers
        if not x.rectified and len(x.low) >= LEAST_CHANNELS and not x.name.startswith(OUTPUT)
    ]
    share, name = max(shares, default=(0.0, ""))
    if share < limits.flat_channels:
        return None
    return (
        FAULT,
        f"Channels of layer {name} are the same everywhere",
        f"{share:.0%} of the channels of {name} do not change over the image; in health hardly "
        "any does.",
        DEAD,
        "Look at the weights of that layer: pruned, or not loaded; take an earlier checkpoint.",
        share,
        limits.flat_channels,
        "share of channels",
    )


def _plot(layers: Sequence[LayerOutput]) -> Plot | None:
    if not layers:
        return None
    return Plot(
        "lines",
        "Size of the values, layer by layer",
        tuple(range(len(layers))),
        (("log10 of the largest value", tuple(_log(x.largest) for x in layers)),),
        x_label="layer",
        y_label="log10",
    )


def _log(value: float) -> float:
    return float(np.log10(max(value, 1e-12)))


def run_activations(bench: Bench) -> Steps:
    """Watch the layers while parts of images go through."""
    network = network_of(bench)
    if network is None:
        words = "Not tested: the network is a function, its layers cannot be seen."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    indices = bench.variant_indices[:IMAGES]
    with watched(network) as seen:
        for number, index in enumerate(indices):
            yield Progress(number, len(indices), "watching the layers")
            run_part(bench, index)
    if not seen.layers:
        words = "Not tested: nothing went through the network."
        yield Finding(ID, NOT_TESTED, TITLE, words)
        return
    yield activations(list(seen.layers.values()))
