"""Import a function that the user names on the command line, on purpose."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError

_NAMED = re.compile(r"^(?P<where>[A-Za-z_][\w.]*|.+\.py):(?P<name>[A-Za-z_]\w*)$")


def is_code(text: str) -> bool:
    """Tell whether a text names code: ``module:function`` or ``file.py:function``."""
    return bool(_NAMED.match(text)) and not Path(text).exists()


def import_named(text: str) -> Any:
    """Import what ``module:function`` or ``file.py:function`` names, in the working folder too."""
    match = _NAMED.match(text)
    if match is None:
        raise InputError(f"{text} names no code; give module:function or file.py:function.")
    where, name = match["where"], match["name"]
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _from_path(where)
    except InputError:
        raise
    except Exception as error:  # whatever a module of the user's own does
        raise InputError(
            f"{where} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if not hasattr(module, name):
        raise InputError(f"{where} has no {name!r}.")
    return getattr(module, name)


def _from_path(name: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        if added:
            sys.path.remove(here)


def _from_file(file: Path) -> Any:
    if not file.is_file():
        raise InputError(f"{file} is not there; check the path.")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:  # pragma: no cover - a .py file has both
        raise InputError(f"{file} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
