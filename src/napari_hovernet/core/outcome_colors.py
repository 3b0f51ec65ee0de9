"""One colour per outcome of a nucleus, the same in every picture."""

from __future__ import annotations

OUTCOME_COLORS = {
    "matched": (0, 158, 115),
    "merged": (213, 94, 0),
    "split": (204, 121, 167),
    "missed": (86, 180, 233),
    "spurious": (240, 228, 66),
}
"""RGB in 0..255 (Okabe and Ito): told apart with every common colour vision."""
