"""Look inside a network while it predicts: what its layers give, and what enters it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..types import Progress
from .bench import Bench
from .model_weights import network_of
from .predicting import TOKENS

HEADS = ("np", "hv", "tp")
"""Outputs of a network, by the names it gives them."""
KEPT_INPUTS = "model.inputs"
LEAST_AXES = 3
"""Outputs with fewer axes are no maps."""


@dataclass(eq=False)
class LayerOutput:
    """What one layer gave, over all images it was seen on.

    Parameters
    ----------
    name : str
        Of the layer in the network, or "output np" ... for what the network gives.
    low, high : float array (C,)
        Smallest and largest value of each channel.
    spread : float array (C,)
        Largest standard deviation over the pixels of one image.
    size : float
        Root mean square of all values, the largest over the images.
    finite : bool
    """

    name: str
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    size: float
    finite: bool = True

    @property
    def rectified(self) -> bool:
        """Whether no value is negative and some channel touches 0."""
        return bool((self.low >= 0).all() and (self.low == 0).any())

    @property
    def dead(self) -> float:
        """Share of the channels that are 0 everywhere."""
        return float(((self.high == 0) & (self.low == 0)).mean())

    @property
    def largest(self) -> float:
        """Largest absolute value."""
        return float(max(np.abs(self.low).max(), np.abs(self.high).max()))

    def merged(self, other: LayerOutput) -> LayerOutput:
        """Return what both have seen."""
        return LayerOutput(
            self.name,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            np.maximum(self.spread, other.spread),
            max(self.size, other.size),
            self.finite and other.finite,
        )


@dataclass(eq=False)
class Seen:
    """What was seen inside a network, layers in the order in which they work."""

    layers: dict[str, LayerOutput] = field(default_factory=dict)

    def add(self, name: str, output: Any) -> None:
        """Take up an output, if it is a tensor of maps."""
        if not isinstance(output, torch.Tensor) or output.ndim < LEAST_AXES:
            return
        if not output.is_floating_point() or not output.numel():
            return
        made = layer_output(name, output.detach())
        known = self.layers.get(name)
        fits = known is not None and len(known.low) == len(made.low)
        self.layers[name] = known.merged(made) if known is not None and fits else made


def layer_output(name: str, output: torch.Tensor) -> LayerOutput:
    """Measure an output (B, C, ...)."""
    flat = output.float().transpose(0, 1).flatten(1)
    finite = bool(torch.isfinite(flat).all())
    if not finite:
        flat = torch.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
    low, high, spread = flat.amin(1), flat.amax(1), flat.std(1, correction=0)
    values = [x.double().cpu().numpy() for x in (low, high, spread)]
    size = float(flat.square().mean().sqrt())
    return LayerOutput(name, values[0], values[1], values[2], size, finite)


@contextmanager
def watched(network: nn.Module) -> Iterator[Seen]:
    """Watch the layers of a network for as long as the block lasts."""
    seen, handles = Seen(), []

    def hook(name: str) -> Any:
        def take(_: Any, __: Any, output: Any) -> None:
            if isinstance(output, dict):
                for head, value in output.items():
                    seen.add(f"output {head}", value)
            else:
                seen.add(name, output)

        return take

    for name, module in network.named_modules():
        handles.append(module.register_forward_hook(hook(name)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def network_inputs(bench: Bench, n: int) -> Any:
    """Return what enters the network for some items, as tensors on its device.

    Yields :class:`Progress`; returns a list of tensors (B, ...), empty without.
    """
    kept = bench.kept.get(KEPT_INPUTS)
    if kept is not None:
        return kept
    network, inputs = network_of(bench), []
    if network is None:
        return []

    def keep(_: Any, given: tuple[Any, ...]) -> None:
        inputs.append(given[0].detach().clone())

    for number, index in enumerate(bench.variant_indices[:n]):
        yield Progress(number, n, "looking at what enters the network")
        handle = network.register_forward_pre_hook(keep)
        try:
            run_part(bench, index)
        finally:
            handle.remove()
    inputs = [x for x in inputs if x.device.type != "meta"]
    bench.kept[KEPT_INPUTS] = inputs
    return inputs


def run_part(bench: Bench, index: int) -> bool:
    """Run the network on a part of an item, anew; tell whether maps came back."""
    predictor = bench.case.predictor
    if predictor is None:
        return False
    if predictor.reads == TOKENS:
        raw = bench.raw(index)
        if raw is None or raw.features is None:
            return False
        try:
            predictor.maps(raw.features, bench.setup.token_prefix)
        except Exception:
            return False
        return True
    return bench.part_changed(index, lambda part: part) is not None
