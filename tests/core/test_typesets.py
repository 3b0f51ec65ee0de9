from __future__ import annotations

import pytest

from napari_hovernet.core.types import CONSEP, MONUSAC, PALETTE, PANNUKE, assumed, numbered


def test_pannuke_is_as_published():
    assert [(t.name, t.color) for t in PANNUKE.values()] == [
        ("background", (0, 0, 0)),
        ("neoplastic", (255, 0, 0)),
        ("inflammatory", (0, 255, 0)),
        ("connective", (0, 0, 255)),
        ("dead", (255, 255, 0)),
        ("non-neoplastic epithelial", (255, 165, 0)),
    ]


@pytest.mark.parametrize("types", [PANNUKE, CONSEP, MONUSAC, numbered(8)])
def test_types_count_from_background_and_are_told_apart(types):
    assert list(types) == list(range(len(types)))
    assert types[0].name == "background"
    assert len({t.color for t in types.values()}) == len(types)
    assert len({t.name for t in types.values()}) == len(types)


def test_many_types_reuse_the_palette():
    assert numbered(len(PALETTE) + 2)[len(PALETTE) + 1].color == PALETTE[0]


@pytest.mark.parametrize(
    ("n_types", "mode", "wanted"),
    [(6, "fast", PANNUKE), (5, "original", CONSEP), (5, "fast", MONUSAC), (3, "fast", numbered(3))],
)
def test_what_is_assumed_is_said(n_types, mode, wanted):
    types, note = assumed(n_types, mode)
    assert types == dict(wanted)
    assert str(n_types) in note


def test_an_untyped_network_assumes_nothing():
    assert assumed(None, "fast") == ({}, "")
