from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Labels

from napari_hovernet._napari.blob_layers import (
    BLOBS,
    STATUS_COLORS,
    blob_extra,
    features,
    status_colormap,
)
from napari_hovernet.core.measure.blobs import STATUSES, blob_report


def squares(n, edge=6, gap=2):
    """About n separate squares, every tenth two of them joined to one blob."""
    side = int(np.ceil(np.sqrt(n)))
    step = edge + gap
    labels = np.zeros((side * step, side * step), np.int32)
    grid = np.kron(np.arange(1, side * side + 1).reshape(side, side), np.ones((step, step), int))
    inside = np.zeros((step, step), bool)
    inside[:edge, :edge] = True
    labels[np.tile(inside, (side, side))] = grid[np.tile(inside, (side, side))]
    for row in range(0, side, 3):
        labels[row * step + 2 : row * step + 4, edge:step] = row * side + 1
        pair = labels[row * step : row * step + edge, : 2 * step]
        pair[pair > 0] = row * side + 1
    return labels


@pytest.fixture
def report():
    labels = squares(100)
    mask = labels > 0
    mask[-1, -1] = True
    return blob_report(None, labels, mask=mask)


def test_each_component_has_the_colour_of_its_status(report):
    colors = status_colormap(report)
    assert {row.status for row in report.rows} == {"blob", "single", "empty"}
    for row in report.rows:
        wanted = np.array([*STATUS_COLORS[row.status], 255]) / 255
        assert colors.map(np.array([row.component]))[0] == pytest.approx(wanted, abs=1e-3)
    assert colors.map(np.array([0]))[0][3] == 0
    assert len(colors.color_dict) < len(report.rows) / 2, "the most frequent one is not spelt out"


def test_one_status_alone_and_none_at_all():
    labels = np.zeros((9, 9), int)
    for wanted, thing in ((0.0, labels), (1.0, np.ones_like(labels))):
        report = blob_report(None, thing)
        layer = Labels(report.components, colormap=status_colormap(report))
        assert layer.get_color(1)[3] == 1.0 and layer.colormap.map(thing)[4, 4, 3] == wanted


def test_statuses_are_told_apart_without_colour():
    """Relative luminance (WCAG) of blob, separated and single differs by a third at least."""
    assert set(STATUS_COLORS) == set(STATUSES)
    light = []
    for name in ("blob", "separated", "single"):
        c = np.array(STATUS_COLORS[name]) / 255
        linear = np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    light.sort()
    assert light[1] / light[0] > 1.33 and light[2] / light[1] > 1.1


def test_the_status_bar_tells_the_numbers(report):
    extra = blob_extra(report)
    assert extra.role == BLOBS
    layer = Labels(
        extra.data, colormap=extra.look["colormap"], features=extra.look["features"], name="b"
    )
    row = report.rows[0]
    r, c = np.argwhere(report.components == row.component)[0]
    said = layer.get_status((r, c), view_direction=None)["value"]
    assert f"status: {row.status}" in said and f"nuclei_expected: {row.expected}" in said
    assert f"solidity: {row.solidity:.3f}".rstrip("0") in said
    assert set(features(report)) >= {"area_ratio", "rim_magnitude", "suspicion"}


def test_20_000_nuclei_are_coloured_in_under_a_second(qapp):
    labels = squares(20_000)
    report = blob_report(None, labels)
    assert report.n_components > 19_500 and report.n_suspected > 30
    layer = Labels(report.components)
    start = time.perf_counter()
    extra = blob_extra(report)
    layer.features = extra.look["features"]
    layer.colormap = extra.look["colormap"]
    layer.refresh()
    assert time.perf_counter() - start < 1


def test_numbers_take_16_bits_while_they_fit(report):
    assert blob_extra(report).data.dtype == np.uint16
    many = SimpleNamespace(
        components=report.components,
        n_components=70_000,
        component_status=np.ones(70_001, np.int8),
        rows=(),
    )
    assert blob_extra(many).data.dtype == np.int32
