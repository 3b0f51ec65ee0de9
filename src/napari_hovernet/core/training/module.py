"""One training step: the network it starts from, batch in, loss and numbers out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from ...errors import InputError, UserError
from ..checkpoint import header, load_model
from ..data.samples import LoadedData, Sample
from ..hv import HVConvention
from ..losses import HoverLoss
from ..networks.blocks import centre_crop
from ..networks.optimus import GRID
from ..networks.registry import Network, build
from ..params import LOSS_HEADS, LOSS_NAMES, LOSS_PARTS, SCRATCH, OptimParams, TrainConfig
from ..types import ModelInfo, TypeInfo, numbered
from .check import TOKENS, architecture_of
from .resume import load_optimizer


class Freezer:
    """Sets what of a network learns in an epoch."""

    def __init__(self, network: Network, optim: OptimParams, typed: bool) -> None:
        self._network, self._optim, self._typed = network, optim, typed
        if optim.freeze != "nothing" and network.parts is None:
            raise InputError(
                f"The parts of a {type(network).__name__} are not known; choose freeze 'nothing'."
            )

    def apply(self, epoch: int) -> None:
        """Put the network in training mode, but for what is frozen in ``epoch`` (from 1)."""
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
        parts = self._network.parts
        if parts is None or not name:
            return False
        if not self._typed and _within(name, parts.types):
            return True
        frozen = self._optim.freeze
        if frozen == "two phases":
            frozen = "encoder" if 2 * epoch <= self._optim.epochs else "nothing"
        if frozen == "all but heads":
            return not _within(name, parts.heads)
        return frozen == "encoder" and _within(name, parts.encoder)


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


LIFT = 4096.0
"""Factor on the losses while gradients are compared, so that float16 keeps small ones."""


@contextmanager
def shared_maps(network: Network) -> Iterator[list[Tensor]]:
    """Catch the maps that all heads work on while the network runs."""
    caught: list[Tensor] = []
    parts = network.parts
    if parts is None:
        yield caught
        return

    def catch(_module: Any, inputs: tuple[Tensor, ...], output: Tensor | None = None) -> None:
        maps = inputs[0] if output is None else output
        if not caught:
            caught.append(maps if maps.requires_grad else maps.requires_grad_())

    module = network.get_submodule(parts.shared)
    hook = module.register_forward_hook if parts.leaves else module.register_forward_pre_hook
    handle = hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def gradient_shares(
    shared: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, float]
) -> dict[str, float]:
    """Compare the gradients of the heads' weighted losses on shared maps; the graph stays as is."""
    norms = {head: _norm(shared, terms[head], weights[head]) for head in LOSS_HEADS}
    total = sum(norms.values())
    return {head: norm / total if total > 0 else 0.0 for head, norm in norms.items()}


def _norm(shared: Tensor, term: Tensor, weight: float) -> float:
    if weight == 0 or not term.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(
        LIFT * weight * term, shared, retain_graph=True, allow_unused=True
    )
    return 0.0 if gradient is None else float(gradient.float().norm())


LOOKED_AT = 400
"""Samples whose types are looked at before the start, evenly spread; the rest on use."""
MPP_TOLERANCE = 0.10
"""Relative difference of mpp between data and starting model that is not mentioned."""
OURS = "default"
"""Convention of networks that give [H, V] outward, as our targets are."""


@dataclass(frozen=True, eq=False)
class Start:
    """A network to train."""

    network: Network  # On the CPU, float32
    info: ModelInfo  # What is known of it, its provenance included
    notes: tuple[str, ...]  # What was assumed or left out
    typed: bool  # Whether its type head learns

    @property
    def n_types(self) -> int | None:
        """Types that training items need, background included; None = they need none."""
        count = self.network.config.get("n_types")
        return int(count) if self.typed and count else None


def start_of(config: TrainConfig, data: LoadedData) -> Start:
    """Load or build the network of a run."""
    highest = highest_type(data.all)
    mpps = {sample.mpp for sample in data.all}
    notes: tuple[str, ...]
    if config.start.startswith(SCRATCH):
        network = _built(config, data, highest)
        info = ModelInfo(
            architecture_of(config.start),
            mode=str(network.config.get("mode", "")),
            mpp=mpps.pop() if len(mpps) == 1 else None,
            hv_convention=OURS,
            config=dict(network.config),
        )
        notes = (f"An untrained {info.architecture} network; it starts from seed {config.seed}.",)
    else:
        model = load_model(config.start, "cpu")
        network, info, notes = model.network, model.info, tuple(model.info.notes)
    network, info, said = _with_types_of(network, info, data, config.seed)
    notes = (*notes, *said, *_mpp_notes(info, data))
    n_types = network.config.get("n_types")
    if n_types and not info.types:
        info = replace(info, types=numbered(int(n_types)))
    return Start(network, described(info), notes, typed=bool(n_types) and highest is not None)


