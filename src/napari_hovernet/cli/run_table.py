"""A training run as text: a line per epoch, and one that is rewritten with every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..app.run_view import EpochRow, RunView
from .console import NOTHING, number

COLUMNS = (
    ("epoch", 5), ("train", 7), ("val", 7), ("magnitude", 9), ("true", 5), ("cosine", 6),
    ("AJI", 6), ("CC", 6), ("oracle", 6), ("PQ", 6), ("Dice", 6), ("[all]", 7), ("time", 7),
)  # fmt: skip
"""Heads and widths; what follows is the remark."""
LEGEND = (
    "magnitude: HV inside true nuclei, beside that of the truth. cosine: 1 = HV points right, "
    "0 = nothing learnt. CC: AJI of connected components. oracle: AJI of the true maps. "
    "[all]: Dice of calling every pixel nucleus."
)
HOUR, MINUTE = 3600, 60


def head() -> str:
    """Return the line of heads."""
    return _joined([name for name, _ in COLUMNS])


def line(row: EpochRow) -> str:
    """Return the line of an epoch."""
    total = row.train.get("total", row.train.get("loss", float("nan")))
    all_dice = number(row.score("all_foreground_dice"))
    cells = [
        str(row.epoch),
        number(total),
        number(row.score("loss")),
        number(row.score("magnitude")),
        number(row.score("true_magnitude"), 2),
        number(row.score("cosine"), 2),
        *(number(row.score(name)) for name in ("aji", "cc_aji", "oracle_aji", "pq", "dice")),
        all_dice if all_dice == NOTHING else f"[{all_dice}]",
        duration(row.seconds),
    ]
    remark = ", ".join(filter(None, [row.remark, "best" if row.best else ""]))
    return f"{_joined(cells)}  {remark}".rstrip()


def _joined(cells: Sequence[str]) -> str:
    widths = [width for _, width in COLUMNS]
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def introduction(view: RunView) -> list[str]:
    """Return lines about a run that has begun."""
    start = view.start
    facts = [
        _fact(start.get("device"), "on {}"),
        _fact(start.get("parameters"), "{:,} parameters"),
        _fact(start.get("train_images"), "{} training images"),
        _fact(start.get("val_images"), "{} validation images"),
        f"{view.n_epochs} epochs of {view.steps_per_epoch} steps",
        _fact(start.get("batch"), "batch {}"),
    ]
    resumed = start.get("resumed_epoch")
    lines = [f"{view.name}: {', '.join(fact for fact in facts if fact)}"]
    if resumed:
        lines.append(f"goes on after epoch {resumed}")
    notes = start.get("notes")
    return lines + [f"note: {note}" for note in (notes if isinstance(notes, list) else ())]


def _fact(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | str) and value != "" else ""


def now(view: RunView) -> str:
    """Return the line of the present moment."""
    if view.state != "running" or not view.step:
        return f"{view.state}: {view.message}" if view.message else view.state
    parts = [f"epoch {view.epoch}/{view.n_epochs}", _step(view)]
    parts.append(f"loss {number(view.steps.last('total'))}")
    magnitude = view.steps.last("magnitude")
    if not math.isnan(magnitude):
        true = number(view.steps.last("true_magnitude"), 2)
        parts.append(f"magnitude {number(magnitude)} of {true}")
    if not math.isnan(view.images_per_s):
        parts.append(f"{view.images_per_s:.1f} images/s")
    if not math.isnan(view.eta_s):
        parts.append(f"{duration(view.eta_s)} left")
    return "  ".join(parts)


def _step(view: RunView) -> str:
    per_epoch = view.steps_per_epoch
    within = view.step - (view.epoch - 1) * per_epoch if per_epoch else view.step
    return f"step {within}/{per_epoch}" if per_epoch else f"step {within}"


def duration(seconds: float) -> str:
    """Return a time in the unit that fits."""
    if math.isnan(seconds):
        return NOTHING
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < HOUR else f"{seconds / HOUR:.1f} h"


def ending(view: RunView) -> str:
    """Say how a run ended."""
    text = f"{view.name}: {view.state}"
    reason = view.error or view.message
    if view.error_term:
        reason = f"{reason} (term {view.error_term})"
    best = view.best
    if view.state == "done" and best is not None:
        reason = f"best epoch {best.epoch}, AJI {number(best.score('aji'))}" + (
            f". {reason}" if reason else ""
        )
    return f"{text}. {reason}" if reason else text
