from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from napari_hovernet.core.data.samples import TURNS, Turn, turn_hv, turn_plane
from napari_hovernet.core.diagnosis import DiagnosisReport, diagnose
from napari_hovernet.core.diagnosis.augment_causes import cause_of
from napari_hovernet.core.diagnosis.augment_draws import label_state, seeded, touching
from napari_hovernet.core.diagnosis.augment_findings import hv_finding
from napari_hovernet.core.diagnosis.augment_limits import AugmentationLimits
from napari_hovernet.core.diagnosis.augment_moves import move_of
from napari_hovernet.core.diagnosis.augment_probe import as_planes
from napari_hovernet.core.diagnosis.augment_reading import (
    TURN_NAMES,
    name_of,
    read_augmentation,
    turn_of,
)
from napari_hovernet.core.diagnosis.augment_rules import mean_of_rules, rows_of_rules
from napari_hovernet.core.diagnosis.augment_words import mean_length
from napari_hovernet.core.diagnosis.augmentation_checks import CHECKS
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import Case
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import AugmentParams
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.errors import InputError

ONLY = DiagnosisParams(families=("augmentation",))
LIMITS = AugmentationLimits()
Arrays = tuple[Any, ...]


def look(augmentation: Any, **given: Any) -> DiagnosisReport:
    return diagnose(augmentation=augmentation, params=ONLY, **given)


def drawn() -> Turn:
    return TURNS[np.random.randint(8)]  # noqa: NPY002 - as people write it


def moved(image: Any, labels: Any, turn: Turn) -> Arrays:
    return turn_plane(image, turn, (0, 1)).copy(), turn_plane(labels, turn).copy()


def right(image: Any, labels: Any, hv: Any) -> Arrays:
    turn = drawn()
    return (*moved(image, labels, turn), turn_hv(hv, turn))


def right_vh(image: Any, labels: Any, hv: Any) -> Arrays:
    turn = drawn()
    return (*moved(image, labels, turn), turn_hv(hv, turn, "vh"))


def dictionary(image: Any, mask: Any, hv: Any) -> dict[str, Any]:
    return dict(zip(("image", "mask", "hv"), right(image, mask, hv), strict=True))


def keywords(**given: Any) -> dict[str, Any]:
    return dictionary(given["image"], given["mask"], given["hv"])


def channels_last(image: Any, labels: Any, hv: Any) -> Arrays:
    """Moves whatever it gets along axis 1: right for (H, W, 2) alone."""
    if np.random.rand() < 0.5:  # noqa: NPY002
        return image, labels, hv
    signs = np.array([-1, 1], np.float32) if hv.shape[-1] == 2 else np.float32(1)
    return image[:, ::-1], labels[:, ::-1], hv[:, ::-1] * signs


def tensors(image: Any, labels: Any, hv: Any) -> Arrays:
    image, labels, hv = right(image, labels, hv)
    return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(labels), hv


