"""Model files: recognise, read and write them; the only place that knows foreign key names."""

from __future__ import annotations

from .writing import save_model as save_model
