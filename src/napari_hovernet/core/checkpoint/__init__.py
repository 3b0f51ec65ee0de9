"""Model files: recognise, read and write them; the only place that knows foreign key names."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

from ...errors import CheckpointError, OutputError
from ..io.files import write_whole
from ..types import Model, numbered
from ..weights import BUILT_IN as BUILT_IN
from . import header
from .header import finite
from .kinds import family_payload
from .read import describe as describe
from .read import load_model as load_model

SUFFIXES = (".safetensors", ".tar", ".pth")

STORED_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def save_model(
    model: Model, path: str | os.PathLike[str], dtype: torch.dtype | None = None
) -> None:
    """Write a model to a file; the ending decides the form.

    ========================  =====================================================
    ``.safetensors``          ours: weights and all of ``model.info``; nothing is lost
    ``.tar``                  hover_net's ``{"desc": weights}`` (HoVer-Net only)
    ``.pth``, HoVer-Net       bare weights, as TIAToolbox reads them
    ``.pth``, Optimus         the family's dict with ``model_state_dict``
    ``.pth``, others          bare weights; only napari-hovernet knows such networks
    ========================  =====================================================

    Only ``.safetensors`` keeps type names, mpp, licence and history: a ``.tar`` or bare
    ``.pth`` has no place for them.

    Parameters
    ----------
    model : Model
    path : path
        Replaced in one step if it exists; left as it was if anything goes wrong.
    dtype : torch.dtype, optional
        float32, float16 or bfloat16 for the kernels; None = as they are. Vectors (biases,
        normalisation) and counters are small and keep their dtype, so nothing sensitive
        is rounded. Loading always gives float32.

    Raises
    ------
    OutputError
        If the ending or dtype is not known, the form does not fit the network, a weight
        is not finite or too large for ``dtype``, or the file cannot be written.

    Examples
    --------
    >>> save_model(model, "nuclei.safetensors", dtype=torch.float16)  # doctest: +SKIP
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(
            f"Cannot tell the form of {target.name!r} from its ending; use "
            ".safetensors (keeps everything), .tar (hover_net) or .pth (bare weights)."
        )
    if suffix == ".tar" and model.info.architecture != "hovernet":
        raise OutputError(
            f"A .tar is hover_net's own form and holds a HoVer-Net; this model is "
            f"{model.info.architecture!r}: use .safetensors or .pth."
        )
    state = stored_state(model.network, dtype)
    if suffix == ".safetensors":
        about = {**json.loads(_header(model)), header.CHECKSUM: header.digest(state)}
        data = safetensors_bytes(state, {header.KEY: json.dumps(about, sort_keys=True)})
    else:
        payload: Mapping[str, Any] = {"desc": state} if suffix == ".tar" else state
        if model.info.architecture == "optimus":
            payload = family_payload(model.info, model.network.config, state)
        buffer = io.BytesIO()  # torch turns a full disk into a RuntimeError of its own
        torch.save(payload, buffer)
        data = buffer.getvalue()
    write_whole(target, data)


def stored_state(network: torch.nn.Module, dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    """Copy a network's weights to the CPU as they go into a file; see :func:`save_model`."""
    if dtype is not None and dtype not in STORED_DTYPES:
        names = ", ".join(str(d).removeprefix("torch.") for d in STORED_DTYPES)
        raise OutputError(f"Weights cannot be stored as {dtype}; choose one of {names}.")
    state: dict[str, torch.Tensor] = {}
    for key, value in network.state_dict().items():
        stored = value.detach().cpu()
        if dtype is not None and stored.is_floating_point() and stored.ndim > 1:
            stored = stored.to(dtype)
        if stored.is_floating_point() and not finite(stored):
            raise OutputError(
                f"Weight {key} is not finite as {stored.dtype}; nothing was written. "
                "A diverged model cannot be saved; one that only overflows can as float32."
            )
        state[key] = stored.contiguous()
    return state


def _header(model: Model) -> str:
    """Write the header as it will be read: the network's own arguments, every type named."""
    config = dict(model.network.config)
    n_types = config.get("n_types") or 0
    info = replace(
        model.info,
        config=config,
        mode=str(config.get("mode", "")),
        types=model.info.types or (numbered(n_types) if n_types else {}),
    )
    text = header.dump(info)
    try:
        found = len(header.parse(text, "The model").types)
    except CheckpointError as error:
        raise OutputError(f"This model cannot be saved as it is described: {error}") from error
    if found != n_types:
        raise OutputError(
            f"The model's network has {n_types or 'no'} types but {found} are named; give "
            "ModelInfo.types one entry for each, background (0) included."
        )
    return text
