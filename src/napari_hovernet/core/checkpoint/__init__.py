"""Model files: recognise, read and write them; the only place that knows foreign key names."""

from __future__ import annotations

from .reading import BUILT_IN as BUILT_IN
from .reading import describe as describe
from .reading import load_model as load_model
from .writing import save_model as save_model
