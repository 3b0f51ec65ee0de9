"""Every mistake of a separation is found first, and mended by its remedy; healthy ones pass."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import separation_checks
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.engine import diagnose_steps
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.report import DiagnosisReport
from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.synthetic import TissueParams, planted_maps, tissue


def _own() -> ModuleType:
    path = Path(__file__).with_name("own_separations.py")
    spec = importlib.util.spec_from_file_location("own_separations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


own = _own()
LOCAL = SeparationParams()
PUBLISHED = SeparationParams.preset("hover_net")
TO_LOCAL = ("separation", {"preset": "local"})
FAMILY = DiagnosisParams(families=("separation",))


def report_of(case: Case) -> DiagnosisReport:
    steps = diagnose_steps(Bench(case, FAMILY))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def crowded(n: int = 2, edge: int = 256) -> tuple[list[np.ndarray], list]:
    params = TissueParams(touching=0.6)
    labels = [tissue((edge, edge), seed, params).labels for seed in range(n)]
    return labels, [planted_maps(each, seed) for seed, each in enumerate(labels)]


@pytest.fixture(scope="module")
def items() -> ArrayItems:
    labels, maps = crowded()
    return ArrayItems(labels=labels, np=[m.np for m in maps], hv=[m.hv for m in maps])


def case_of(separation: object, items: ArrayItems | None = None) -> Case:
    return Case(items=items, separator=Separator.of(separation))


def problems(report: DiagnosisReport) -> list[str]:
    return [f"{f.id} {f.verdict}: {f.evidence}" for f in (*report.faults, *report.warnings)]


FAULTS = [
    ("relabel", "merging_relabel", TO_LOCAL),
    ("relabel", own.naive, TO_LOCAL),
    ("relabel", own.relabelled, TO_LOCAL),
    ("rim_seeds", "magnitude_peaks", TO_LOCAL),
    ("rim_seeds", own.peaks_of_magnitude, TO_LOCAL),
    ("rim_seeds", own.rims_as_seeds, TO_LOCAL),
    ("scale", own.absolute_gradient, TO_LOCAL),
    ("scale", own.absolute_magnitude, TO_LOCAL),
    ("scale", own.wants_int8, TO_LOCAL),
    ("turns", own.reads_vh, ("hv_order", "vh")),
    ("turns", own.reads_inward, ("hv_sign", "inward")),
    ("turns", own.reads_vh_inward, TO_LOCAL),
    ("turns", own.reads_v_upward, TO_LOCAL),
    ("tile", own.largest_of_the_tile, TO_LOCAL),
    ("tile", replace(PUBLISHED, sobel_size=3), ("separation", {"sobel_size": 21})),
    ("under", replace(LOCAL, depth=2.0), ("separation", {"depth": 0.15})),
    ("under", replace(LOCAL, min_area=2000), ("separation", {"min_area": 20})),
    ("under", replace(LOCAL, scales=(10.0, 20.0)), ("separation", {"scales": [1.5, 3.0]})),
    ("under", replace(PUBLISHED, energy_threshold=0.9), ("separation", {"energy_threshold": 0.4})),
    ("under", replace(PUBLISHED, min_marker_area=300), ("separation", {"min_marker_area": 10})),
    ("threshold", replace(LOCAL, np_threshold=0.95), ("np_threshold", 0.45)),
    ("threshold", replace(PUBLISHED, np_threshold=0.95), ("np_threshold", 0.5)),
    ("threshold", replace(LOCAL, min_mean_np=0.97), ("separation", {"min_mean_np": 0.6})),
    ("threshold", own.only_sure, TO_LOCAL),
    ("over", own.in_crumbs, TO_LOCAL),
    ("under", own.loses_every_other, TO_LOCAL),
    ("oracle", own.takes_background, TO_LOCAL),
    ("oracle", own.returns_flipped, TO_LOCAL),
    ("oracle", own.returns_moved, TO_LOCAL),
    ("oracle", own.eroded, TO_LOCAL),
    ("oracle", own.in_a_byte, TO_LOCAL),
    ("deterministic", own.drawn_seeds, TO_LOCAL),
    ("deterministic", own.fails_on_empty, TO_LOCAL),
    ("deterministic", own.always_fails, TO_LOCAL),
]


def name_of(value: object) -> str:
    if callable(value):
        return value.__name__
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("name", "separation", "remedy"), FAULTS, ids=name_of)
def test_a_mistake_is_named_first_and_mended_by_its_remedy(name, separation, remedy):
    case = case_of(separation)
    found = report_of(case).first
    assert found is not None
    assert (found.id, found.verdict) == (f"separation.{name}", "fault")
    assert found.certainty >= 0.75
    assert (found.remedy.action, found.remedy.value) == remedy
    again = report_of(case.with_setup(case.setup.applied(found.remedy))).get(found.id)
    assert again is not None
    assert again.verdict == "ok", again.evidence


@pytest.mark.parametrize(
    ("name", "separation"),
    [(n, s) for n, s, _ in FAULTS[::3]] + [("under", own.drops_small)],
    ids=name_of,
)
def test_it_is_named_first_on_images_with_truth_too(name, separation, items):
    case = case_of(separation, items)
    report = report_of(case)
    assert report.first is not None
    if separation is own.drops_small:
        assert report.first.id in {"separation.under", "separation.oracle"}
        return
    assert report.first.id == f"separation.{name}", problems(report)
    again = report_of(case.with_setup(case.setup.applied(report.first.remedy)))
    assert again.get(report.first.id).verdict == "ok"


def test_basins_that_are_never_joined_break_nuclei_up(items):
    case = case_of(replace(LOCAL, depth=0.0, scales=(0.6,)), items)
    report = report_of(case)
    assert report.first.id == "separation.over"
    again = report_of(case.with_setup(case.setup.applied(report.first.remedy)))
    assert again.get("separation.over").verdict == "ok"


@pytest.mark.parametrize("separation", ["local", "hover_net", own.published, own.divergence])
def test_healthy_separations_pass_without_and_with_images(separation, items):
    for case in (case_of(separation), case_of(separation, items)):
        assert problems(report_of(case)) == []


@pytest.mark.parametrize("preset", ["local", "hover_net"])
@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_healthy_separations_pass_on_real_images(shared, preset, kind):
    stacks: dict[str, list[np.ndarray]] = {"labels": [], "np": [], "hv": []}
    for path in sorted((shared / "golden" / kind).glob("*.npz")):
        with np.load(path) as data:
            stacks["labels"].append(data["labels"].astype(np.int32))
            stacks["np"].append(data["np_prob"])
            stacks["hv"].append(data["hv_pred"])
    assert problems(report_of(case_of(preset, ArrayItems(**stacks)))) == []


@pytest.mark.parametrize("shape", [(64, 64), (40, 300)])
def test_small_images_pass(shape):
    labels = tissue(shape, 3).labels
    maps = planted_maps(labels)
    items = ArrayItems(labels=[labels], np=[maps.np], hv=[maps.hv])
    assert problems(report_of(case_of("local", items))) == []


def test_components_are_seen_in_instances_cut_elsewhere(items):
    labels, maps = crowded()
    merged = [own.naive(m.np, m.hv) for m in maps]
    given = ArrayItems(
        labels=labels, np=[m.np for m in maps], hv=[m.hv for m in maps], instances=merged
    )
    found = report_of(Case(items=given)).get("separation.components")
    assert found.verdict == "fault"
    assert found.places
    assert found.numbers["instances"] == found.numbers["connected components"]
    mended = Setup().applied(found.remedy)
    assert report_of(Case(items=given, setup=mended)).get(found.id).verdict == "ok"
    fine = ArrayItems(labels=labels, instances=labels)
    assert report_of(Case(items=fine)).get("separation.components").verdict == "ok"


@pytest.mark.parametrize("shape", [(0, 0), (3, 3), (64, 64)])
def test_images_without_anything_end_no_check(shape):
    nothing = np.zeros(shape, np.int32)
    hv = np.zeros((2, *shape), np.float32)
    items = ArrayItems(labels=[nothing], np=[nothing.astype(np.float32)], hv=[hv])
    report = report_of(case_of("local", items))
    assert problems(report) == []
    assert not [f for f in report.findings if "check failed" in f.evidence]


def test_components_say_what_they_need():
    found = report_of(Case(items=ArrayItems(labels=[np.zeros((64, 64), int)])))
    words = found.get("separation.components").evidence
    assert words.startswith("Not tested: give predicted instances")


def test_maps_written_as_the_separation_reads_them_are_in_order():
    labels, maps = crowded()
    swapped = [m.hv[::-1] for m in maps]
    items = ArrayItems(labels=labels, np=[m.np for m in maps], hv=swapped)
    found = report_of(case_of(own.reads_vh, items)).get("separation.turns")
    assert found.verdict == "ok"
    assert "written so, too" in found.evidence


def test_broken_maps_are_not_blamed_on_the_separation():
    labels, maps = crowded()
    for broken in (
        [m.hv[::-1] for m in maps],
        [-m.hv for m in maps],
        [m.hv * 0.02 for m in maps],
        [np.roll(m.hv, 56, 2) for m in maps],
        [m.hv * 0 for m in maps],
    ):
        items = ArrayItems(labels=labels, np=[m.np for m in maps], hv=broken)
        for preset in ("local", "hover_net"):
            assert report_of(case_of(preset, items)).faults == ()


def test_shifted_labels_are_not_blamed_on_the_separation():
    labels, maps = crowded()
    moved: Sequence[np.ndarray] = [np.roll(each, (12, 9), (0, 1)) for each in labels]
    items = ArrayItems(labels=moved, np=[m.np for m in maps], hv=[m.hv for m in maps])
    assert report_of(case_of("local", items)).faults == ()


def test_examples_lie_in_the_images(items):
    report = report_of(case_of("merging_relabel", items))
    places = report.first.places
    assert 1 <= len(places) <= FAMILY.n_places
    for place in places:
        r0, r1, c0, c1 = place.box
        assert 0 <= r0 < r1 <= 256 and 0 <= c0 < c1 <= 256
        assert "nuclei" in place.words


def test_it_can_be_cancelled_between_the_cuts():
    bench = Bench(case_of("local"), FAMILY)
    steps = separation_checks.CHECKS[0].run(bench)
    seen = sum(1 for _ in steps)
    assert seen > 15


def test_ids_are_the_agreed_ones():
    names = {check.id for check in separation_checks.CHECKS}
    assert names == {
        f"separation.{name}"
        for name in (
            "oracle", "components", "relabel", "rim_seeds", "scale", "tile", "over", "under",
            "threshold", "turns", "deterministic",
        )
    }  # fmt: skip
