"""A network whose types are named anew and taken together, whatever network it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from ...errors import InputError
from ..types import Int64, Model, TypeScheme
from .registry import Network


class Regrouped(Network):
    """Gives another network's types in groups; the probability of a group is the sum of its own."""

    def __init__(self, inner: Network, table: Int64, n_types: int) -> None:
        super().__init__()
        self.inner, self.geometry, self.accepts = inner, inner.geometry, inner.accepts
        self.bytes_per_pixel = inner.bytes_per_pixel
        self.elements_per_pixel = inner.elements_per_pixel
        self.config: Mapping[str, object] = {**inner.config, "n_types": n_types}
        members = [[int(k) for k in (table == kind).nonzero()[0]] for kind in range(n_types)]
        self._members = members  # Those that no group takes are background

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the other network does, its types in groups."""
        raw: dict[str, torch.Tensor] = self.inner(x)
        types = raw["tp"].float().log_softmax(dim=1)
        empty = types.new_full(types[:, 0].shape, float("-inf"))
        groups = [types[:, own].logsumexp(dim=1) if own else empty for own in self._members]
        return {**raw, "tp": torch.stack(groups, dim=1)}


def with_types(model: Model, scheme: TypeScheme) -> Model:
    """Return a model with types of these names and colours, taken together as the scheme says."""
    count = int(model.network.config.get("n_types") or 0)
    if not count:
        raise InputError(
            f"The {model.info.architecture} model has no types that could be named or taken "
            "together; choose a model with types."
        )
    table = scheme.table(count, model.info.types)
    if not table.any():
        known = ", ".join(f"{k} {t.name}" for k, t in model.info.types.items() if k)
        raise InputError(f"None of the model's types ({known}) is taken by any of the new ones.")
    info = replace(model.info, types=dict(sorted(scheme.names.items())))
    if table.tolist() == list(range(count)) and scheme.n == count:
        return Model(model.network, info, model.device)
    return Model(Regrouped(model.network, table, scheme.n).eval(), info, model.device)