def restored(text: str, state: Mapping[str, torch.Tensor], typed: bool) -> Start:
    """Build the network of an interrupted run from what its resume file says."""
    info = header.parse(text, "The resume file")
    network = build(info.architecture, info.config)
    network.load_state_dict(state)
    return Start(network, info, (), typed)


def described(info: ModelInfo) -> ModelInfo:
    """Say of a model what a file written from it says: so a resumed run knows as much."""
    known = HVConvention.preset(info.hv_convention)
    if (known.order, known.sign) == ("hv", "outward"):
        info = replace(info, hv_convention=OURS)  # our own targets, from now on
    return header.parse(header.dump(info), "The starting model")


def highest_type(samples: Sequence[Sample]) -> int | None:
    """Return the highest type among samples; None if they have no types."""
    every = -(-len(samples) // LOOKED_AT) or 1
    maps = (sample.arrays.type_map for sample in itertools.islice(samples, 0, None, every))
    found = [int(types.max()) for types in maps if types is not None and types.size]
    return max(found, default=None)


def _built(config: TrainConfig, data: LoadedData, highest: int | None) -> Network:
    name = architecture_of(config.start)
    wanted: dict[str, Any] = {"n_types": max((*data.type_names, highest)) + 1 if highest else None}
    if name == TOKENS:
        tokens = next((s.features for s in data.all if s.features is not None), None)
        if tokens is None:
            raise InputError("The token decoder learns from cached features; the data have none.")
        count, length = tokens.shape
        wanted |= {"embed_dim": int(length), "token_prefix": max(int(count) - GRID * GRID, 0)}
    torch.manual_seed(config.seed)
    return build(name, wanted)


def _with_types_of(
    network: Network, info: ModelInfo, data: LoadedData, seed: int
) -> tuple[Network, ModelInfo, tuple[str, ...]]:
    """Give a network the types of the data: it keeps its head where they are the same."""
    highest, count = highest_type(data.all), int(network.config.get("n_types") or 0)
    if not highest:
        note = "The data have no types: the type head stays as it is."
        return network, info, (note,) if count and highest is None else ()
    own, names = _named(info.types), _named(data.type_names)
    wanted = data.type_names if names else numbered(highest + 1)
    needed = max((*wanted, highest)) + 1
    if (count == needed and own in ({}, names)) if names else highest < count:
        fewer = (
            f"The data have types up to {highest}, the network 0 to {count - 1}: types above "
            f"{highest} are not seen and may be forgotten.",
        )
        known = replace(info, types=dict(data.type_names or info.types))
        return network, known, fewer if highest < count - 1 else ()
    if network.parts is None:
        note = "The data have other types than the network, whose head is not known: none learns."
        return network, info, (note,)
    made = with_new_types(network, info.architecture, needed, seed)
    listed = ", ".join(t.name for k, t in sorted(wanted.items()) if k)
    before = f"{count - 1} unnamed types" if count else "no types"
    before = f"other types ({', '.join(own.values())})" if own else before
    note = f"The model has {before}: a new type head learns {listed}."
    known = replace(info, types=dict(wanted), config=dict(made.config))
    return made, replace(known, parameters=sum(p.numel() for p in made.parameters())), (note,)


def _named(types: Mapping[int, TypeInfo]) -> dict[int, str]:
    """Names of types in lower case, {} where they are but numbered."""
    names = {k: t.name.strip().casefold() for k, t in types.items() if k}
    return {} if all(name == f"type {k}" for k, name in names.items()) else names


def with_new_types(network: Network, architecture: str, n_types: int, seed: int) -> Network:
    """Build a network like another for other types; all but the last layer of the head is kept."""
    torch.manual_seed(seed)
    made = build(architecture, {**network.config, "n_types": n_types})
    old, new = network.state_dict(), made.state_dict()
    types = network.parts.types if network.parts else ()
    head = [name for name in new if _within(name, types)]
    last = head[-1].rpartition(".")[0]
    kept = {k: v for k, v in old.items() if k in new and k.rpartition(".")[0] != last}
    made.load_state_dict({**new, **kept})
    return made


def _mpp_notes(info: ModelInfo, data: LoadedData) -> tuple[str, ...]:
    known = info.mpp
    found = sorted({sample.mpp for sample in data.all if sample.mpp is not None})
    if known is None or not found:
        return ()
    worst = max(found, key=lambda mpp: abs(mpp / known - 1))
    note = (
        f"The data have {worst:g} µm per pixel, the starting model {known:g}: nuclei look "
        "larger or smaller than it knows them; resize the images first."
    )
    return (note,) if abs(worst / known - 1) > MPP_TOLERANCE else ()


Batch = Mapping[str, Tensor]


class Diverged(UserError):  # noqa: N818 - reads as what happened
    """A loss term, or a weight, is no longer finite."""

    def __init__(self, message: str, term: str = "") -> None:
        super().__init__(message)
        self.term = term


@dataclass
class StepNumbers:
    """What is logged of a step."""

    total: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    magnitude: float = 0.0
    true_magnitude: float = 0.0
    heads: dict[str, float] | None = None


class TrainingModule(L.LightningModule):
    """Network, loss and optimiser of a run."""

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
        self.numbers, self.compare_heads = StepNumbers(), False
        self.freezer = Freezer(start.network, optim, start.typed)
        self._convention = HVConvention.preset(start.info.hv_convention)
        self._optim, self._optimizer_state = optim, optimizer_state
        self._typed = start.typed

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch; see :class:`~.dataset.CropDataset` for its parts."""
        watch = shared_maps(self.network) if self.compare_heads else None
        with watch or nullcontext([]) as caught:
            raw = self.network(_input(batch))
        hv = outward(raw["hv"], self._convention)
        true = {name: _cropped(x, raw["np"]) for name, x in batch.items() if name in _PLANES}
        types = raw.get("tp") if self._typed else None
        if types is not None and not self.network.config.get("types_background", True):
            true["nt"] = true["nt"].where(true["nt"] > 0, -1)  # it has no answer for background
        total: Tensor
        total, terms = self.loss(
            raw["np"], hv, types, true["np"], true["hv"], true.get("nt"), true.get("valid")
        )
        self._note(total, terms, hv.detach(), true)
        if caught:
            self.numbers.heads = gradient_shares(caught[0], terms, self.loss.weights())
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
            load_optimizer(optimizer, self._optimizer_state)
            self._optimizer_state = None
        return optimizer

    def _note(
        self, total: Tensor, terms: Mapping[str, Tensor], hv: Tensor, true: Mapping[str, Tensor]
    ) -> None:
        """Fetch all numbers from the device at once, and refuse to go on with bad ones."""
        inside = true["np"] > 0
        if "valid" in true:
            inside &= true["valid"] > 0
        wanted = {name: terms[name] for name in LOSS_NAMES} | {
            "total": total,
            "magnitude": mean_length(hv, inside),
            "true_magnitude": mean_length(true["hv"], inside),
        }
        values = torch.stack([x.detach().float() for x in wanted.values()]).tolist()
        found = dict(zip(wanted, values, strict=True))
        bad = next((name for name in (*LOSS_PARTS, "total") if not math.isfinite(found[name])), "")
        if bad:
            raise Diverged(
                f"The loss term {bad} became {found[bad]}: training stopped, the last good "
                "models are kept. Lower the learning rate or this term's weight, or train in "
                "precision 32.",
                bad,
            )
        own = {name: found[name] for name in LOSS_NAMES}
        lengths = found["magnitude"], found["true_magnitude"]
        self.numbers = StepNumbers(found["total"], own, self.loss.shares(own), *lengths)


_PLANES = ("np", "hv", "nt", "valid")


def outward(hv: Tensor, convention: HVConvention) -> Tensor:
    """Bring raw HV (B, 2, H, W) to [H, V] outward, as the targets are."""
    if convention.order == "vh":
        hv = hv.flip(1)
    return -hv if convention.sign == "inward" else hv


def mean_length(hv: Tensor, inside: Tensor) -> Tensor:
    """Mean length of HV (B, 2, H, W) where ``inside`` (B, H, W); NaN without such pixels."""
    length = torch.linalg.vector_norm(hv.float(), dim=1)
    mean: Tensor = (length * inside).sum() / inside.sum()
    return mean


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


STEP_FACTOR = 0.1
"""What "step" multiplies the rate by, once, at half of the steps."""


def rate(optim: OptimParams, step: int, total: int) -> float:
    """Return the learning rate of a step."""
    warm = min((step + 1) / (optim.warmup_steps + 1), 1.0)
    factor = 1.0
    if optim.schedule == "step":
        factor = STEP_FACTOR if 2 * step >= total else 1.0
    if optim.schedule == "cosine":
        start = min(optim.warmup_steps, total)
        gone = max(step - start, 0) / max(total - start, 1)
        factor = (1 + math.cos(math.pi * min(gone, 1.0))) / 2
    return optim.lr * warm * factor
