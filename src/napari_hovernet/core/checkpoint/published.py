"""What published and bare files leave unsaid, read from the shapes or assumed aloud."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import torch

from ...errors import CheckpointError
from ..hv import PRESETS
from ..model import ModelInfo
from ..networks.hovernet import KERNEL
from ..networks.optimus import TOKEN_PREFIX
from ..typesets import PANNUKE, assumed, numbered
from .family_dict import NOTES, notes_of, told_by
from .header import jsonable

HOVERNET_MPP = 0.25
"""Micrometres per pixel that every published HoVer-Net was trained at."""

PANNUKE_LICENCE = "CC BY-NC-SA 4.0"

State = Mapping[str, torch.Tensor]


def shape(state: State, key: str, ndim: int, name: str) -> tuple[int, ...]:
    """Look up the shape of a weight that tells how the network was built.

    Raises
    ------
    CheckpointError
        If it is missing or has another number of dimensions.
    """
    if key not in state:
        raise CheckpointError(
            f"{name} lacks {key}, which tells how its network was built; the file is incomplete: "
            "fetch or export it again."
        )
    found = tuple(state[key].shape)
    if len(found) != ndim:
        raise CheckpointError(f"{name} has {key} of shape {found}; it should have {ndim} axes.")
    return found


def hovernet_info(state: State, kind: str, name: str) -> ModelInfo:
    """Read mode and number of types of a HoVer-Net; the rest is assumed and noted."""
    edge = shape(state, "decoder.np.u3.conva.weight", 4, name)[-1]
    mode = next((mode for mode, kernel in KERNEL.items() if kernel == edge), None)
    if mode is None:
        raise CheckpointError(
            f"{name} is a HoVer-Net with decoder kernels of {edge}; known are 3 (fast) and 5 "
            "(original)."
        )
    n_types = None
    if any(key.startswith("decoder.tp.") for key in state):
        n_types = shape(state, "decoder.tp.u0.conv.weight", 4, name)[0]
    types, note = assumed(n_types, mode)
    notes = [note] if note else []
    notes.append(f"mpp is not in the file: {HOVERNET_MPP} assumed, as in all published weights")
    licence = ""
    if n_types == len(PANNUKE):
        licence = PANNUKE_LICENCE
        notes.append(
            f"the licence is not in the file: PanNuke's {PANNUKE_LICENCE} assumed "
            "(not for commercial use)"
        )
    else:
        notes.append("the licence is not in the file: see where it was published")
    return ModelInfo(
        architecture="hovernet",
        mode=mode,
        types=types,
        mpp=HOVERNET_MPP,
        licence=licence,
        file_kind=kind,
        config={"mode": mode, "n_types": n_types},
        notes=tuple(notes),
    )


def optimus_info(state: State, extras: Mapping[str, Any], name: str) -> ModelInfo:
    """Read the sizes of an Optimus decoder, and what its dict says of the training."""
    bottleneck, embed_dim, *_ = shape(state, "bottleneck.0.weight", 4, name)
    n_types = None
    if any(key.startswith("nt_head.") for key in state):
        n_types = shape(state, "nt_head.head.3.weight", 4, name)[0]
    notes = ["decodes the tokens of a vision transformer (H-optimus-0), not images"]
    if n_types is not None:
        notes.append(f"what the {n_types} types are is not in the file: 0 taken as background")
    prefix = extras.get("token_prefix")
    if not isinstance(prefix, int) or isinstance(prefix, bool) or not 0 <= prefix <= 4096:
        prefix = TOKEN_PREFIX
        notes.append(
            f"the token prefix is not in the file: {prefix} assumed; the first files of this "
            "family were trained with 1"
        )
    convention = extras.get("hv_convention")
    if convention not in PRESETS:
        convention = "default"
        notes.append("the HV convention is not in the file: [H, V] outward assumed")
    notes += notes_of(extras)
    training, history = _told(extras)
    return ModelInfo(
        architecture="optimus",
        types={} if n_types is None else numbered(n_types),
        hv_convention=str(convention),
        file_kind="optimus",
        config={
            "embed_dim": embed_dim,
            "bottleneck": bottleneck,
            "n_types": n_types,
            "token_prefix": prefix,
        },
        training=training,
        history=history,
        notes=tuple(notes),
    )


_NOT_TRAINING = (
    "optimizer_state_dict", "scheduler_state_dict", "history", "hv_convention", NOTES,
)  # fmt: skip


def _told(extras: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Split what stands beside the weights into training facts and per-epoch history."""
    facts = {k: v for k, v in extras.items() if k not in _NOT_TRAINING}
    facts = {k: vars(v) if isinstance(v, argparse.Namespace) else v for k, v in facts.items()}
    plain = {k: jsonable(v) for k, v in facts.items()}
    training = {k: v for k, v in plain.items() if v is not None}  # NaN: never measured
    training = dict(told_by(extras) or training)
    history = jsonable(extras.get("history"))
    if isinstance(history, list) and all(isinstance(step, dict) for step in history):
        return training, tuple(history)
    if history:
        training["history"] = history
    return training, ()


def compact_info(state: State, name: str) -> ModelInfo:
    """Read the widths of a bare compact network, which says nothing else of itself."""
    widths: list[int] = []
    while f"down.{len(widths)}.conv1.weight" in state:
        widths.append(shape(state, f"down.{len(widths)}.conv1.weight", 4, name)[0])
    n_types = None
    if "heads.tp.3.weight" in state:
        n_types = shape(state, "heads.tp.3.weight", 4, name)[0]
    return ModelInfo(
        architecture="compact",
        types={} if n_types is None else numbered(n_types),
        file_kind="bare weights",
        config={"widths": widths, "n_types": n_types},
        notes=(
            "bare weights: mpp, type names, licence and training are not in the file; export "
            "to .safetensors keeps them",
        ),
    )
