"""How much each head pulls at what all heads share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..networks.registry import Network
from .freezing import PARTS

HEADS = ("np", "hv", "nt")
"""Heads, by the names of their loss terms."""
LIFT = 4096.0
"""Factor on the losses while gradients are compared, so that float16 keeps small ones."""

Caught = list[Tensor]


@contextmanager
def shared_maps(network: Network, architecture: str) -> Iterator[Caught]:
    """Catch the maps that all heads work on while the network runs.

    Parameters
    ----------
    network : Network
    architecture : str
        Its name in the registry.

    Yields
    ------
    list of tensor
        Filled by the first forward pass inside the block; stays empty where the parts of
        the architecture are not known.
    """
    caught: Caught = []
    parts = PARTS.get(architecture)
    if parts is None:
        yield caught
        return
    module = network.get_submodule(parts.shared)
    handle = (
        module.register_forward_hook(_leaving(caught))
        if parts.leaves
        else module.register_forward_pre_hook(_entering(caught))
    )
    try:
        yield caught
    finally:
        handle.remove()


def gradient_shares(
    shared: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, float]
) -> dict[str, float]:
    """Compare the gradients that the weighted losses of the heads put on shared maps.

    Takes the graph as it is and leaves it for the backward pass; changes no ``grad`` of a
    weight and draws no random numbers.

    Parameters
    ----------
    shared : tensor
        From :func:`shared_maps`.
    terms : mapping of tensor ()
        Unweighted losses "np", "hv" and "nt" with their graphs.
    weights : mapping of float
        Of these, as they stand.

    Returns
    -------
    dict of float
        Share of each in the sum of the norms, 0..1; all 0 without any gradient.

    Examples
    --------
    >>> x = torch.ones(1, requires_grad=True)
    >>> terms = {"np": 3 * x.sum(), "hv": x.sum(), "nt": torch.zeros(())}
    >>> gradient_shares(x, terms, {"np": 1.0, "hv": 1.0, "nt": 1.0})
    {'np': 0.75, 'hv': 0.25, 'nt': 0.0}
    """
    norms = {head: _norm(shared, terms[head], weights[head]) for head in HEADS}
    total = sum(norms.values())
    return {head: norm / total if total > 0 else 0.0 for head, norm in norms.items()}


def _norm(shared: Tensor, term: Tensor, weight: float) -> float:
    if weight == 0 or not term.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(
        LIFT * weight * term, shared, retain_graph=True, allow_unused=True
    )
    return 0.0 if gradient is None else float(gradient.float().norm())


def _catch(caught: Caught, maps: Tensor) -> None:
    if caught:
        return
    if not maps.requires_grad:  # everything before is frozen
        maps.requires_grad_()
    caught.append(maps)


def _entering(caught: Caught) -> Callable[[Any, tuple[Any, ...]], None]:
    return lambda module, inputs: _catch(caught, inputs[0])


def _leaving(caught: Caught) -> Callable[[Any, tuple[Any, ...], Tensor], None]:
    return lambda module, inputs, output: _catch(caught, output)
