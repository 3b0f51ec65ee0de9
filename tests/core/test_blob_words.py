"""Words about a suspect: what speaks for it, and where to look."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.measure.blobs import (
    BlobParams,
    BlobRow,
    blob_report,
    explain,
    explain_report,
)
from napari_hovernet.core.measure.magnitude import MagnitudeBands

BLOB = BlobRow(
    3, (0, 0, 9, 9), (4.0, 4.0), 900, 1, 5, 4.5, 0.7, 0.02, 12, 4.5, 0.7, 4, 0.0, 3.1, "blob"
)  # fmt: skip


def test_clues_name_the_nucleus_and_only_what_speaks_against_it() -> None:
    said = explain(BLOB)
    assert said.startswith("1 nucleus, looks like 5. Nucleus 12: 4.5 times the area of one nucleus")
    assert "solidity 0.70; 4 pieces" in said and "turns back" not in said
    slight = replace(BLOB, worst_area_ratio=1.1, worst_cores=1, worst_solidity=0.97)
    assert "times" not in explain(slight) and "pieces" not in explain(slight)
    assert "3.1 points" in explain(slight)


@pytest.mark.parametrize(
    ("rim", "seam", "words"),
    [
        (0.02, 0.0, "the network shows no border"),
        (0.9, 1.5, "Look at the separation"),
        (0.9, 0.0, "to the network it is one nucleus"),
        (0.3, 0.0, r"weak on its rim \(0.30"),
    ],
)
def test_hv_says_where_to_look(rim: float, seam: float, words: str) -> None:
    assert re.search(words, explain(replace(BLOB, rim_magnitude=rim, worst_seam=seam)))


def test_bounds_are_those_of_the_user() -> None:
    row = replace(BLOB, rim_magnitude=0.3)
    assert "no border" in explain(row, bands=MagnitudeBands(collapsed=0.4, weak=0.45))
    longer = replace(BLOB, worst_seam=0.3)
    assert "turns back" in explain(longer)
    assert "turns back" not in explain(longer, BlobParams(seam_share=1.0))


def test_without_maps_nothing_is_said_about_hv() -> None:
    assert explain(replace(BLOB, rim_magnitude=float("nan"))).endswith("narrow necks.")


def test_what_is_not_suspected() -> None:
    many = replace(BLOB, status="separated", n_instances=4)
    assert explain(many) == "4 nuclei, not suspected."
    assert "dropped it" in explain(replace(BLOB, status="empty", n_instances=0))


def test_the_report_names_its_measure_and_scattered_ids() -> None:
    labels = np.zeros((40, 60), int)
    assert explain_report(blob_report(None, labels)) == ""
    labels[2:12, 2:12] = labels[22:32, 2:12] = 1
    labels[2:12, 30:40] = 2
    said = explain_report(blob_report(None, labels))
    assert said == (
        "One nucleus is taken to have 100 px. 1 id lies on several parts that do not touch."
    )
    labels[22:32, 30:40] = 2
    assert "2 ids lie on" in explain_report(blob_report(None, labels))
