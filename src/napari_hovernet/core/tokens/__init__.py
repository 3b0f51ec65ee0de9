"""Token decoders: cached features, decoding, and the backbone that makes features."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

AS_FILE = "file"
HISTORICAL = "historical 1:257"
TOKEN_PREFIXES: Mapping[str, int | None] = MappingProxyType(
    {"0": 0, "1": 1, "5": 5, HISTORICAL: 1, AS_FILE: None}
)
"""Tokens before the first patch, by name of the choice; None = as the checkpoint says."""
TRUTHS = ("auto", "instances", "hv", "components")
"""Ways to tell true nuclei apart; "auto" is the first of the others that the files allow."""
