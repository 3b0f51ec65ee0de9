"""Faults planted in maps, networks and separations: each is named first, with what mends it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

import napari_hovernet as nh
from napari_hovernet.core.diagnosis.engine import ALONE
from napari_hovernet.core.diagnosis.report import FAULT, WARN, DiagnosisReport
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps, Model, ModelInfo

Change = Callable[[Any, Any], tuple[Any, Any]]


@pytest.fixture(scope="module")
def scenes() -> list[Any]:
    """Generated tissue and the maps of a good network."""
    made = [tissue((160, 160), seed=seed) for seed in (1, 2, 3)]
    return [(t, planted_maps(t.labels, seed=i)) for i, t in enumerate(made)]


def told(
    scenes: Any, change: Change | None = None, families: Any = ("model", "separation"), **more: Any
) -> DiagnosisReport:
    """Diagnose given maps after a change of (np, hv)."""
    pairs = [(m.np.copy(), m.hv.copy()) for _, m in scenes]
    pairs = pairs if change is None else [change(*pair) for pair in pairs]
    given = {
        "images": [t.image for t, _ in scenes],
        "labels": [t.labels for t, _ in scenes],
        "np": [p for p, _ in pairs],
        "hv": [hv for _, hv in pairs],
        "hv_are": "maps",
    }
    params = nh.core.diagnosis.bench.DiagnosisParams(families=families)
    return nh.diagnose(**(given | more), params=params)


def test_good_maps_are_in_order_and_hv_of_one_image_otherwise_is_told(scenes) -> None:
    report = told(scenes, separation="local")
    assert not report.faults and not report.warnings, report.summary
    assert {f.id for f in report.passed} >= {"model.np", "model.place", "model.hv_direction",
                                             "model.hv_length", "model.score"}  # fmt: skip
    first = told(scenes, hv=[m.hv * (-1) ** i for i, (_, m) in enumerate(scenes)]).first
    assert first is not None and (first.id, first.verdict) == ("model.hv_direction", FAULT)
    assert "some images" in first.title


@pytest.mark.parametrize(
    ("change", "id", "title", "action"),
    [
        (lambda p, h: (1 - p, h), "model.np", "background", ("np_channel", 0)),
        (lambda p, h: (np.log((p + 1e-4) / (1.0001 - p)), h), "model.np", "logits",
         ("np_activation", "logits")),
        (lambda p, h: (0.5 + p / 4, h), "model.np", "no fair probability", ("np_threshold", None)),
        (lambda p, h: (np.exp(p) / (np.exp(p) + np.exp(1 - p)), h), "model.np", "squeezed",
         ("", None)),
        (lambda p, h: (p**0.25 / (p**0.25 + (1 - p) ** 0.25), h), "model.np", "squeezed",
         ("", None)),
        (lambda p, h: ((np.rint(256 * p).astype(int) % 256) / 255, h), "model.np", "ran over",
         ("", None)),
        (lambda p, h: (p, h[::-1].copy()), "model.hv_direction", "swapped", ("hv_order", "vh")),
        (lambda p, h: (p, -h), "model.hv_direction", "wrong way", ("hv_sign", "inward")),
        (lambda p, h: (p, h * np.array([1, -1], "f4")[:, None, None]), "model.hv_direction",
         "vertical axis alone", ("", None)),
        (lambda p, h: (p, h[:, :, ::-1].copy()), "model.hv_direction", "against NP", ("", None)),
        (lambda p, h: (p, 127 * h), "model.hv_length", "never divided", ("hv_scale", 1 / 127)),
        (lambda p, h: (p, 1e-3 * np.random.default_rng(0).normal(size=h.shape)),
         "model.hv_length", "collapsed", ("", None)),
        (lambda p, h: (p, h.clip(0, 1)), "model.hv_length", "never negative", ("", None)),
        (lambda p, h: (np.roll(p, (5, 9), (0, 1)), np.roll(h, (5, 9), (1, 2))), "model.place",
         "5 px down and 9 px to the right", ("maps_shift", (-5, -9))),
        (lambda p, h: (p[::-1].copy(), h[:, ::-1].copy() * np.array([1, -1], "f4")[:, None, None]),
         "model.place", "top to bottom", ("maps_turn", None)),
        (lambda p, h: (p, np.where(h > 0.8, np.nan, h)), "model.failures", "NaN", ("", None)),
    ],
)  # fmt: skip
def test_a_fault_of_maps_is_named_first(scenes, change, id, title, action) -> None:
    first = told(scenes, change).first
    assert first is not None and (first.id, first.verdict) == (id, FAULT)
    assert title in first.title and first.certainty >= 0.8
    if action[1] is not None:
        assert first.remedy.action in (action[0], "")  # offered only if it helps
        value = first.remedy.value
        assert not first.remedy.action or (
            value == pytest.approx(action[1])
            if isinstance(action[1], float)
            else value == action[1]
        )


def test_what_the_first_cause_hides_is_judged_with_it_mended(scenes: Any) -> None:
    """While labels are those of other images they prove nothing of HV."""
    others = [t.labels for t, _ in scenes[1:] + scenes[:1]]
    report = told(scenes, lambda p, h: (p, -h), ("data", "model"), labels=others)
    first, second = [f for f in report.findings if f.is_cause][:2]
    assert (first.id, first.remedy.action) == ("data.place", "image_order")
    assert (second.id, second.verdict) == ("model.hv_direction", FAULT)
    assert second.remedy.value == "inward"
    assert second.beside == first.id and "data.place mended" in second.evidence


def test_a_bad_score_is_never_passed_over(scenes: Any) -> None:
    """Something outside of the known kinds: large nuclei alone are seen."""

    def large_alone(prob: Any, hv: Any) -> tuple[Any, Any]:
        parts, n = ndimage.label(prob > 0.5)
        sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(n + 1))
        keep = sizes[parts] >= np.quantile(sizes[1:], 0.93)
        return np.where(keep, prob, 0.02 * prob), hv

    report = told(scenes, large_alone)
    first = report.first
    assert first is not None and first.certainty < 0.9
    score = report.get("model.score")
    assert score is not None and score.verdict in (WARN, FAULT)
    assert "connected components" in score.evidence and "everything nucleus" in score.evidence


# --- networks ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Model:
    """The built-in model."""
    return nh.load_model("compact")


def with_model(model: Any, n: int = 1, **more: Any) -> DiagnosisReport:
    made = [tissue((128, 128), seed=seed) for seed in range(n)]
    params = nh.core.diagnosis.bench.DiagnosisParams(families=("model",))
    return nh.diagnose(model, [t.image for t in made], [t.labels for t in made], params=params,
                       **more)  # fmt: skip


def changed(model: Model, change: Callable[[Any], None]) -> Model:
    network = CompactUNet(**model.network.config)
    network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        change(network)
    return replace(model, network=network.eval())


def test_a_network_never_trained_and_a_file_that_cannot_be_loaded_are_found(network, tmp_path):
    torch.manual_seed(0)
    fresh = Model(CompactUNet().eval(), ModelInfo("compact"), torch.device("cpu"))
    report = with_model(fresh)
    assert report.first is not None and report.first.id == "model.weights"
    assert report.first.title == "The network was never trained"
    assert report.get("model.input").verdict == "not tested"  # type: ignore[union-attr]
    (tmp_path / "a.tar").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    report = nh.diagnose(tmp_path / "a.tar")
    assert report.first is not None
    assert (report.first.id, report.first.verdict) == ("model.checkpoint", FAULT)


def test_damaged_weights_are_named(network: Model) -> None:
    def nan(net: Any) -> None:
        next(iter(net.parameters())).view(-1)[0] = float("nan")

    def head(net: Any) -> None:
        net.heads["hv"][3].weight.zero_()

    assert "NaN" in with_model(changed(network, nan)).first.title  # type: ignore[union-attr]
    assert "heads.hv" in with_model(changed(network, head)).first.title  # type: ignore[union-attr]


def test_functions_are_looked_through_from_outside() -> None:
    rng = np.random.default_rng(0)
    blank = Maps(np.full((128, 128), 0.2), np.zeros((2, 128, 128)))

    def at_random(image: Any) -> Maps:
        return Maps(rng.random(image.shape[:2]), rng.normal(size=(2, *image.shape[:2])))

    def blind(image: Any) -> Maps:
        return Maps(blank.np[: image.shape[0], : image.shape[1]],
                    blank.hv[:, : image.shape[0], : image.shape[1]])  # fmt: skip

    def breaks(image: Any) -> Maps:
        raise RuntimeError("out of memory")

    assert with_model(at_random).first.id == "model.tiles"  # type: ignore[union-attr]
    assert "sees nothing" in with_model(blind).first.title  # type: ignore[union-attr]
    first = with_model(breaks).first
    assert first is not None and first.id == "model.failures" and "out of memory" in first.evidence


# --- separations -------------------------------------------------------------------------


def relabels(prob: Any, hv: Any) -> Any:
    return ndimage.label(nh.separate(Maps(prob, hv)).labels > 0)[0]


def reads_inward(prob: Any, hv: Any) -> Any:
    return nh.separate(Maps(prob, -hv)).labels


def moves(prob: Any, hv: Any) -> Any:
    return np.roll(nh.separate(Maps(prob, hv)).labels, 6, 1)


def fails(prob: Any, hv: Any) -> Any:
    raise IndexError("index 3 is out of bounds")


def smooths(prob: Any, hv: Any) -> Any:
    return nh.separate(Maps(prob, ndimage.gaussian_filter(hv, (0, 12, 12)))).labels


def by_tiles(prob: Any, hv: Any) -> Any:
    out, n = np.zeros(prob.shape, int), 0
    for r in range(0, len(prob), 48):
        labels = nh.separate(Maps(prob[r : r + 48], hv[:, r : r + 48])).labels
        out[r : r + 48] = np.where(labels > 0, labels + n, 0)
        n += int(labels.max())
    return out


@pytest.mark.parametrize(
    ("separation", "id", "words"),
    [
        ("merging_relabel", "separation.relabel", "merged again"),
        ("magnitude_peaks", "separation.seeds", "rims"),
        (relabels, "separation.relabel", "merged again"),
        (reads_inward, "separation.reading", "inward"),
        (moves, "separation.oracle", "6 columns"),
        (fails, "separation.oracle", "error"),
        (smooths, "separation.oracle", "unless they are larger"),
        (by_tiles, "separation.reading", "tile"),
        (replace(nh.SeparationParams(), min_area=3000), "separation.tuning", "smallest area"),
    ],
)  # fmt: skip
def test_a_separation_is_found_out_on_generated_nuclei(separation, id, words) -> None:
    first = nh.diagnose(separation=separation).first
    assert first is not None and (first.id, first.verdict) == (id, FAULT)
    assert words in first.title + first.evidence and first.remedy.action in ("separation", "")


@pytest.mark.parametrize("preset", ["local", "hover_net"])
def test_our_separations_are_in_order(preset: str) -> None:
    report = nh.diagnose(separation=preset)
    assert not report.faults and not report.warnings


# --- what cannot be used -----------------------------------------------------------------

EMPTY = np.zeros((40, 40), np.float32)


@pytest.mark.parametrize(
    "given",
    [
        {"labels": [np.zeros((0, 0), int)]},
        {"np": [EMPTY[:1, :1]], "hv": [np.zeros((2, 1, 1))], "labels": [np.ones((1, 1), int)]},
        {"np": [EMPTY], "hv": [np.zeros((2, 40, 40))], "labels": [EMPTY.astype(int)]},
        {"np": [EMPTY + 1], "hv": [np.ones((2, 40, 40))], "labels": [EMPTY.astype(int) + 10**9]},
        {"np": [EMPTY * np.nan], "hv": [np.zeros((2, 40, 40))]},
        {"np": [EMPTY, EMPTY[:9]], "hv": [np.zeros((2, 40, 40)), np.zeros((2, 9, 40))],
         "images": [np.full((40, 40, 3), 200, np.uint8), np.zeros((9, 40, 3), np.uint8)]},
        {"np": [EMPTY], "hv": [np.zeros((3, 40, 40))], "images": [np.zeros((8, 8, 3), np.uint8)]},
        {"images": [np.full((7, 5, 3), 128, np.uint8)], "model": "compact"},
        {"hv": [np.zeros((2, 40, 40))], "labels": [EMPTY.astype(int)]},
    ],
)  # fmt: skip
def test_degenerate_input_breaks_no_check(given: dict[str, Any]) -> None:
    for kind in ("maps", "targets"):
        report = nh.diagnose(**given, separation="local", hv_are=kind)
        broken = [f.evidence for f in report.not_tested if "the check failed" in f.evidence]
        assert not broken
        if "hv" not in given:
            break


def test_without_labels_maps_are_worth_a_warning_and_targets_alone_say_so(scenes) -> None:
    made = tissue((96, 96), seed=1)
    report = nh.diagnose(labels=[made.labels], hv=[hv_targets(made.labels)])
    assert any("taken for stored targets" in note for note in report.notes)
    for change in (lambda p, h: (1 - p, h), lambda p, h: (p, -h),
                   lambda p, h: (np.roll(p, 9, 1), np.roll(h, 9, 2))):  # fmt: skip
        report = told(scenes, change, labels=None)
        assert report.first is not None and report.first.verdict == WARN
        assert not report.faults and all(f.certainty <= ALONE for f in report.warnings)
