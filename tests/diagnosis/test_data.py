"""Faults of data, losses and augmentations, planted on generated tissue: who names them, how."""

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed

import napari_hovernet as nh
from napari_hovernet.core.diagnosis import augmentation_given, draws
from napari_hovernet.core.diagnosis.bench import DiagnosisParams, zoomed_about_centre
from napari_hovernet.core.diagnosis.case import Setup
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.synthetic import tissue

Given = dict[str, Any]
Change = Callable[[Any], Any]
SIDE = 256
SURE = 0.7
"""Least certainty of a fault whose cause was planted alone."""


@cache
def made(seed: int = 0, n: int = 3) -> tuple[Any, ...]:
    return tuple(tissue((SIDE, SIDE), seed=seed + i) for i in range(n))


def healthy(*parts: str) -> Given:
    given: Given = {"images": [t.image for t in made()], "labels": [t.labels for t in made()]}
    labels = given["labels"]
    more = {
        "types": [np.concatenate(([0], t.types))[t.labels].astype(np.int32) for t in made()],
        "hv": [hv_targets(a) for a in labels],
        "np": [(a > 0).astype(np.uint8) for a in labels],
    }
    return given | {name: more[name] for name in parts} | ({"n_types": 6} if parts else {})


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for mistakes of every draw or every other."""
    monkeypatch.setattr(draws, "N_DRAWS", 12)
    monkeypatch.setattr(augmentation_given, "EDGE", 128)


def diagnosed(family: str, given: Given) -> nh.DiagnosisReport:
    return nh.diagnose(**given, params=DiagnosisParams(families=(family,)))


def every(name: str, change: Change) -> Callable[[Given], Given]:
    return lambda given: {**given, name: [change(a) for a in given[name]]}


def half_left(labels: Any) -> Any:
    return np.where(labels % 2 == 1, labels, 0)


def components(labels: Any) -> Any:
    return ndimage.label(labels > 0)[0]


def tiles(labels: Any) -> Any:
    rows, cols = np.indices(labels.shape) // 48
    return np.where(labels > 0, labels + 500 * (8 * rows + cols), 0)


def grown(labels: Any) -> Any:
    away, (r, c) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.where(away <= 5, labels[r, c], 0)


def smooth(labels: Any) -> Any:
    return np.rint(ndimage.zoom(ndimage.zoom(labels.astype(float), 0.5, order=1), 2, order=1))


def turned(labels: Any) -> Any:
    return ndimage.rotate(labels, 9, reshape=False, order=0)


def partly_soft(image: Any) -> Any:
    sharp = SIDE * 2 // 5
    soft = ndimage.gaussian_filter(image, (5, 5, 0))
    return np.concatenate((image[:, :sharp], soft[:, sharp:]), 1)


def torn(image: Any) -> Any:
    return np.concatenate((image[: SIDE // 2], np.roll(image[SIDE // 2 :], 12, 1)))


def drawn_anew(image: Any) -> Any:
    """A draw of an augmentation that was saved: turned, enlarged, lighter."""
    bigger = ndimage.zoom(ndimage.rotate(image, 9, (1, 0), reshape=False, order=1), (1.25, 1.25, 1))
    return np.uint8(255 * (bigger[20 : SIDE + 20, 20 : SIDE + 20] / 255) ** 0.8)


def tiles_apart(image: Any) -> Any:
    """Tiles of 32 px in every other row are laid out from the wrong side."""
    made = image.copy()
    for r in range(32, SIDE - 31, 64):
        row = image[r : r + 32]
        made[r : r + 32] = np.concatenate([row[:, c : c + 32] for c in range(0, SIDE, 32)][::-1], 1)
    return made


def sharpened(image: Any) -> Any:
    return np.uint8((image + 3.0 * (image - ndimage.gaussian_filter(image / 1.0, (5, 5, 0)))).clip(
        0, 255))  # fmt: skip


def equalised(image: Any) -> Any:
    """The histogram of each channel is equalised by pieces."""
    clahe = cv2.createCLAHE(clipLimit=40, tileGridSize=(6, 6))
    return np.dstack([clahe.apply(np.ascontiguousarray(image[..., k])) for k in range(3)])


DATA = (
    ("labels", half_left, "data.complete", "label|leave"),
    ("labels", components, "data.labels", "instance|id of its own"),
    ("labels", lambda a: 255 * (a > 0), "data.labels", "mask"),
    ("labels", tiles, "data.labels", "tiles|join"),
    ("labels", lambda a: smooth(a).astype(np.int32), "data.labels", "nearest"),
    ("labels", lambda a: 0 * a, "data.labels", "not found"),
    ("labels", grown, "data.coverage", "shrink"),
    ("labels", lambda a: a + 1, "data.coverage", "background"),
    ("labels", lambda a: np.roll(a, (7, 11), (0, 1)), "data.place", "labels_shift"),
    ("labels", lambda a: a[::-1].copy(), "data.place", "labels_turn"),
    ("labels", lambda a: zoomed_about_centre(a, 1.15), "data.place", "labels_zoom"),
    ("labels", turned, "data.place", "degrees"),
    ("labels", lambda a: a[:-9], "data.files", "size"),
    ("images", lambda a: a[..., ::-1].copy(), "data.images", "channel_order"),
    ("images", lambda a: (a // 4).astype(np.uint8), "data.images", "input_factor"),
    ("images", lambda a: a * np.array([1, 0, 1], np.uint8), "data.images", "channel"),
    ("images", lambda a: (128 + 0.3 * (a - 128.0)).astype(np.uint8), "data.images", "contrast"),
    ("images", lambda a: (a * [1, 0.95, 0.4]).astype(np.uint8), "data.images", "white"),
    ("images", lambda a: np.tri(SIDE, dtype=np.uint8)[..., None] * a, "data.images", "alpha"),
    ("images", lambda a: ndimage.gaussian_filter(a, (5, 5, 0)), "data.images", "focus"),
    ("images", partly_soft, "data.images", "focus"),
    ("images", torn, "data.place", "strips"),
    ("images", lambda a: a[:, np.minimum(np.arange(SIDE), 120)], "data.images", "beyond the edge"),
    ("images", tiles_apart, "data.images", "tiles"),
    ("images", lambda a: np.uint8(a / 2.0 + np.roll(a, (8, -9), (0, 1)) / 2), "data.images",
     "Register"),
    ("images", sharpened, "data.images", "no filter"),
    ("images", equalised, "data.images", "CLAHE"),
    ("images", lambda a: np.where(a > 200, np.nan, a / 255), "data.files", "NaN"),
    ("types", lambda a: a + 1, "data.types", "background"),
    ("types", lambda a: a + 3 * (a > 0), "data.types", "n_types|type_offset"),
    ("types", lambda a: np.maximum(a - 1, 0), "data.types", "types_background"),
    ("types", lambda a: np.roll(a, 25, 0), "data.types", "moved"),
    ("hv", lambda a: a[::-1].copy(), "data.hv_convention", "target_order"),
    ("hv", lambda a: -a, "data.hv_convention", "target_sign"),
    ("hv", lambda a: (127 * a).round().astype(np.int8), "data.hv_convention", "target_divisor"),
    ("hv", lambda a: 0.5 * a + 0.5, "data.hv_convention", "offset"),
    ("hv", lambda a: a.clip(0, 1), "data.hv_convention", "unsigned|clipped"),
    ("hv", lambda a: ndimage.gaussian_filter(a, (0, 3, 3)), "data.targets", "nearest"),
    ("hv", lambda a: np.roll(a, 9, 2), "data.targets", "shift"),
    ("np", lambda a: 1 - a, "data.targets", "np_channel"),
)  # fmt: skip
"""What is changed, how, who names it, and a word or the action of the remedy."""


@pytest.mark.parametrize(("part", "change", "named", "remedy"), DATA)
def test_a_fault_of_the_data_is_named_first_with_its_remedy(part, change, named, remedy) -> None:
    more = {"types": ("types",), "hv": ("hv", "np"), "np": ("hv", "np")}.get(part, ())
    expect(diagnosed("data", every(part, change)(healthy(*more))), named, remedy)


def expect(report: nh.DiagnosisReport, named: str, remedy: str) -> None:
    first = report.first
    assert first is not None
    assert (first.id, first.verdict) == (named, "fault"), first.evidence
    assert first.certainty >= SURE
    said = f"{first.remedy.text} {first.remedy.action}"
    assert any(word in said for word in remedy.split("|")), said
    assert not any("the check failed" in f.evidence for f in report.not_tested)


def test_pairs_and_leaks_are_named_with_what_mends_them() -> None:
    given = healthy()
    mixed = {**given, "labels": given["labels"][1:] + given["labels"][:1]}
    first = diagnosed("data", mixed).first
    assert first is not None and (first.id, list(first.remedy.value)) == ("data.place", [1, 2, 0])
    overlap = {**given, "held_out": [given["images"][1][40:150, 30:].copy(), made(50)[0].image]}
    expect(diagnosed("data", overlap), "data.leak", "Divide by source")
    again = {**given, "held_out": [drawn_anew(given["images"][1]), made(50)[0].image]}
    expect(diagnosed("data", again), "data.leak", "Divide by source")
    apart = {**given, "held_out": [t.image for t in made(50)]}
    assert diagnosed("data", apart).first is None


def test_healthy_data_are_clean_in_any_type_and_declared_convention() -> None:
    given = healthy("hv", "np", "types")
    assert diagnosed("data", given).first is None
    odd = {
        **every("labels", lambda a: a.astype(np.int64) * 977)(given),
        "images": [(a / 255).astype("f4") for a in given["images"]],
        "hv": [np.rint(127 * hv_targets(a, HVConvention(order="vh", sign="inward"))).astype("i1")
               for a in given["labels"]],
        "setup": Setup(
            target_order="vh", target_sign="inward", target_divisor=127.0),
    }  # fmt: skip
    assert diagnosed("data", odd).first is None


def test_without_labels_order_and_sign_are_a_warning_and_range_is_a_fault() -> None:
    given = healthy("hv", "np")
    del given["labels"]
    swapped = diagnosed("data", every("hv", lambda a: a[::-1].copy())(given)).first
    assert swapped is not None and (swapped.id, swapped.verdict) == ("data.hv_convention", "warn")
    assert swapped.certainty <= 0.5
    large = diagnosed("data", every("hv", lambda a: 127 * a)(given)).first
    assert large is not None
    assert (large.verdict, large.remedy.action, large.remedy.value) == (
        "fault", "target_divisor", 127.0)  # fmt: skip


PLANES = (
    np.zeros((0, 0), np.int32), np.zeros((1, 1), np.int32), np.ones((1, 1), np.int32),
    np.zeros((7, 300), np.int32), np.full((40, 40), 2**31 - 1), np.full((30, 30), np.nan),
    np.arange(4096).reshape(64, 64), np.full((33, 31), -1), np.eye(50, dtype=bool),
)  # fmt: skip


@pytest.mark.parametrize("labels", PLANES)
def test_degenerate_input_never_breaks_a_check(labels: Any) -> None:
    shape = labels.shape
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    t = made()[0]
    given: Given = {
        "images": [image, t.image[:64, :90]], "labels": [labels, t.labels[:64, :90]],
        "hv": [np.zeros((2, *shape), np.float32), np.full((2, 64, 90), np.inf, np.float16)],
        "np": [np.zeros(shape), np.ones((64, 90))], "types": [np.zeros(shape, int)] * 2,
        "held_out": [image], "hv_are": "targets",
    }  # fmt: skip
    alone = {name: v[:1] if isinstance(v, list) else v for name, v in given.items()}
    rest = {**alone, "augmentation": "none", "loss": mse}
    for family, case in (("data", given), ("data", alone), ("loss", rest), ("augmentation", rest)):
        report = diagnosed(family, case)
        assert not [f.evidence for f in report.not_tested if "the check failed" in f.evidence]
        assert all(np.isfinite(f.certainty) for f in report.findings)


def mean(values: Any, mask: Any) -> Any:
    inside = mask[:, None].expand_as(values) if values.ndim == 4 else mask
    return (values * inside).sum() / inside.sum().clamp(min=1)


def mse(p: Any, t: Any, m: Any) -> Any:
    return mean((p - t).square(), m)


def length(hv: Any) -> Any:
    return (hv.square().sum(1) + 1e-6).sqrt()


LOSSES = (
    (lambda p, t, m: mean((p.detach() - t).square(), m) + 0 * p.sum(), "gradient", "detach"),
    (lambda p, t, m: mean((p.square().sum(1).sqrt() - 1).square(), m), "gradient", "epsilon"),
    (lambda p, t, m: ((p - t).square() * m[:, None]).sum() / m.sum(), "gradient", "clamp"),
    (lambda p, t, m: mean((p.clamp(0, 1) - t).square(), m), "gradient", "clamp"),
    (lambda p, t, m: mean((p - t).square().clamp(max=0.02), m), "gradient", "clip the error"),
    (lambda p, t, m: mean((length(p) - length(t)).square(), m), "minimum", "both components"),
    (lambda p, t, m: -mean((p - t).square(), m), "minimum", "sign"),
    (lambda p, t, m: mean((p - t.flip(1)).square(), m), "minimum", "channels"),
    (lambda p, t, m: mean((p - 2 * t).square(), m), "minimum", "scale"),
    (lambda p, t, m: mean((p - t)[:, :1].square(), m), "minimum", "both channels"),
    (lambda p, t, m: ((p - t).square() * m[:, None]).mean(), "weights", "nucleus pixels"),
    (lambda p, t, m: mean((p - t).square(), 1 - m), "weights", "mask"),
    (lambda p, t, m: ((p - t).square() * m[:, None]).sum(), "weights", "Divide"),
    pytest.param(HoverLoss(lambda_hv=400.0), "weights", "lambda_hv", marks=pytest.mark.slow),
    pytest.param(
        HoverLoss(nt_inside_only=False), "weights", "nt_inside_only", marks=pytest.mark.slow
    ),
)
"""Loss, check and a word of the remedy."""


@pytest.mark.parametrize(("loss", "check", "remedy"), LOSSES)
def test_a_fault_of_the_loss_is_named_first(loss: Any, check: str, remedy: str) -> None:
    expect(diagnosed("loss", {"loss": loss}), f"loss.{check}", remedy)


SOUND = (
    HoverLoss(),
    mse,
    lambda p, t, m: mean((p - t).abs(), m),
    {"mse": mse,
     "length": lambda p, t, m: mean((length(p) - length(t)).square(), m)},
)  # fmt: skip


@pytest.mark.parametrize("loss", SOUND)
def test_sound_losses_are_clean(loss: Any) -> None:
    assert diagnosed("loss", {"loss": loss}).first is None


def mirrored(hv_signs: tuple[int, int], part: str = "all") -> Any:
    signs = np.array(hv_signs, np.float32)[:, None, None]

    def own(image: Any, labels: Any, hv: Any) -> Any:
        if torch.rand(()) < 0.5:
            return image, labels, hv
        if part == "image":
            return image[:, ::-1].copy(), labels, hv
        return image[:, ::-1].copy(), labels[:, ::-1].copy(), hv[:, :, ::-1] * signs

    return own


def changed(of_image: Change, of_labels: Change = lambda a: a) -> Any:
    return lambda image, labels, hv: (of_image(image), of_labels(labels), hv)


def pasted(own_ids: bool) -> Any:
    """Paste nuclei of another place, with their ids or with new ones; HV is made anew."""

    def own(image: Any, labels: Any, hv: Any) -> Any:
        from_there, new = np.roll(image, 70, 1), np.roll(labels, 70, 1)
        near = np.unique(new[ndimage.maximum_filter(labels, 5) > 0])  # whole ones alone are pasted
        where = (new > 0) & ~np.isin(new, near)
        ids = new + (labels.max() if own_ids else 0)
        image, labels = np.where(where[..., None], from_there, image), np.where(where, ids, labels)
        return image, labels, hv_targets(labels.astype(np.int32))

    return own


def without_stain(image: Any) -> Any:
    """Haematoxylin is nearly washed out."""
    stains = rgb2hed(image)
    stains[..., 0] *= 0.05
    return np.uint8(255 * hed2rgb(stains).clip(0, 1))


AUGMENTATIONS = (
    (pasted(own_ids=False), "labels", "ids of their own"),
    (changed(without_stain), "image", "haematoxylin"),
    ("story", "hv", "order"),
    (mirrored((1, 1)), "hv", "Negate"),
    (mirrored((1, -1)), "hv", "negates the channel"),
    (mirrored((-1, 1), "image"), "labels", "very same"),
    (changed(lambda a: a, lambda b: (b % 3).astype(np.uint8)), "labels", "instance labels"),
    (changed(lambda a: a + np.uint8(90)), "image", "overflow"),
    (changed(lambda a: a[..., [1, 2, 0]].copy()), "image", "order of colour"),
    (changed(lambda a: a // 40), "image", "brightness"),
)


@pytest.mark.parametrize(("augmentation", "check", "remedy"), AUGMENTATIONS)
def test_a_fault_of_augmentation_is_named_first(augmentation: Any, check: str, remedy: str) -> None:
    expect(diagnosed("augmentation", {"augmentation": augmentation}), f"augmentation.{check}",
           remedy)  # fmt: skip


@pytest.mark.parametrize("augmentation", ["ours", "none", mirrored((-1, 1)), pasted(own_ids=True)])
def test_sound_augmentation_is_clean(augmentation: Any) -> None:
    given = {"augmentation": augmentation}
    assert diagnosed("augmentation", given).first is None
