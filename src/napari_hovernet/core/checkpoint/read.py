"""Load and describe a model file of any kind that is known."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ...errors import CheckpointError, InputError, is_out_of_memory, plain
from ..inference.devices import resolve_device
from ..networks.registry import Network
from ..types import Model, ModelInfo
from ..weights import BUILT_IN, DEFAULT, FOLDER, offered
from . import header
from .header import SAFETENSORS, ZIP, blank, damaged, fitted, identify, sha256
from .kinds import Found, recognise, with_background

SUMS = "SHA256SUMS"
"""File of checksums beside the built-in models."""
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")

_SCALAR_KINDS = "fiub"
_DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def read(path: Path, form: str) -> Any:
    """Unpickle weights and plain values alone, and what training scripts store beside them."""
    _check_pickle(path, form)
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=form == ZIP)
    except pickle.UnpicklingError as error:
        found = _GLOBAL.search(str(error))
        if found is None:
            what = "its pickle holds something other than weights and plain values"
            raise damaged(path.name, what) from error
        raise CheckpointError(
            f"{path.name} asks to call {plain(found[1])} while it is read. Weights need no code, "
            "so it is refused and nothing was run. If you trust where it comes from, open it there "
            "with the program that wrote it and save the weights alone: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    except Exception as error:  # a broken pickle can raise anything; all mean the same here
        if is_out_of_memory(error):
            raise CheckpointError(
                f"{path.name} does not fit into memory; close other programs."
            ) from error
        first = plain(str(error).strip().partition("\n")[0], 120)
        raise damaged(path.name, first or type(error).__name__) from error


LEGACY_PICKLES = 5
"""Torch's older files are so many pickles, one after another, then the numbers."""


def _check_pickle(path: Path, form: str) -> None:
    """Look a pickle through before torch reads it: it must end, and fit into memory."""
    from ..pickles import scan  # noqa: PLC0415 - our own models are no pickles

    try:
        if form == ZIP:
            with zipfile.ZipFile(path) as archive:
                found = [n for n in archive.namelist() if n.rpartition("/")[2] == "data.pkl"]
                seen = scan(archive.read(found[0]))
        else:
            with path.open("rb") as file:
                seen = scan(file, LEGACY_PICKLES)
    except InputError as error:
        raise damaged(path.name, error) from error
    except Exception as error:  # whatever is no pickle
        raise damaged(path.name, plain(error, 120) or type(error).__name__) from error
    if seen.storage > path.stat().st_size:
        what = f"it claims {seen.storage:,} numbers in {path.stat().st_size:,} bytes"
        raise damaged(path.name, what)


