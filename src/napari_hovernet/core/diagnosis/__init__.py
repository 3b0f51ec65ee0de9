"""Name the real cause of the blob: test model, data, separation, loss and augmentation.

A team once followed a wrong diagnosis because nothing could test it. Every check here is a
small function that measures one thing and says ok, warn or fault, with the number, the bound
and the remedy; :func:`.engine.diagnose` runs them and names the most likely cause first.
"""

from __future__ import annotations

from .engine import diagnose
from .report import DiagnosisReport, Finding

__all__ = ["DiagnosisReport", "Finding", "diagnose"]
