"""The score beside its base rates, said last: never "nothing wrong" over a bad score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..masks import label_parts
from ..measure.metrics import aji, contingency, dice
from ..types import Progress
from .bench import Bench
from .engine import ALONE, Steps, check, fault, in_vain, ok, skip, warn
from .maps import BAD_DICE
from .maps_hv import WEAK
from .reading import HALF, view_steps
from .report import OK, Finding, Plot, Remedy

POOR = 0.4
"""AJI below which nuclei are hardly found one by one, whatever else is said (networks that work, on
images of other laboratories: 0.45 and more)."""
RULED_OUT = 6
"""Checks that are named as ruled out."""


@check("model.score", "Scores beside base rates", needs=("maps", "labels"), last=True)
def scores_beside_base_rates(bench: Bench) -> Steps:
    """Never "nothing wrong" over a bad score: said last, with what was ruled out."""
    views = yield from view_steps(bench)
    rows = []
    for done, view in enumerate(views):
        yield Progress(done, len(views), "scores")
        cut, maps = bench.instances(view.index), bench.maps(view.index)
        if view.labels is None or cut is None or maps is None or cut.shape != maps.shape:
            continue
        table = contingency(view.labels, cut)
        parts = contingency(view.labels, label_parts(view.prob > HALF)[0])
        shares = (float((view.prob > HALF).mean()), float((view.labels > 0).mean()))
        scores = (aji(table), aji(parts), dice(table), table.n_true, table.n_pred)
        rows.append((view, *scores, *shares))
    if not rows:
        return skip("no image has both labels and instances")
    columns = list(zip(*rows, strict=True))[1:]
    mine, base, area, true, found, share, truly = (float(np.mean(c)) for c in columns)
    worst = sorted(rows, key=lambda row: row[1])[: bench.params.n_places]
    common: dict[str, Any] = {
        "value": mine, "threshold": base, "unit": "AJI", "layers": ("image", "truth", "instances"),
        "numbers": {"AJI": mine, "AJI of connected components": base, "Dice": area,
                    "Dice of all-foreground": 2 * truly / (1 + truly)},
        "places": tuple(row[0].place(f"AJI {row[1]:.2f}") for row in worst),
        "plot": Plot("bars", "Scores", ("AJI", "AJI of components", "Dice"),
                     (("mean", (mine, base, area)),))}  # fmt: skip
    words = (f"AJI {mine:.2f}, connected components {base:.2f}; Dice {area:.2f}, everything "
             f"nucleus {2 * truly / (1 + truly):.2f}; {found:.0f} instances for {true:.0f} nuclei "
             "an image.")  # fmt: skip
    if mine >= max(base, POOR) and area >= BAD_DICE:
        return ok(words, **common)
    known = [f for f in bench.found if f.wrong and f.certainty >= ALONE and not in_vain(f)]
    answer = _answer(share, truly, area)
    bad = area < BAD_DICE and not known
    yield (fault if bad and area < WEAK else warn)(
        f"{words} The network answers {answer} ({share:.0%} of the pixels, {truly:.0%} in truth); "
        f"{_ruled_out(bench.found, known)}",
        title="The result is bad, and no known cause explains it" if not known
        else "The result is bad",
        certainty=0.7 if bad else ALONE if area < BAD_DICE or mine < POOR else 0.3,
        remedy=Remedy(
            "Look at the worst image beside its labels. If the network was trained on other images "
            "(encoder, stain, organ), fine-tune it on these; check that input, tokens and weights "
            "are those of its training, and load its checkpoint anew."
        ), plain="The outlines do not fit the labels, for a reason this program does not know.",
        **common)  # fmt: skip


def _answer(share: float, truly: float, area: float) -> str:
    """Say what comes out, by the share of nucleus here and in truth, and by Dice."""
    if share < 0.1 * truly:
        return "no nuclei"
    if share > min(3 * truly, 0.9):
        return "nuclei nearly everywhere"
    if area < 0.3:
        return "nuclei in other places"
    return "nuclei of other outlines" if area < BAD_DICE else "nuclei cut in another way"


def _ruled_out(found: Sequence[Finding], known: Sequence[Finding]) -> str:
    if known:
        return f"see {known[0].id}."
    names = [f.title for f in found if f.verdict == OK]
    more = f" and {len(names) - RULED_OUT} more" if len(names) > RULED_OUT else ""
    return f"none of the known causes explains it. Ruled out: {', '.join(names[:RULED_OUT])}{more}."
