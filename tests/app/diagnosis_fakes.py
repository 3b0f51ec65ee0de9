"""Checks that find what they are told to, and a case for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app import diagnose
from napari_hovernet.core.diagnosis import engine, ranking
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.registry import Check
from napari_hovernet.core.diagnosis.report import FAULT, OK, WARN, Finding, Place, Plot, Remedy
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.types import Progress

MADE: list[str] = []
"""Checks that were made, in order."""


def swapped(bench: Bench) -> Iterator[Any]:
    """HV channels are swapped until the setup says so."""
    MADE.append("model.hv_order")
    yield Progress(0, 0, "measuring")
    good = bench.setup.hv_order == "vh"
    yield Finding(
        "model.hv_order",
        OK if good else FAULT,
        "HV channel order" if good else "HV channels are swapped",
        "The cosine to the truth is 0.95." if good else "The cosine to the truth is 0.02.",
        0.95 if good else 0.02,
        0.5,
        "cosine",
        0.0 if good else 0.97,
        Remedy("Read HV as [V, H].", "hv_order", "vh"),
        {"nuclei": 2.0},
        ("image", "truth", "instances", "np", "hv_x"),
        (Place(0, "a", (4, 20, 4, 36), "two <that> touch"),),
        Plot("bars", "Cosine", ("as is", "swapped"), (("cosine", (0.02, 0.95)),), line=0.5),
    )
    yield Finding("model.score", WARN, "The score is low", "AJI 0.1.", certainty=0.3)


def touching(bench: Bench) -> Iterator[Any]:
    MADE.append("data.touching")
    yield Finding("data.touching", OK, "Touching nuclei", "all of them touch", 1.0, 0.1, "share")


def outside(bench: Bench) -> Iterator[Any]:
    MADE.append("data.coverage")
    yield Finding("data.coverage", WARN, "Much is nucleus", "48 %.", 0.48, 0.5, "share", 0.3,
                  Remedy("Look at the masks."))  # fmt: skip


def never(bench: Bench) -> Iterator[Any]:
    raise AssertionError("what it needs is not there")
    yield


CHECKS = (
    Check("data.touching", "Touching nuclei", ("labels",), touching),
    Check("data.coverage", "Coverage", ("labels",), outside),
    Check("model.hv_order", "HV order", ("maps",), swapped),
    Check("loss.share", "Share of each term", ("loss",), never),
    Check("loss.finite", "Finite gradients", ("loss",), never),
)


@pytest.fixture
def fake_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put these checks in place of the real ones; gives the list of those that were made."""
    for module in (engine, diagnose):
        monkeypatch.setattr(
            module, "all_checks",
            lambda families=(): tuple(c for c in CHECKS if not families or c.family in families),
        )  # fmt: skip
    monkeypatch.setattr(ranking, "EXPLAINS", {})
    MADE.clear()
    return MADE


def two_nuclei() -> Any:
    labels = np.zeros((48, 64), np.int32)
    labels[4:20, 4:20], labels[4:20, 20:36] = 1, 2
    return labels


def case(n: int = 2) -> Case:
    """Images with true nuclei and their exact maps."""
    labels = two_nuclei()
    image = np.full((48, 64, 3), 200, np.uint8)
    image[labels > 0] = (90, 40, 140)
    items = ArrayItems(
        [chr(97 + i) for i in range(n)],
        image=[image] * n, labels=[labels] * n, np=[(labels > 0).astype(np.float32)] * n,
        hv=[hv_targets(labels)] * n,
    )  # fmt: skip
    return Case(items)
