"""Every convention of stored HV is found, with labels and without."""

from itertools import product

import numpy as np
import pytest

from napari_hovernet.core.data import stored_hv
from napari_hovernet.core.hv import ORDERS, PRESETS, SIGNS, HVConvention, hv_targets

from ...refusals import refuses
from .drawn import nuclei

ALL = {f"{o} {s} of {name}": HVConvention(**{**vars(preset), "order": o, "sign": s})
       for (name, preset), o, s in product(PRESETS.items(), ORDERS, SIGNS)}  # fmt: skip
"""Each preset in all four readings: 20."""


@pytest.mark.parametrize("with_labels", [True, False], ids=["labels", "mask"])
@pytest.mark.parametrize("convention", ALL.values(), ids=ALL)
def test_every_convention_is_found_and_read_as_ours(convention, with_labels) -> None:
    probes = []
    for seed in range(4):
        labels = nuclei(seed)
        hv = hv_targets(labels, convention)
        probes.append(stored_hv.HVProbe(hv, labels > 0, labels if with_labels else None))
    found = stored_hv.detect_hv(probes)
    assert (found.order, found.sign) == (convention.order, convention.sign) and found.sure
    assert found.by_labels is with_labels and found.score > (0.75 if with_labels else 0.55)
    ours = stored_hv.read_stored(probes[0].hv, found.order, found.sign)
    target, inside = hv_targets(nuclei(0)), nuclei(0) > 0
    assert (ours * target).sum(axis=0)[inside].mean() > 0.25


def test_real_nuclei_that_touch_are_no_hindrance(shared: object) -> None:
    """Golden HV of the published code, beside labels whose nuclei touch."""
    for file in sorted((shared / "golden" / "maps").glob("*.npz")):  # type: ignore[operator]
        with np.load(file) as stored:
            labels, hv = stored["labels"].astype(np.int32), stored["hv_hover_net"]
        swapped = np.ascontiguousarray(-hv[::-1]).astype(np.float32)
        for probe, wanted in (
            (hv.astype(np.float32), ("hv", "outward")),
            (swapped, ("vh", "inward")),
        ):
            for known in (labels, None):
                found = stored_hv.detect_hv([stored_hv.HVProbe(probe, labels > 0, known)])
                assert (found.order, found.sign, found.sure) == (*wanted, True), file.name


def test_int8_is_divided_by_127_and_noise_and_nothing_are_not_believed() -> None:
    labels = nuclei()
    noise = np.random.default_rng(0).uniform(-1, 1, (2, *labels.shape)).astype(np.float32)
    assert not stored_hv.detect_hv([stored_hv.HVProbe(noise, labels > 0, labels)]).sure
    labels = nuclei()
    flat = np.zeros((2, *labels.shape), np.float32)
    for probe in (stored_hv.HVProbe(flat, labels > 0), stored_hv.HVProbe(flat, labels > 0, labels),
                  stored_hv.HVProbe(flat + 1, labels < 0)):  # fmt: skip
        refuses("0 in all nuclei", stored_hv.detect_hv, [probe])
    hv = hv_targets(nuclei())
    stored = np.rint(hv * 127).astype(np.int8)
    assert np.abs(stored_hv.unit_scale(stored) - hv).max() < 0.5 / 127 + 1e-6
    assert stored_hv.divisor_of(stored)[0] == 127
    divisor, note = stored_hv.divisor_of(stored.astype(np.float32), "epidermal: HV")
    assert divisor == 127 and "epidermal: HV goes up to 127: it was never divided" in note
    assert stored_hv.divisor_of(hv) == (1.0, "")
    found = stored_hv.read_stored(stored.astype(np.float32), divisor=127.0)
    assert np.abs(found - hv).max() < 0.005
    bad = np.zeros((2, 4, 4), np.float32)
    bad[0, 0, 0] = np.nan
    refuses("NaN", stored_hv.divisor_of, bad)
    refuses("dtype uint8", stored_hv.divisor_of, np.zeros((2, 4, 4), np.uint8))