def _scalar(dtype: Any, data: Any = None) -> Any:
    """Stand in for numpy's scalar rebuilder: numbers only, as Python's own."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in _SCALAR_KINDS:
        raise pickle.UnpicklingError("a numpy scalar that is not a number")
    if not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise pickle.UnpicklingError("a numpy scalar of the wrong length")
    return np.frombuffer(data, dtype)[0].item()


_ALLOWED: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    (np.dtype, "numpy.dtype"),
    *(type(np.dtype(name)) for name in _DTYPES),
    argparse.Namespace,
    (PurePosixPath, "pathlib.PosixPath"),
    (PureWindowsPath, "pathlib.WindowsPath"),
    (PurePosixPath, "pathlib._local.PosixPath"),
    (PureWindowsPath, "pathlib._local.WindowsPath"),
]
"""Names a file may ask for, and what it gets."""

Source = str | os.PathLike[str]


def load_model(
    source: Source = DEFAULT,
    device: str | torch.device = "auto",
    *,
    types_background: bool | None = None,
) -> Model:
    """Load a model, ready to run.

    Parameters
    ----------
    source : str or path
        The name of a built-in model, by default the best one ("compact" and others; a file of
        that name is "./compact"), or a file: hover_net ``.tar``, TIAToolbox or
        Optimus ``.pth``, ours ``.safetensors``. Its kind is told from what is inside, never
        from its name, and no code in it is ever run.
    device : str or torch.device
        As :func:`napari_hovernet.core.inference.devices.resolve_device` takes it.
    types_background : bool, optional
        Of a token decoder: whether class 0 of its types is background. False = class 0 is the
        first type, as the Optimus family stores them; all are then numbered from 1. Default: as
        the file says, else True.

    Returns
    -------
    Model
        In eval mode, float32, with what is known of it in ``info``.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is not a model, is one that is not supported, or does not
        fit its network in every name, shape and value; if ``types_background`` is given for
        another network than a token decoder with types.
    DeviceError
        If the device is not there.

    Examples
    --------
    >>> model = load_model("hovernet_fast_pannuke_type_tf2pytorch.tar")  # doctest: +SKIP
    >>> model.info.mode, len(model.info.types)  # doctest: +SKIP
    ('fast', 6)
    """
    where = resolve_device(device)
    info, network, state = _read(source, types_background)
    network.load_state_dict(state, strict=True, assign=True)
    return Model(network.to(where).eval(), info, where)


def describe(source: Source = DEFAULT) -> ModelInfo:
    """Tell everything about a model before it is run; checks the file as loading does."""
    return _read(source)[0]


def _read(
    source: Source, types_background: bool | None = None
) -> tuple[ModelInfo, Network, dict[str, torch.Tensor]]:
    """Read, check and describe a file; the network is still without weights."""
    path = _path(source)
    form, name = identify(path), path.name
    found = _from_safetensors(path) if form == SAFETENSORS else _from_torch(path, form)
    _compare_with_list(path)
    if types_background is not None:
        found = replace(found, info=with_background(found.info, types_background, name))
    network = blank(found.info, name)
    n_types, mode = network.config.get("n_types"), network.config.get("mode", "")
    said = {f"{len(found.info.types)} types": len(found.info.types) == (n_types or 0),
            f"mode {found.info.mode!r}": found.info.mode == mode}  # fmt: skip
    for what, fits in said.items():
        if not fits:
            own = f"but its network has {n_types or 'no'} types, mode {mode!r}"
            raise CheckpointError(f"{name} says {what}, {own}; export it again.")
    info = replace(
        found.info,
        config=dict(network.config),
        parameters=sum(p.numel() for p in network.parameters()),
        source=str(source) if source in BUILT_IN else str(path),
        sha256=sha256(path),
    )
    return info, network, fitted(network, found.state, info, name)


def _path(source: Source) -> Path:
    if isinstance(source, str) and source in BUILT_IN:
        model = BUILT_IN[source]
        if not model.there:
            raise CheckpointError(
                f"The built-in model {source!r} is not in this installation ({model.path} is "
                f"missing), which has {', '.join(offered()) or 'none'}: install napari-hovernet "
                "again, or give a model file."
            )
        return model.path
    try:
        return Path(source).expanduser()
    except (TypeError, RuntimeError) as error:
        raise CheckpointError(f"{source!r} is no path to a model file: {error}.") from error


def _compare_with_list(path: Path) -> None:
    """Refuse a built-in model that is not the one that was shipped."""
    if path.parent != FOLDER or not (path.parent / SUMS).is_file():
        return
    lines = (line.split() for line in (path.parent / SUMS).read_text("utf-8").splitlines())
    known = {parts[1]: parts[0] for parts in lines if len(parts) == 2}
    if known.get(path.name, "") not in ("", sha256(path)):
        raise CheckpointError(
            f"{path.name} is not the file that was shipped (its checksum differs): install "
            "napari-hovernet again."
        )


def _from_safetensors(path: Path) -> Found:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise damaged(path.name, error) from error
    if header.KEY in metadata:
        info = header.parse(metadata[header.KEY], path.name)
        said = json.loads(metadata[header.KEY]).get(header.CHECKSUM)
        if said not in (None, header.digest(state)):
            raise damaged(path.name, "its weights are not those of its checksum")
        return Found(info, state)
    return recognise(state, path.name)


def _from_torch(path: Path, form: str) -> Found:
    payload: Any = read(path, form)
    found = recognise(payload, path.name)
    claimed = sum(t.numel() * t.element_size() for t in found.state.values())
    size = path.stat().st_size
    if claimed > size:
        raise damaged(path.name, f"it claims {claimed:,} bytes of weights and has {size:,}")
    return found
