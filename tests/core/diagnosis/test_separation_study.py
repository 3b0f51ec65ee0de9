"""What several checks ask for is measured once."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import separation_study
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.separation_limits import SeparationLimits
from napari_hovernet.core.diagnosis.separation_scenes import clusters, soft_maps
from napari_hovernet.core.diagnosis.separation_study import study_of
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.params import SeparationParams

LIMITS = SeparationLimits()


def drive(steps):
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def bench_of(separation: object = "local", setup: Setup | None = None, *, swap: bool = False):
    labels = clusters(9)
    maps = soft_maps(labels)
    hv = maps.hv[::-1] if swap else maps.hv
    items = ArrayItems(labels=[labels], np=[maps.np], hv=[hv])
    return Bench(Case(items=items, separator=Separator.of(separation), setup=setup or Setup()))


def test_a_bench_has_one_study_and_it_goes_with_the_bench():
    bench = bench_of()
    study = study_of(bench, LIMITS)
    assert study_of(bench, LIMITS) is study
    assert drive(study.pieces(bench)) is drive(study.pieces(bench))
    before = len(separation_study._STUDIES)
    del bench, study
    gc.collect()
    assert len(separation_study._STUDIES) == before - 1


def test_the_probe_is_made_once():
    cuts = []

    def counted(maps):
        cuts.append(maps.shape)
        return np.zeros(maps.shape, int)

    bench = bench_of(counted)
    study = study_of(bench, LIMITS)
    drive(study.probe(bench))
    n = len(cuts)
    assert n > 20
    drive(study.probe(bench))
    assert len(cuts) == n


def test_the_convention_given_is_measured_where_it_can_be_and_else_as_said():
    bench = bench_of(swap=True)
    assert drive(study_of(bench, LIMITS).given(bench)) == ("vh outward", True)
    bench = bench_of(swap=True, setup=Setup(hv_order="vh"))
    assert drive(study_of(bench, LIMITS).given(bench)) == ("hv outward", True)
    bench = Bench(Case(separator=Separator.of("local"), setup=Setup(hv_sign="inward")))
    assert drive(study_of(bench, LIMITS).given(bench)) == ("hv inward", False)


def test_swapped_maps_decide_nothing_about_parameters():
    for swap, n in ((False, 1), (True, 0)):
        bench = bench_of(swap=swap)
        study = study_of(bench, LIMITS)
        assert len(study._own_pairs(drive(study.pieces(bench)))) == n


def test_labels_alone_are_tried_with_soft_maps():
    labels = clusters(9)
    bench = Bench(Case(items=ArrayItems(labels=[labels]), separator=Separator.of("local")))
    study = study_of(bench, LIMITS)
    ((maps, truth),) = study._own_pairs(drive(study.pieces(bench)))
    assert truth.shape == maps.shape
    assert 0 < maps.np[truth > 0].min() < 1


def test_the_field_that_makes_the_tile_matter_is_found():
    steep = SeparationParams(method="hover_net", sobel_size=3, np_threshold=0.5)
    bench = bench_of(steep)
    assert study_of(bench, LIMITS).mend_of_tile(12.0) == {"sobel_size": 21}
    bench = bench_of(lambda prob, hv: prob > 0)
    assert study_of(bench, LIMITS).mend_of_tile(12.0) is None


def test_the_reference_is_our_default():
    assert study_of(bench_of(), LIMITS).reference(9.0) == pytest.approx(0.94, abs=0.03)
