"""To be written."""

from __future__ import annotations

from .registry import Check

CHECKS: tuple[Check, ...] = ()
