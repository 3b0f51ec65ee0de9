"""Seeded attacks with damaged and hostile files: a few seconds of each, or all of them.

``NAPARI_HOVERNET_FUZZ=whole`` runs 2,000 checkpoints, 600 images and 800 result files; otherwise
each suite stops after some seconds. Counts are printed at the end with ``-s``.
"""

import os
import resource
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from napari_hovernet.errors import UserError

WHOLE = os.environ.get("NAPARI_HOVERNET_FUZZ") == "whole"
SECONDS = 4.0
"""Time of a suite where not the whole of it is asked for."""
HANG, MEMORY = 20.0, 4 * 2**30
"""Most CPU seconds, and most bytes of memory beyond those at the start, of one try."""
Rng = np.random.Generator
Attack = Callable[[Rng], str | None]
"""Makes a hostile file and opens it: returns "right" or "wrong"; errors are judged."""


@pytest.fixture
def tries(request, tmp_path):
    """Return a function that runs an attack many times and counts what came of it."""

    def run(attack: Attack, n: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        began, before = time.monotonic(), _memory()
        for seed in range(n):
            if not WHOLE and time.monotonic() - began > SECONDS:
                break
            started = time.process_time()
            try:
                outcome = attack(np.random.default_rng(seed)) or "right"
            except UserError as error:
                text = str(error)
                raw = not text.isprintable() or "Traceback" in text or len(text) > 3000
                outcome = "raw message" if raw else "clear refusal"
            spent = time.process_time() - started
            assert spent < HANG, f"seed {seed} took {spent:.0f} s"
            assert _memory() - before < MEMORY, f"seed {seed} took too much memory"
            assert outcome not in ("wrong", "raw message"), f"seed {seed}: {outcome}"
            counts["tried"] += 1
            counts[outcome] += 1
        print(request.node.name, dict(counts))  # noqa: T201 - the table of the docs
        assert counts["tried"]
        assert not list(tmp_path.glob("**/ran*")), "code was run"
        return counts

    yield run


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def damaged(data: bytes, rng: Rng) -> bytes:
    """Flip, overwrite, cut, double or lengthen some bytes."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 8))):
        at = int(rng.integers(0, max(len(found), 1)))
        kind = rng.integers(0, 6)
        if kind == 0 and found:
            found[at % len(found)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            found[at : at + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
        elif kind == 2:
            del found[at:]
        elif kind == 3:
            found[at:at] = found[at // 2 : at // 2 + 64]
        elif kind == 4:
            found[at : at + 8] = rng.bytes(8)
        else:
            found += rng.bytes(int(rng.integers(1, 100)))
    return bytes(found)
