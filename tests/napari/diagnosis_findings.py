"""Findings made up for tests of the tab "Why?": one cause, its symptom, a warning, and the rest."""

from dataclasses import replace

from napari_hovernet.core.diagnosis.engine import rank
from napari_hovernet.core.diagnosis.report import (
    FAULT,
    NOT_TESTED,
    OK,
    WARN,
    Finding,
    Place,
    Plot,
    Remedy,
)

CAUSE, SYMPTOM, HINT = "separation.relabel", "separation.under", "model.hv_order"
BARS = Plot(
    "bars", "AJI of the same maps", ("components", "this one"), (("AJI", (0.29, 0.97)),),
    y_label="AJI", line=0.6,
)  # fmt: skip


def places(n=3, item=0):
    """Return examples along the diagonal of an image."""
    boxes = [(10 * i, 10 * i + 20, 20 * i, 20 * i + 30) for i in range(n)]
    return tuple(
        Place(item, f"image {item}", box, "three nuclei became one" if i == 0 else "")
        for i, box in enumerate(boxes)
    )


def made_up():
    """Return nine ranked findings."""
    cause = Finding(
        CAUSE, FAULT, "Touching nuclei are merged again", "60 nuclei became 21.", 0.287, 0.6,
        "AJI", 0.97, Remedy("Leave the relabel out.", "separation", {"preset": "local"}),
        {"instances": 21.0}, ("instances", "truth"), places(), BARS,
    )  # fmt: skip
    hint = Finding(
        HINT, WARN, "HV channels may be swapped", "Cosine 0.1.", 0.12, 0.3, "cosine", 0.41,
        Remedy("Read HV as [V, H].", "hv_order", "vh"), {}, ("hv_x", "hv_y"), places(1),
    )  # fmt: skip
    symptom = Finding(SYMPTOM, FAULT, "Too few nuclei", "40 % merged.", 0.4, 0.2, "share", 0.7)
    good = [Finding(f"data.good{i}", OK, f"Good {i}", "Fine.", 0.9, 0.5) for i in range(3)]
    loss = [
        Finding(f"loss.l{i}", NOT_TESTED, f"Loss {i}", "Not tested: give a loss.") for i in range(2)
    ]
    few = Finding("data.pairing", NOT_TESTED, "Pairing", "Not tested: there is one image only.")
    ranked = rank([cause, hint, symptom, *good, *loss, few])
    return tuple(replace(f, explained_by=CAUSE) if f.id == SYMPTOM else f for f in ranked)
