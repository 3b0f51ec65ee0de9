"""Model files: recognise, read and write them; the only place that knows foreign key names."""

from __future__ import annotations

from ..weights import BUILT_IN as BUILT_IN
from .read import describe as describe
from .read import load_model as load_model
from .write import save_model as save_model