def rotated(
    image: Any, labels: Any, hv: Any, of_labels: int = 0, of_hv: int = 0, turn: bool = True
) -> Arrays:
    height, width = labels.shape
    angle, scale = np.random.uniform(-60, 60), np.random.uniform(0.8, 1.2)  # noqa: NPY002
    m = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    image = cv2.warpAffine(image, m, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    labels = cv2.warpAffine(labels.astype(np.float32), m, (width, height), flags=of_labels)
    hv = np.stack([cv2.warpAffine(c, m, (width, height), flags=of_hv) for c in hv])
    linear = m[:, :2] / np.sqrt(np.linalg.det(m[:, :2]))
    return image, labels, np.einsum("ij,jhw->ihw", linear, hv) if turn else hv


def elastic(image: Any, labels: Any, hv: Any) -> Arrays:
    height, width = labels.shape
    drawn = [np.random.rand(height, width).astype(np.float32) - 0.5 for _ in "xy"]  # noqa: NPY002
    fields = [cv2.GaussianBlur(x, (0, 0), 12) * 100 for x in drawn]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at = (x + fields[0], y + fields[1])
    labels = cv2.remap(labels.astype(np.float32), *at, cv2.INTER_NEAREST).astype(np.int32)
    return cv2.remap(image, *at, cv2.INTER_LINEAR), labels, hv_targets(labels)


def cropped(image: Any, labels: Any, hv: Any) -> Arrays:
    size = labels.shape[0] * 2 // 3
    r, c = np.random.randint(labels.shape[0] - size, size=2)  # noqa: NPY002
    box = (slice(r, r + size), slice(c, c + size))
    return right(image[box], labels[box], hv[:, box[0], box[1]])


def coloured(image: Any, labels: Any, hv: Any) -> Arrays:
    image, labels, hv = right(image, labels, hv)
    gain = np.random.uniform(0.6, 1.3, 3)  # noqa: NPY002
    return np.clip(image * gain + 10, 0, 255).astype(np.uint8), labels, hv


def renumbered(image: Any, labels: Any, hv: Any) -> Arrays:
    image, labels, hv = right(image, labels, hv)
    return image, np.unique(labels, return_inverse=True)[1].reshape(labels.shape), hv


def with_types(image: Any, labels: Any, hv: Any, types: Any) -> Arrays:
    turn = drawn()
    return (*moved(image, labels, turn), turn_hv(hv, turn), turn_plane(types, turn))


HEALTHY = {
    "ours": "ours",
    "none": "none",
    "params": AugmentParams(scale=(0.5, 1.5)),
    "own": right,
    "dictionary": dictionary,
    "keywords": keywords,
    "channels last": channels_last,
    "tensors": tensors,
    "rotated": rotated,
    "elastic": elastic,
    "cropped": cropped,
    "coloured": coloured,
    "renumbered": renumbered,
    "types": with_types,
    "rules": {turn: turn.matrix for turn in TURNS},
    "named rules": {"hflip": [[-1, 0], [0, 1]], "FlipUD": [[1, 0], [0, -1]]},
}


def unturned(image: Any, labels: Any, hv: Any) -> Arrays:
    turn = drawn()
    return (*moved(image, labels, turn), turn_plane(hv, turn).copy())


def only_rotated_back(image: Any, labels: Any, hv: Any) -> Arrays:
    turn = Turn(False, np.random.randint(4))  # noqa: NPY002
    back = np.einsum("ij,jhw->ihw", turn.matrix.T, turn_plane(hv, turn))
    return (*moved(image, labels, turn), back)


def of(change: Any) -> Any:
    """A right augmentation with something changed in what comes back."""
    return lambda image, labels, hv: change(*right(image, labels, hv))


def apart(image: Any, labels: Any, hv: Any) -> Arrays:
    turn = drawn()
    return moved(image, labels, turn)[0], labels, turn_hv(hv, turn)


def linear_labels(image: Any, labels: Any, hv: Any) -> Arrays:
    return rotated(image, labels, hv, of_labels=cv2.INTER_LINEAR)


def linear_hv(image: Any, labels: Any, hv: Any) -> Arrays:
    return rotated(image, labels, hv, of_hv=cv2.INTER_LINEAR)


FAULTY = {
    "story": ("story", "augmentation.hv", "fault", "rules of the other channel order"),
    "wrong order": (right_vh, "augmentation.hv", "fault", "rules of the other channel order"),
    "rules": (
        {"hflip": [[1, 0], [0, -1]], "vflip": [[-1, 0], [0, 1]]}, "augmentation.hv", "fault",
        "rules of the other channel order",
    ),
    "unturned": (unturned, "augmentation.hv", "fault", "vectors are not turned"),
    "rotated, unturned": (
        lambda image, labels, hv: rotated(image, labels, hv, turn=False), "augmentation.hv",
        "fault", "vectors are not turned",
    ),
    "unmoved": (
        lambda image, labels, hv: (*moved(image, labels, drawn()), hv), "augmentation.hv",
        "fault", "stays where it is",
    ),
    "turned back": (only_rotated_back, "augmentation.hv", "fault", "wrong way round"),
    "negated": (of(lambda i, t, hv: (i, t, -hv)), "augmentation.hv", "fault", "negated"),
    "bytes": (of(lambda i, t, hv: (i, t, hv * 127)), "augmentation.hv", "fault", "127 times"),
    "blurred borders": (linear_hv, "augmentation.hv", "warn", "across borders"),
    "labels stay": (apart, "augmentation.labels", "fault", "otherwise than their image"),
    "image beside": (
        of(lambda i, t, hv: (np.roll(i, (5, -7), (0, 1)), t, hv)), "augmentation.labels", "fault",
        "otherwise than their image",
    ),
    "linear labels": (linear_labels, "augmentation.labels", "fault", "interpolated"),
    "mask": (of(lambda i, t, hv: (i, t > 0, hv)), "augmentation.labels", "fault", "ids"),
    "bytes of labels": (
        of(lambda i, t, hv: (i, t.astype(np.uint8), hv)), "augmentation.labels", "warn", "8 bits",
    ),
    "types stay": (
        lambda image, labels, hv, types: (*right(image, labels, hv), types),
        "augmentation.types", "fault", "Types",
    ),
    "bgr": (of(lambda i, t, hv: (i[..., ::-1], t, hv)), "augmentation.image", "fault", "Red"),
    "black": (of(lambda i, t, hv: (i // 255 // 2, t, hv)), "augmentation.image", "fault", "blank"),
    "wrapped": (
        of(lambda i, t, hv: (i + np.uint8(60), t, hv)), "augmentation.image", "warn", "jump",
    ),
    "0 to 1": (of(lambda i, t, hv: (i / 255, t, hv)), "augmentation.image", "warn", "range"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_augmentations_are_ok(name: str) -> None:
    report = look(HEALTHY[name])
    assert report.first is None
    assert {f.id for f in report.passed} >= {"augmentation.hv", "augmentation.mean"}


@pytest.mark.parametrize("name", FAULTY)
def test_planted_faults_come_first(name: str) -> None:
    augmentation, cause, verdict, words = FAULTY[name]
    first = look(augmentation).first
    assert first is not None
    assert (first.id, first.verdict) == (cause, verdict)
    assert words in first.title
    assert first.remedy.text


def test_the_story_is_right_in_half_of_the_turns_and_zero_on_the_mean() -> None:
    report = look("story")
    hv, mean = report.get("augmentation.hv"), report.get("augmentation.mean")
    assert hv is not None
    assert mean is not None
    assert (hv.value, hv.verdict) == (0.5, "fault")
    assert mean.value == 0
    assert mean.numbers["predicted magnitude"] == 0
    assert "magnitude 0.00 instead of 0.67" in mean.evidence


def test_drawn_from_a_function_the_mean_over_the_eight_turns_is_zero_too() -> None:
    mean = look(right_vh).get("augmentation.mean")
    assert mean is not None
    assert mean.value == pytest.approx(0, abs=1e-6)
    assert mean.verdict == "fault"


def test_the_remedy_brings_it_in_order() -> None:
    setup = Setup()
    remedy = look(right_vh).first.remedy  # type: ignore[union-attr]
    assert (remedy.action, remedy.value) == ("target_order", "vh")
    assert look(right_vh, setup=setup.applied(remedy)).first is None


def test_it_is_not_for_the_remedy_to_say_how_stored_hv_is_read() -> None:
    made = tissue((128, 128), seed=2)
    hv = hv_targets(made.labels)[::-1].copy()
    setup = Setup(target_order="vh")
    report = look(right, images=[made.image], labels=[made.labels], hv=[hv], setup=setup)
    first = report.first
    assert first is not None
    assert first.id == "augmentation.hv"
    assert "[V, H]" in first.evidence
    assert not first.remedy.action


def test_the_users_own_images_are_augmented() -> None:
    made = [tissue((150, 180), seed=seed) for seed in (5, 6)]
    report = look(right, images=[t.image for t in made], labels=[t.labels for t in made])
    assert report.first is None
    labels = report.get("augmentation.labels")
    assert labels is not None
    assert "48 draws" in labels.evidence


@pytest.mark.parametrize("shape", [(64, 64), (30, 30)])
def test_small_images_do_no_harm(shape: tuple[int, int]) -> None:
    made = tissue(shape, seed=1)
    assert look(right, images=[made.image], labels=[made.labels]).first is None


def test_draws_are_the_same_each_time_and_leave_the_generators_alone() -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr,index] # noqa: NPY002
    a, b = (look(unturned).get("augmentation.hv").value for _ in range(2))  # type: ignore[union-attr]
    assert a == b
    after = np.random.get_state()[1]  # type: ignore[index] # noqa: NPY002
    np.testing.assert_array_equal(before, after)
    with seeded(1):
        pass


def test_an_augmentation_that_fails_is_not_tested_and_says_why() -> None:
    def broken(image: Any, labels: Any, hv: Any) -> Any:
        raise RuntimeError("out of luck")

    report = look(broken)
    assert not report.faults
    assert all("out of luck" in f.evidence for f in report.not_tested)
    assert "return (image, labels" in look(lambda image, labels, hv: 3).not_tested[0].evidence


# ------------------------------------------------------------------ parts


@pytest.mark.parametrize("given", ["hers", 3, {}, {"sideways": np.eye(2)}, {"hflip": [1, 2]}])
def test_what_is_no_augmentation_is_refused(given: Any) -> None:
    with pytest.raises(InputError):
        read_augmentation(given)


def test_names_of_turns_do_what_they_say() -> None:
    plane = np.arange(6).reshape(2, 3)
    does = {
        "identity": plane, "rot90": np.rot90(plane), "rot180": np.rot90(plane, 2),
        "rot270": np.rot90(plane, 3), "hflip": np.fliplr(plane), "vflip": np.flipud(plane),
        "transpose": plane.T, "transverse": np.rot90(plane, 2).T,
    }  # fmt: skip
    assert set(does) == set(TURN_NAMES)
    for name, expected in does.items():
        np.testing.assert_array_equal(turn_plane(plane, turn_of(name)), expected)
        assert name_of(turn_of(name)) == name


@pytest.mark.parametrize("turn", TURNS)
def test_moves_are_recognised(turn: Turn) -> None:
    labels = 4 * tissue((192, 160), seed=4).labels
    move = move_of(labels, turn_plane(labels, turn))
    assert move is not None
    assert (move.turn, move.exact) == (turn, True)
    cut = turn_plane(labels, turn)[5:-3, 4:-6]
    move = move_of(labels, cut)
    assert move is not None
    assert (move.turn, move.exact) == (turn, False)
    np.testing.assert_allclose(move.linear, turn.matrix, atol=1e-6)


def test_rules_are_worked_out_in_the_order_of_the_data() -> None:
    rules = read_augmentation({turn: turn.matrix for turn in TURNS})
    assert all(row.right for row in rows_of_rules(rules, Setup()))
    wrong = rows_of_rules(rules, Setup(target_order="vh"))
    assert sum(row.right for row in wrong) == 4
    np.testing.assert_array_equal(mean_of_rules(wrong), 0)
    cause = cause_of([(row.turn.matrix, row.transform) for row in wrong], LIMITS)
    assert cause is not None
    assert cause.name == "other order"
    assert mean_length(np.eye(2)) == 1


def test_ids_that_were_never_there_are_seen() -> None:
    before = np.array([[0, 301, 305, 305]], np.int32)
    assert label_state(before, before).foreign == 0
    assert label_state(before, np.array([[0, 303, 305, 305]])).foreign == pytest.approx(1 / 3)
    assert label_state(before, np.array([[0, 1, 2, 2]])).foreign == 0
    apart = np.array([[301, 0, 305, 0, 307]], np.int32)
    assert label_state(apart, apart > 0).lost
    assert not label_state(before, before > 0).lost, "one area may be one nucleus, enlarged"
    assert touching(before).tolist() == [[False, True, True, False]]


def test_sizes_that_differ_are_refused() -> None:
    planes = (np.zeros((4, 4, 3)), np.zeros((4, 4)), np.zeros((2, 4, 5)))
    with pytest.raises(InputError, match="one size"):
        as_planes(planes, "it")
    with pytest.raises(InputError, match="without 'mask'"):
        as_planes({"image": planes[0], "hv": planes[2]}, "it")


def test_without_draws_nothing_is_said() -> None:
    assert hv_finding([], Bench(Case()), LIMITS).verdict == "not tested"
    assert len({check.id for check in CHECKS}) == 5
    with pytest.raises(InputError, match="edge is 0"):
        AugmentationLimits(edge=0)
