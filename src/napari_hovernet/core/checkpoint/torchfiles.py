"""Read what ``torch.save`` wrote, without ever running what is inside."""

from __future__ import annotations

import argparse
import pickle
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch

from ...errors import CheckpointError
from .files import ZIP, damaged

_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")

_SCALAR_KINDS = "fiub"
_DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def read(path: Path, form: str) -> Any:
    """Unpickle weights and plain values alone.

    Beyond tensors and Python's own types only numbers of numpy, ``argparse.Namespace``
    and paths are allowed, because training scripts store them ("best_dice", "args").

    Parameters
    ----------
    path : Path
    form : {"zip", "pickle"}
        As :func:`..files.identify` found.

    Returns
    -------
    object
        What the file holds.

    Raises
    ------
    CheckpointError
        If it needs anything else (named in the message; nothing is run), or is damaged.
    """
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=form == ZIP)
    except pickle.UnpicklingError as error:
        raise _refused(path.name, str(error)) from error
    except Exception as error:  # a broken pickle can raise anything; all mean the same here
        raise damaged(path.name, _first_line(error)) from error


def _refused(name: str, said: str) -> CheckpointError:
    found = _GLOBAL.search(said)
    if found is None:
        return damaged(name, "its pickle holds something other than weights and plain values")
    return CheckpointError(
        f"{name} asks to call {found[1]} while it is read. Weights need no code, so it is "
        "refused and nothing was run. If you trust where it comes from, open it there with "
        "the program that wrote it and save the weights alone: "
        "torch.save(model.state_dict(), 'weights.pth')."
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__


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
