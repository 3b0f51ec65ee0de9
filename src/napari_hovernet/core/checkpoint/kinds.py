"""Recognise whose network a dict of weights is, by the names and shapes in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ...errors import CheckpointError
from ..model import ModelInfo
from .files import WANTED
from .foreign import refuse_foreign
from .published import compact_info, hovernet_info, optimus_info

State = dict[str, torch.Tensor]

WRAPPERS = ("desc", "model_state_dict", "state_dict", "model")
"""Entries of a checkpoint dict that may hold the weights."""

PREFIXES = ("module.", "model.")
"""Left on every name by DataParallel and by wrappers; each is taken off once."""


@dataclass(frozen=True, eq=False)
class Found:
    """Weights and whose they are.

    Parameters
    ----------
    info : ModelInfo
        Architecture, config, types ...; parameters, source and hash not yet.
    state : dict of str to tensor
        Named as the network names them.
    """

    info: ModelInfo
    state: State = field(repr=False)


def recognise(payload: Any, name: str) -> Found:
    """Tell whose network a file holds.

    Parameters
    ----------
    payload : object
        What the file holds: weights, or a dict around them.
    name : str
        The file's name, for messages.

    Raises
    ------
    CheckpointError
        If it holds no weights, a network that is known but not supported, one that is not
        known, or shapes that contradict each other.
    """
    if not isinstance(payload, Mapping):
        raise CheckpointError(
            f"{name} holds a {type(payload).__name__} instead of named weights; {WANTED}."
        )
    wrapper, state = _unwrap(payload, name)
    state = _strip(state)
    extras = {str(k): v for k, v in payload.items() if k != wrapper} if wrapper else {}
    refuse_foreign(name, state, extras)
    for prefix, read in _READERS:
        if any(key.startswith(prefix) for key in state):
            return Found(read(state, extras, wrapper, name), state)
    tops = list(dict.fromkeys(key.split(".")[0] for key in state))
    shown = ", ".join(tops[:10]) + (" ..." if len(tops) > 10 else "")
    raise CheckpointError(
        f"{name} holds {len(state)} weights of a network that is not known here (its parts: "
        f"{shown}); {WANTED}."
    )


def _unwrap(payload: Mapping[Any, Any], name: str) -> tuple[str, State]:
    for wrapper in WRAPPERS:
        inner = payload.get(wrapper)
        if isinstance(inner, Mapping):
            return wrapper, _tensors(inner, name)
    if payload and all(isinstance(v, torch.Tensor) for v in payload.values()):
        return "", _tensors(payload, name)
    keys = [str(k) for k in payload]
    shown = ", ".join(keys[:10]) + (" ..." if len(keys) > 10 else "")
    raise CheckpointError(
        f"{name} holds no weights under any of {', '.join(WRAPPERS)}; its entries are: "
        f"{shown or 'none'}. {WANTED[0].upper()}{WANTED[1:]}."
    )


def _tensors(state: Mapping[Any, Any], name: str) -> State:
    wrong = [str(k) for k, v in state.items() if not isinstance(v, torch.Tensor)]
    if wrong or not state:
        what = f"{len(wrong)} entries that are none ({', '.join(wrong[:10])})" if wrong else "none"
        raise CheckpointError(f"{name} should hold weights by name but has {what}; {WANTED}.")
    return {str(k): v for k, v in state.items()}


def _strip(state: State) -> State:
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _hovernet(state: State, _: Mapping[str, Any], wrapper: str, name: str) -> ModelInfo:
    kinds = {"desc": "hover_net", "": "tiatoolbox"}
    return hovernet_info(state, kinds.get(wrapper, f"HoVer-Net under {wrapper!r}"), name)


def _optimus(state: State, extras: Mapping[str, Any], _: str, name: str) -> ModelInfo:
    return optimus_info(state, extras, name)


def _compact(state: State, _: Mapping[str, Any], __: str, name: str) -> ModelInfo:
    return compact_info(state, name)


_READERS: tuple[tuple[str, Callable[..., ModelInfo]], ...] = (
    ("decoder.np.", _hovernet),
    ("np_head.", _optimus),
    ("heads.np.", _compact),
)
"""A name's beginning that only one architecture has, and who reads the rest."""
