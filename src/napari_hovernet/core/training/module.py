"""One training step: batch in, loss out, and what is to be told of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ...errors import UserError
from ..hv import HVConvention
from ..losses import PARTS, TERMS, HoverLoss
from ..networks.blocks import centre_crop
from .freezing import Freezer
from .params import OptimParams
from .shared_maps import gradient_shares, shared_maps
from .starting import Start

HEADS_EVERY = 25
"""Steps from one comparison of the heads' gradients to the next; each costs about a third
of a step."""

Batch = Mapping[str, Tensor]


class Diverged(UserError):  # noqa: N818 - reads as what happened
    """A loss term, or a weight, is no longer finite.

    Parameters
    ----------
    message : str
    term : str
        The term, "" for weights.
    """

    def __init__(self, message: str, term: str = "") -> None:
        super().__init__(message)
        self.term = term


@dataclass
class Told:
    """What is to be told of the last step: plain numbers."""

    total: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    magnitude: float = 0.0
    true_magnitude: float = 0.0
    heads: dict[str, float] | None = None


class TrainingModule(L.LightningModule):
    """Network, loss and optimiser of a run.

    Parameters
    ----------
    start : Start
        Its network is trained in place.
    loss : HoverLoss
    optim : OptimParams
    optimizer_state : mapping, optional
        Of an interrupted run.

    Attributes
    ----------
    told : Told
        Of the last step.
    freezer : Freezer
    compare_heads : bool
        Whether the next step compares the gradients of the heads.
    """

    def __init__(
        self,
        start: Start,
        loss: HoverLoss,
        optim: OptimParams,
        optimizer_state: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.loss = start.network, loss
        self.architecture = start.info.architecture
        self.told, self.compare_heads = Told(), False
        self.freezer = Freezer(start.network, self.architecture, optim, start.typed)
        self._convention = HVConvention.preset(start.info.hv_convention)
        self._optim, self._optimizer_state = optim, optimizer_state
        self._typed = start.typed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch; see :class:`~.dataset.CropDataset` for its parts.

        Raises
        ------
        Diverged
            If a term is not finite; names the first.
        """
        watch = shared_maps(self.network, self.architecture) if self.compare_heads else None
        with watch or nullcontext([]) as caught:
            raw = self.network(_input(batch))
        hv = outward(raw["hv"], self._convention)
        true = {name: _cropped(x, raw["np"]) for name, x in batch.items() if name in _PLANES}
        types = raw.get("tp") if self._typed else None
        total: Tensor
        total, terms = self.loss(
            raw["np"], hv, types, true["np"], true["hv"], true.get("nt"), true.get("valid")
        )
        self._tell(total, terms, hv.detach(), true)
        if caught:
            self.told.heads = gradient_shares(caught[0], terms, self.loss.weights())
        return total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make AdamW over all weights; learned loss weights take part without decay."""
        groups: list[dict[str, Any]] = [{"params": list(self.network.parameters())}]
        learned = list(self.loss.parameters())
        if learned:
            groups.append({"params": learned, "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(
            groups, lr=self._optim.lr, weight_decay=self._optim.weight_decay
        )
        if self._optimizer_state is not None:
            optimizer.load_state_dict(dict(self._optimizer_state))
            self._optimizer_state = None
        return optimizer

    def _tell(
        self, total: Tensor, terms: Mapping[str, Tensor], hv: Tensor, true: Mapping[str, Tensor]
    ) -> None:
        """Fetch all numbers from the device at once, and refuse to go on with bad ones."""
        inside = true["np"] > 0
        if "valid" in true:
            inside &= true["valid"] > 0
        lengths = [mean_length(hv, inside), mean_length(true["hv"], inside)]
        ordered = [terms[name] for name in TERMS]
        values = torch.stack([x.detach().float() for x in (*ordered, total, *lengths)]).tolist()
        numbers = dict(zip((*TERMS, "total", "magnitude", "true_magnitude"), values, strict=True))
        bad = next((name for name in (*PARTS, "total") if not math.isfinite(numbers[name])), "")
        if bad:
            raise Diverged(
                f"The loss term {bad} became {numbers[bad]}: training stopped, the last good "
                "models are kept. Lower the learning rate or this term's weight, or train in "
                "precision 32.",
                bad,
            )
        told = {name: numbers[name] for name in TERMS}
        self.told = Told(
            numbers["total"],
            told,
            self.loss.shares(told),
            numbers["magnitude"],
            numbers["true_magnitude"],
        )


_PLANES = ("np", "hv", "nt", "valid")


def outward(hv: Tensor, convention: HVConvention) -> Tensor:
    """Bring raw HV (B, 2, H, W) to [H, V] outward, as the targets are."""
    if convention.order == "vh":
        hv = hv.flip(1)
    return -hv if convention.sign == "inward" else hv


def mean_length(hv: Tensor, inside: Tensor) -> Tensor:
    """Mean length of HV (B, 2, H, W) where ``inside`` (B, H, W); NaN without such pixels.

    Examples
    --------
    >>> hv = torch.tensor([[[[3.0]], [[4.0]]]])
    >>> float(mean_length(hv, torch.ones(1, 1, 1, dtype=torch.bool)))
    5.0
    """
    length = torch.linalg.vector_norm(hv.float(), dim=1)
    mean: Tensor = (length * inside).sum() / inside.sum()
    return mean


def trainable(parameters: Iterable[torch.nn.Parameter]) -> int:
    """Count the weights that take a gradient."""
    return sum(p.numel() for p in parameters if p.requires_grad)


def _input(batch: Batch) -> Tensor:
    if "tokens" in batch:
        return batch["tokens"].float()
    return batch["image"].float().contiguous(memory_format=torch.channels_last)


def _cropped(target: Tensor, output: Tensor) -> Tensor:
    """Cut the middle of a target, as far as the network's valid convolutions leave it."""
    height, width = output.shape[2:]
    if target.shape[-2:] == (height, width):
        return target
    if target.ndim == 3:
        return centre_crop(target[:, None], height, width)[:, 0]
    return centre_crop(target, height, width)
