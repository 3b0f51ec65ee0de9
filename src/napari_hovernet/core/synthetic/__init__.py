"""Generated H&E-like tissue whose every nucleus is known."""

from __future__ import annotations

from .params import TissueParams
from .planted import planted_maps
from .tissue import Tissue, tissue

__all__ = ["Tissue", "TissueParams", "planted_maps", "tissue"]
