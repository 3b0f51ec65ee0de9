"""Checks of what happens inside a network: dead, exploding or constant layers, batch norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..data.items import listed
from ..types import Progress
from .bench import Bench
from .engine import Steps, check, fault, judge, ok, skip, warn
from .inputs import GOOD, adapted, run_part, sweep_steps
from .maps import BAD_DICE, np_steps
from .model import BROKEN, NORMS, SYMPTOMS, fresh_statistics, network_of
from .reading import HALF
from .report import Plot, Remedy

LEAST_CHANNELS, DEAD, FLAT = 4, 0.9, 0.45
"""Channels of a layer that is judged; share that is 0 everywhere, or the same everywhere."""
EXPLODES, GROWTH = 1e4, 1e3
"""Largest value in a network, and typical values of a layer by those before (healthy: 300, 30)."""
CONSTANT = 1e-6
MISFIT = 3.5
"""Variance in a layer by that of its training, as the layers before know it (healthy: up to 2)."""
HUGE, TINY = 1e8, 1e-10


@dataclass(eq=False)
class _Layer:
    """What one layer gave over all images."""

    name: str
    low: Any
    high: Any
    spread: Any
    size: float
    finite: bool

    @property
    def largest(self) -> float:
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    @property
    def flat(self) -> float:
        """Share of the channels that are the same everywhere."""
        return float((self.spread <= CONSTANT * max(self.largest, 1.0)).mean())

    @property
    def dead(self) -> float:
        """Share of the channels of a rectified layer that are 0 everywhere."""
        rectified = bool((self.low >= 0).all() and (self.low == 0).any())
        return float((self.high == 0).mean()) if rectified else 0.0


@contextmanager
def _watched(network: nn.Module) -> Iterator[dict[str, _Layer]]:
    seen: dict[str, _Layer] = {}

    def take(name: str, output: Any) -> None:
        if isinstance(output, dict):
            for head, value in output.items():
                take(f"output {head}", value)
        elif isinstance(output, torch.Tensor) and output.ndim > 2 and output.is_floating_point():
            flat = output.detach().float().transpose(0, 1).flatten(1)
            finite = bool(torch.isfinite(flat).all())
            flat = flat if finite else torch.nan_to_num(flat, 0.0, 0.0, 0.0)
            low, high, spread = (x.double().cpu().numpy() for x in (
                flat.amin(1), flat.amax(1), flat.std(1, correction=0)))  # fmt: skip
            made = _Layer(name, low, high, spread, float(flat.square().mean().sqrt()), finite)
            old = seen.get(name)
            if old is not None and len(old.low) == len(made.low):
                made = _Layer(name, np.minimum(made.low, old.low), np.maximum(made.high, old.high),
                              np.maximum(made.spread, old.spread), max(made.size, old.size),
                              made.finite and old.finite)  # fmt: skip
            seen[name] = made

    def look(name: str, given: Any, output: Any) -> None:
        many = [x for x in given if isinstance(x, torch.Tensor) and x.ndim > 2]
        for k, x in enumerate(many if len(many) > 1 else ()):  # a skip beside what comes up
            take(f"input {name} ({k + 1})", x)
        take(name, output)

    handles = [m.register_forward_hook(lambda _, given, out, n=name: look(n, given, out))
               for name, m in network.named_modules()]  # fmt: skip
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@check("model.activations", "Layers and batch norm", needs=("model",), after=BROKEN,
       explains=(*SYMPTOMS, "model.tiles", "model.mpp"))  # fmt: skip
def layers_and_batch_norm(bench: Bench) -> Steps:
    """Dead, exploding or constant layers; batch norm in training mode, or of other data."""
    network = network_of(bench)
    if network is None:
        return skip("the network is a function, its layers cannot be seen")
    yield from (said := list(_norm_states(network)))
    with _watched(network) as seen:
        for index in bench.variant_indices[:2]:
            yield Progress(0, 1, "watching the layers")
            run_part(bench, index)
    layers = list(seen.values())
    sizes = tuple(float(np.log10(max(x.largest, 1e-12))) for x in layers)
    plot = Plot("lines", "Size of the values, layer by layer", tuple(range(len(layers))),
                (("log10 of the largest", sizes),), "layer", "log10")  # fmt: skip
    broken = next(_broken(layers), None)
    if broken is not None:
        title, words, text, certainty = broken
        return fault(words, title=title, certainty=certainty, remedy=Remedy(text), plot=plot,
                     layers=("np", "hv_x", "hv_y"), decisive=True)  # fmt: skip
    if said:
        return
    sweep = yield from sweep_steps(bench)
    gain, won = sweep.best("norm"), sweep.winner
    words = (f"{len(layers)} layers give finite values of at most "
             f"{max((x.largest for x in layers), default=0):.3g}.")  # fmt: skip
    if won is not None and won.what.kind == "norm":
        labelled = won.before[0].by_labels
        return judge(
            labelled and won.whole, f"The {won.words}.", 0.9,
            title="Statistics of batch norm do not fit the data", value=won.mean,
            threshold=won.what.need, unit="agreement",
            remedy=Remedy("Check that the running statistics were saved and loaded; let the "
                          "network see images like these in training mode once, or fine-tune it."),
        )  # fmt: skip
    yield Progress(0, 1, "batch norm")
    name, ratio = bench.once("misfit", lambda: misfit(bench))
    if ratio > MISFIT:
        fits = [q.both for q in sweep.plain if q.by_labels]
        prob = yield from np_steps(bench)
        poor = np.mean(fits) < GOOD if fits else (  # of tokens nothing is swept
            not sweep.plain and prob.truth is not None and prob.dice(HALF) < BAD_DICE)  # fmt: skip
        return (fault if poor else warn)(
            f"{words} What enters {name} has {ratio:.1f} times the spread that it was trained with "
            "(healthy: below 2), that before it fits.",
            title=f"Weights before {name} and its statistics do not belong together",
            value=ratio, threshold=MISFIT, unit="ratio", plot=plot,
            certainty=0.85 if poor else 0.45, stands=True, remedy=Remedy(
                "Load the checkpoint anew, strictly and by the names of its own code: weights of "
                "another layer or file stand there, or were changed."))  # fmt: skip
    yield ok(words + (f" Adapting batch norm gains {gain.mean:+.3f}." if gain else ""), plot=plot)


def _broken(layers: Sequence[_Layer]) -> Iterator[tuple[str, str, str, float]]:
    """Title, evidence, remedy and certainty of what is wrong, first layers first."""
    earlier = "take an earlier checkpoint, or train again with a smaller learning rate."
    sizes: list[float] = []
    for x in layers:
        before = float(np.median(sizes)) if sizes else 0.0
        if not x.finite:
            yield (f"Values become NaN or infinite in layer {x.name}", f"The first is {x.name}.",
                   f"Run in float32; {earlier}", 0.95)  # fmt: skip
        elif x.largest > EXPLODES or (before > 0 and x.size > GROWTH * before):
            yield (f"Values explode in layer {x.name}", f"They reach {x.largest:.3g} in {x.name}; "
                   f"those before are about {before:.3g} (healthy: up to 300).", "Look at weights "
                   "and batch norms of that layer, and at the scale of the input; " + earlier,
                   0.92)  # fmt: skip
        sizes.append(x.size)
    for x in layers:
        n, (kind, _, name) = len(x.low), x.name.partition(" ")
        if kind == "input" and x.flat == 1:
            yield (f"Layer {name} gets nothing from one side", f"An input of {name} is the same "
                   "everywhere: a skip of the decoder is lost.", "Look at what is handed to it, "
                   f"and in what order (weights that were lost give zero, too): {earlier}",
                   0.93)  # fmt: skip
        elif kind == "output" and x.flat == 1:
            yield (f"The network's {name} is the same everywhere", f"{x.name} does not change over "
                   "the image.", f"The network is dead: {earlier}", 0.9)  # fmt: skip
        elif n >= LEAST_CHANNELS and x.dead >= DEAD:
            yield (f"Layer {x.name} is dead", f"{x.dead:.0%} of its {n} channels are 0 everywhere.",
                   f"Weights were lost or training killed it: {earlier}", 0.88)  # fmt: skip
        elif n >= LEAST_CHANNELS and x.flat >= FLAT and x.dead == 0:
            yield (f"Channels of layer {x.name} are dead", f"{x.flat:.0%} of its {n} channels are "
                   "the same everywhere.", f"Weights were set to zero, pruned or not loaded: "
                   f"{earlier}", 0.9)  # fmt: skip


def _norm_states(network: Any) -> Steps:
    """Tell what can be told of batch norms without data."""
    norms = [(name, m) for name, m in network.named_modules() if isinstance(m, NORMS)]
    evaluate = ("Call network.eval() before predicting, train with running statistics, and load "
                "the buffers with the weights.")  # fmt: skip
    states = (("keeps no statistics", [n for n, m in norms if m.running_var is None]),
        ("is in training mode", [n for n, m in norms if m.training and m.running_var is not None]),
        ("has statistics as at the start", [n for n, m in norms if fresh_statistics(m)]),
        ("has impossible statistics", [n for n, m in norms if _impossible(m)]))  # fmt: skip
    for what, names in states:
        if names:
            yield fault(
                f"{len(names)} of {len(norms)} batch norms: {listed(names)}. They normalise by "
                "whatever is in the tile, or by nothing.",
                title=f"Batch norm {what}", value=len(names), threshold=1, unit="layers",
                certainty=0.93, remedy=Remedy(evaluate), layers=("np", "hv_x"), decisive=True,
            )  # fmt: skip


def _impossible(module: Any) -> bool:
    if module.running_var is None:
        return False
    var = module.running_var
    return bool((var < 0).any()) or float(((var < TINY) | (var > HUGE)).float().mean()) > 0.5


def misfit(bench: Bench) -> tuple[str, float]:
    """Name the batch norm (not of the image itself) that fits the data least, and by what ratio."""
    twin, network = bench.once("adapted", lambda: adapted(bench)), network_of(bench)
    worst = ("", 0.0)
    if twin is None or twin.model is None:
        return worst
    there = dict(twin.model.network.named_modules())
    inputs = 0
    for name, m in network.named_modules():
        inputs = getattr(m, "in_channels", inputs)
        if isinstance(m, NORMS) and m.running_var is not None and inputs > 3:
            ratio = (there[name].running_var + m.eps) / (m.running_var.clamp(min=0) + m.eps)
            worst = max(worst, (name, float(torch.maximum(ratio, 1 / ratio).median())),
                        key=lambda pair: pair[1])  # fmt: skip
    return worst
