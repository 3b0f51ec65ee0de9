"""Which parts of a network learn, and which stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from ...errors import InputError
from ..networks.registry import Network
from .params import OptimParams

_LAST = ("u1", "u0")
_BRANCHES = ("tp", "np", "hv")


@dataclass(frozen=True)
class Parts:
    """Names of a network's modules by what they do.

    Parameters
    ----------
    encoder : tuple of str
        Those that read the input.
    heads : tuple of str
        Those after the maps that the heads share, or the last units of each branch.
    types : tuple of str
        Those that nothing but the type loss reaches.
    shared : str
        Where the maps that all heads share pass: into this module ...
    leaves : bool
        ... or out of it, when it is called first.
    """

    encoder: tuple[str, ...]
    heads: tuple[str, ...]
    types: tuple[str, ...]
    shared: str
    leaves: bool = False


PARTS: Mapping[str, Parts] = {
    "compact": Parts(("down",), ("heads",), ("heads.tp",), "heads.np"),
    "hovernet": Parts(
        ("conv0", "d0", "d1", "d2", "d3"),
        tuple(f"decoder.{branch}.{unit}" for branch in _BRANCHES for unit in _LAST),
        ("decoder.tp",),
        "upsample2x",
        leaves=True,
    ),
    "optimus": Parts(("bottleneck",), ("np_head", "hv_head", "nt_head"), ("nt_head",), "np_head"),
}
"""By architecture. HoVer-Net's encoder is what its authors freeze; the token decoder's real
encoder is outside the file, so its first layer stands for it."""


def parts_of(architecture: str) -> Parts:
    """Look up the parts of an architecture.

    Raises
    ------
    InputError
        If nothing is known of them.
    """
    if architecture not in PARTS:
        raise InputError(
            f"The parts of a {architecture!r} network are not known, only those of "
            f"{', '.join(PARTS)}; choose freeze 'nothing'."
        )
    return PARTS[architecture]


class Freezer:
    """Sets what of a network learns in an epoch.

    Parameters
    ----------
    network : Network
    architecture : str
        Its name in the registry.
    optim : OptimParams
    typed : bool
        Whether there are types to learn from; without, a type head stays as it is.

    Raises
    ------
    InputError
        If the parts to freeze are not known.

    Examples
    --------
    >>> from napari_hovernet.core.networks.registry import build
    >>> network = build("compact", {"widths": [4, 8]})
    >>> freezer = Freezer(network, "compact", OptimParams(freeze="encoder"), typed=False)
    >>> freezer.apply(1)
    >>> network.down.training, next(network.down.parameters()).requires_grad
    (False, False)
    """

    def __init__(
        self, network: Network, architecture: str, optim: OptimParams, typed: bool
    ) -> None:
        self._network, self._architecture, self._optim = network, architecture, optim
        self._typed = typed
        if optim.freeze != "nothing":
            parts_of(architecture)

    def choice(self, epoch: int) -> str:
        """Tell what is frozen in an epoch (from 1): "nothing", "encoder" or "all but heads"."""
        if self._optim.freeze != "two phases":
            return self._optim.freeze
        return "encoder" if 2 * epoch <= self._optim.epochs else "nothing"

    def apply(self, epoch: int) -> None:
        """Put the network in training mode, but for what is frozen in ``epoch`` (from 1).

        Frozen weights take no gradient; frozen batch norms keep and use their statistics.
        """
        for name, module in self._network.named_modules():
            module.training = not self._frozen(name, epoch)
        for name, weight in self._network.named_parameters():
            weight.requires_grad_(not self._frozen(name, epoch))

    def frozen(self, epoch: int) -> Iterator[nn.Parameter]:
        """Give the weights that are frozen in an epoch."""
        for name, weight in self._network.named_parameters():
            if self._frozen(name, epoch):
                yield weight

    def _frozen(self, name: str, epoch: int) -> bool:
        parts = PARTS.get(self._architecture)
        if parts is None or not name:
            return False
        if not self._typed and _within(name, parts.types):
            return True
        choice = self.choice(epoch)
        if choice == "all but heads":
            return not _within(name, parts.heads)
        return choice == "encoder" and _within(name, parts.encoder)


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
