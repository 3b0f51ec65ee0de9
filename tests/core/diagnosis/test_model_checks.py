"""Checks of a network as a whole: healthy, each fault planted, its remedy applied."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_checks import CHECKS
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.inference import predict
from napari_hovernet.core.networks.registry import Network
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Model, Progress

BY_ID = {check.id: check for check in CHECKS}
N = 3


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small images gain nothing from threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("compact", device="cpu")


@pytest.fixture(scope="module")
def pictures() -> tuple[list[np.ndarray], list[np.ndarray]]:
    made = [tissue((160, 160), seed=i) for i in range(N)]
    return [t.image for t in made], [t.labels for t in made]


class Tampered(Network):
    """A network with something before or after it."""

    def __init__(self, inner: Network, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after
        self.geometry, self.config, self.accepts = inner.geometry, inner.config, inner.accepts

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.inner(x if self.before is None else self.before(x))
        return out if self.after is None else self.after(dict(out))


def tampered(model: Model, **what: Any) -> Model:
    return replace(model, network=Tampered(model.network, **what).eval())


def changed(model: Model, change: Callable[[Any], None]) -> Model:
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        change(network)
    return replace(model, network=network.eval())


def case_of(model: Any, images: Any, labels: Any = None) -> Case:
    stacks = {"image": images} if labels is None else {"image": images, "labels": labels}
    return Case(ArrayItems(**stacks), predictor=Predictor.of(model))


def found(case: Case, finding_id: str, bench: Bench | None = None) -> Finding:
    steps = BY_ID[finding_id].run(bench or Bench(case))
    made = [step for step in steps if isinstance(step, Finding)]
    assert [f.id for f in made] == [finding_id]
    return made[0]


def all_found(case: Case) -> dict[str, Finding]:
    bench = Bench(case)
    there = case.has
    return {i: found(case, i, bench) for i, c in BY_ID.items() if not c.missing(there)}


def wrong(findings: dict[str, Finding]) -> dict[str, str]:
    return {i: f.evidence for i, f in findings.items() if f.verdict in ("fault", "warn")}


def mended(case: Case, finding: Finding) -> Finding:
    """Apply the remedy and test again."""
    assert finding.remedy.action
    return found(case.with_setup(case.setup.applied(finding.remedy)), finding.id)


def resized(arrays: list[np.ndarray], factor: float, how: int) -> list[np.ndarray]:
    return [
        cv2.resize(a, (round(a.shape[1] * factor), round(a.shape[0] * factor)), interpolation=how)
        for a in arrays
    ]


# ------------------------------------------------------------------------- healthy


def test_the_built_in_model_is_healthy_on_generated_tissue(model: Model, pictures: Any) -> None:
    findings = all_found(case_of(model, *pictures))
    assert not wrong(findings)
    assert "model.token_prefix" not in findings
    assert {f.verdict for f in findings.values()} == {"ok"}


def test_it_is_healthy_without_labels(model: Model, pictures: Any) -> None:
    assert not wrong(all_found(case_of(model, pictures[0])))


def test_one_small_image_is_enough(model: Model) -> None:
    made = tissue((64, 64), seed=1)
    assert not wrong(all_found(case_of(model, [made.image], [made.labels])))


def test_a_function_is_tried_from_outside(model: Model, pictures: Any) -> None:
    findings = all_found(case_of(lambda image: predict(model, image), *pictures))
    assert not wrong(findings)
    hidden = {i for i, f in findings.items() if f.verdict == "not tested"}
    assert hidden == {"model.untrained", "model.activations", "model.batch_norm"}


def real(shared: Path, sizes: tuple[int, ...], n: int) -> tuple[list[Any], list[Any]]:
    folder = shared / "data"
    with open(folder / "index.csv", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "val" and int(r["H"]) in sizes]
    images = [np.asarray(Image.open(folder / r["path"]).convert("RGB")) for r in rows[:n]]
    return images, [np.asarray(Image.open(folder / r["label"])).astype(np.int32) for r in rows[:n]]


def test_real_images_are_healthy(shared: Path, model: Model) -> None:
    assert not wrong(all_found(case_of(model, *real(shared, (256,), 5))))


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_magnifications_a_bit_off_are_no_fault(shared: Path, model: Model, factor: float) -> None:
    images, labels = real(shared, (256, 640), 8)
    case = case_of(
        model,
        resized(images, factor, cv2.INTER_AREA),
        resized(labels, factor, cv2.INTER_NEAREST),
    )
    assert found(case, "model.mpp").verdict == "ok"


# ------------------------------------------------------------------------- planted


def test_bgr_images(model: Model, pictures: Any) -> None:
    images = [image[..., ::-1].copy() for image in pictures[0]]
    for labels in (pictures[1], None):
        case = case_of(model, images, labels)
        finding = found(case, "model.channel_order")
        assert finding.verdict == "fault" and finding.places
        assert (finding.remedy.action, finding.remedy.value) == ("channel_order", "bgr")
        assert mended(case, finding).verdict == "ok"


def test_bgr_inside_the_network(model: Model, pictures: Any) -> None:
    case = case_of(tampered(model, before=lambda x: x.flip(1)), *pictures)
    finding = found(case, "model.channel_order")
    assert finding.verdict == "fault" and finding.certainty >= 0.95
    assert mended(case, finding).verdict == "ok"


def test_images_of_0_to_1_in_whole_numbers(model: Model, pictures: Any) -> None:
    images = [np.rint(image / 255).astype(np.uint8) for image in pictures[0]]
    case = case_of(model, images, pictures[1])
    finding = found(case, "model.input_range")
    assert finding.verdict == "fault"
    assert (finding.remedy.action, finding.remedy.value) == ("input_factor", 255.0)
    assert mended(case, finding).verdict == "ok"


@pytest.mark.parametrize(("factor", "said"), [(1 / 255, "0..1"), (255.0, "0..255")])
def test_a_network_that_scales_once_too_often_or_not_at_all(
    model: Model, pictures: Any, factor: float, said: str
) -> None:
    case = case_of(tampered(model, before=lambda x: x * factor), *pictures)
    finding = found(case, "model.input_range")
    assert finding.verdict == "fault" and f"sees {said}" in finding.title
    assert finding.remedy.text and not finding.remedy.action


@pytest.mark.parametrize(("factor", "side"), [(0.35, "smaller"), (3.0, "larger")])
def test_another_magnification(shared: Path, model: Model, factor: float, side: str) -> None:
    images, labels = real(shared, (256, 640), 20)
    case = case_of(
        model,
        resized(images[::4], factor, cv2.INTER_AREA),
        resized(labels[::4], factor, cv2.INTER_NEAREST),
    )
    finding = found(case, "model.mpp")
    assert finding.verdict == "fault" and side in finding.title
    assert finding.remedy.action == "zoom" and (finding.remedy.value > 1) == (factor < 1)
    assert mended(case, finding).verdict == "ok"


def test_a_negative(model: Model, pictures: Any) -> None:
    case = case_of(model, [255 - image for image in pictures[0]], pictures[1])
    finding = found(case, "model.normalisation")
    assert finding.verdict == "fault" and "exchanged" in finding.remedy.text


def test_other_statistics_in_batch_norm(model: Model, pictures: Any) -> None:
    def change(network: Any) -> None:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean += 1.5 * module.running_var.sqrt()
                module.running_var *= 6

    finding = found(case_of(changed(model, change), *pictures), "model.batch_norm")
    assert finding.verdict == "fault" and finding.numbers["ratio of variances"] > 4


def test_a_head_that_was_not_loaded(model: Model, pictures: Any) -> None:
    def change(network: Any) -> None:
        for module in network.heads["hv"].modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()

    finding = found(case_of(changed(model, change), *pictures), "model.untrained")
    assert finding.verdict == "fault" and "heads.hv" in finding.title


def test_a_weight_that_is_nan(model: Model, pictures: Any) -> None:
    def change(network: Any) -> None:
        network.down[3].conv1.weight[0, 0, 0, 0] = float("nan")

    findings = all_found(case_of(changed(model, change), *pictures))
    first = max(findings.values(), key=lambda f: f.certainty)
    assert first.id == "model.non_finite" and "down.3.conv1.weight" in first.evidence
    assert "down.3.conv1" in findings["model.activations"].title
    assert findings["model.failures"].verdict == "fault"
    assert findings["model.mpp"].verdict == "not tested"


def test_activations_that_explode(model: Model, pictures: Any) -> None:
    def change(network: Any) -> None:
        network.down[2].bn1.weight *= 300
        network.down[2].bn2.weight *= 300

    finding = found(case_of(changed(model, change), *pictures), "model.activations")
    assert finding.verdict == "fault" and "explode in layer down.2" in finding.title


def test_a_network_that_fails_on_one_image(model: Model, pictures: Any) -> None:
    def network(image: np.ndarray) -> Any:
        if (image == pictures[0][1]).all():
            raise RuntimeError("index out of range")
        return predict(model, image)

    findings = all_found(case_of(network, *pictures))
    assert findings["model.failures"].verdict == "fault"
    assert [p.item for p in findings["model.failures"].places] == [1]
    assert "index out of range" in findings["model.failures"].evidence
    assert set(wrong(findings)) == {"model.failures"}


def test_a_model_that_was_refused_leaves_the_rest_untested() -> None:
    items = ArrayItems(image=np.zeros((2, 64, 64, 3), np.uint8))
    findings = all_found(Case(items, model_error="x.pth cannot be read"))
    assert findings["model.checkpoint"].verdict == "fault"
    rest = {f.verdict for i, f in findings.items() if i != "model.checkpoint"}
    assert rest == {"not tested"}


def test_faults_of_others_are_not_found_here(model: Model, pictures: Any) -> None:
    """HV swapped, NP channel 0, labels moved: other checks name them."""
    planted = {
        "hv swapped": (tampered(model, after=lambda o: {**o, "hv": o["hv"].flip(1)}), pictures[1]),
        "np 0": (tampered(model, after=lambda o: {**o, "np": o["np"].flip(1)}), pictures[1]),
        "labels": (model, [np.roll(a, (9, 14), (0, 1)) for a in pictures[1]]),
        "empty": (model, [0 * a for a in pictures[1]]),
        "mirrored": (model, [a[:, ::-1].copy() for a in pictures[1]]),
    }
    for name, (network, labels) in planted.items():
        assert not wrong(all_found(case_of(network, pictures[0][:2], labels[:2]))), name


def test_every_check_yields_between_predictions(model: Model, pictures: Any) -> None:
    calls: list[int] = []

    def network(image: np.ndarray) -> Any:
        calls.append(1)
        return predict(model, image)

    bench = Bench(case_of(network, *pictures))
    for check in CHECKS:
        if check.missing(bench.case.has):
            continue
        before = len(calls)
        for step in check.run(bench):
            assert isinstance(step, (Progress, Finding))
            assert len(calls) - before <= 2
            before = len(calls)
