"""Strict loading: every weight has its place, its shape and a sane value, or none is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...errors import CheckpointError, InputError
from ..model import ModelInfo
from ..networks.registry import Network, build

SHOWN = 10
"""Names that a message lists before it only counts."""


def blank(info: ModelInfo, name: str) -> Network:
    """Build the network a file describes, on the meta device: shapes without memory.

    Raises
    ------
    CheckpointError
        If there is no such network or it cannot be built so.
    """
    try:
        with torch.device("meta"):
            return build(info.architecture, info.config).eval()
    except (InputError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(
            f"{name} describes a network that cannot be built: {error} "
            "Export it again, or update napari-hovernet."
        ) from error


def fitted(
    network: Network, state: Mapping[str, torch.Tensor], info: ModelInfo, name: str
) -> dict[str, torch.Tensor]:
    """Check weights against their network and bring them to its dtypes.

    Parameters
    ----------
    network : Network
        As :func:`blank` builds it.
    state : mapping of str to tensor
        On the CPU; may be float16 or float64.
    info : ModelInfo
        Says what the file looks like.
    name : str
        The file's name, for messages.

    Returns
    -------
    dict of str to tensor
        Copies that share no memory with the file; float32 where the network has float32.

    Raises
    ------
    CheckpointError
        If names are missing or unexpected, shapes or dtypes differ, or values are not finite,
        a variance is negative, or HoVer-Net's unpooling matrix is not all ones.
    """
    wanted = network.state_dict()
    _check_names(wanted, state, info, name)
    result = {key: _copied(state[key], wanted[key].dtype) for key in wanted}
    _check_values(result, name)
    return result


def finite(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor on the CPU holds neither NaN nor infinite values; one pass.

    A sum in float64 cannot overflow from float32, and one bad value spoils it.
    """
    values = (
        tensor.detach().to(torch.float32) if tensor.dtype == torch.bfloat16 else tensor.detach()
    )
    return math.isfinite(float(values.numpy().sum(dtype=np.float64)))


def looks_like(info: ModelInfo) -> str:
    """Describe a model in a few words.

    Examples
    --------
    >>> looks_like(ModelInfo("hovernet", mode="fast", config={"n_types": 6}))
    'hovernet (fast, 6 types)'
    """
    n_types = info.config.get("n_types")
    parts = [info.mode] if info.mode else []
    parts.append(f"{n_types} types" if n_types else "no types")
    return f"{info.architecture} ({', '.join(parts)})"


def _check_names(
    wanted: Mapping[str, torch.Tensor],
    state: Mapping[str, torch.Tensor],
    info: ModelInfo,
    name: str,
) -> None:
    shared = [key for key in wanted if key in state]
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in shared
        if state[key].shape != wanted[key].shape
    ]
    dtypes = [
        f"{key} {state[key].dtype}" for key in shared if not _castable(state[key], wanted[key])
    ]
    faults = [
        _listed("missing", [key for key in wanted if key not in state]),
        _listed("unexpected", [key for key in state if key not in wanted]),
        _listed("of another shape", shapes),
        _listed("of a dtype that does not fit", dtypes),
    ]
    if any(faults):
        raise CheckpointError(
            f"{name} looks like {looks_like(info)} but does not fit it: "
            f"{'; '.join(fault for fault in faults if fault)}. Nothing was loaded; it is "
            "damaged, or a variant of the network that is not known here."
        )


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"


def _castable(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    if found.layout != torch.strided or found.is_quantized:
        return False
    return found.is_floating_point() == wanted.is_floating_point() and not found.is_complex()


def _copied(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.detach().to(dtype, copy=True, memory_format=torch.contiguous_format)


def _check_values(state: Mapping[str, torch.Tensor], name: str) -> None:
    floats = {key: value for key, value in state.items() if value.is_floating_point()}
    broken = [key for key, value in floats.items() if not finite(value)]
    negative = [
        key for key, value in floats.items() if key.endswith("running_var") and value.min() < 0
    ]
    unpool = [key for key, v in floats.items() if "unpool" in key and not bool((v == 1).all())]
    faults = [
        _listed("with NaN or infinite values", broken),
        _listed("with a negative variance", negative),
        _listed("of unpooling that are not all ones", unpool),
    ]
    if any(faults):
        raise CheckpointError(
            f"{name} has weights that cannot work: "
            f"{'; '.join(fault for fault in faults if fault)}. The training diverged or the file "
            "is damaged: take an earlier checkpoint."
        )
