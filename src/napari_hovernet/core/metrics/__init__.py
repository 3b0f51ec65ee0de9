"""Scores of instance segmentation, all read from one contingency table."""

from __future__ import annotations

from .aji import aji, aji_plus
from .dice import dice
from .matching import Contingency, contingency
from .pq import PanopticQuality, panoptic_quality
from .report import OutcomeParams, evaluate, outcomes

__all__ = [
    "Contingency",
    "OutcomeParams",
    "PanopticQuality",
    "aji",
    "aji_plus",
    "contingency",
    "dice",
    "evaluate",
    "outcomes",
    "panoptic_quality",
]
