"""The diagnosis as a whole: never "nothing wrong" over a bad score, and the set-up of the story."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import napari_hovernet as nh
from napari_hovernet.cli import main
from napari_hovernet.core.diagnosis.engine import all_checks, rank
from napari_hovernet.core.diagnosis.report import FAULT, Finding
from napari_hovernet.core.hv import PRESETS, hv_targets
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps

Change = Callable[[Maps, np.random.Generator], tuple[Any, Any]]


def warped(maps: Maps, rng: np.random.Generator) -> tuple[Any, Any]:
    """Everything lies up to 12 px elsewhere, every 30 px in another direction."""
    height, width = maps.shape
    away = ndimage.zoom(rng.uniform(-12, 12, (2, 6, 6)), (1, height / 6, width / 6), order=1)
    to = np.indices(maps.shape) + away
    prob, x, y = (ndimage.map_coordinates(a, to, order=1) for a in (maps.np, *maps.hv))
    return prob, np.stack([x, y])


def half_missed(maps: Maps, rng: np.random.Generator) -> tuple[Any, Any]:
    """The network does not see more than half of the nuclei."""
    parts, n = ndimage.label(maps.np > 0.5)
    gone = rng.random(n + 1) < 0.65
    gone[0] = False
    return np.where(gone[parts], 0.02, maps.np), maps.hv


def fat(maps: Maps, rng: np.random.Generator) -> tuple[Any, Any]:
    """Nuclei are taken for far too large."""
    return ndimage.grey_dilation(maps.np, (23, 23)), maps.hv


@pytest.mark.parametrize("change", [warped, half_missed, fat])
def test_over_a_bad_score_there_is_always_something_to_look_at(change: Change) -> None:
    made, rng = [tissue((160, 160), seed=seed) for seed in (1, 2)], np.random.default_rng(0)
    maps = [change(planted_maps(t.labels, seed=i), rng) for i, t in enumerate(made)]
    report = nh.diagnose(
        images=[t.image for t in made], labels=[t.labels for t in made],
        np=[p for p, _ in maps], hv=[hv for _, hv in maps], hv_are="maps", separation="local",
    )  # fmt: skip
    score, first = report.get("model.score"), report.first
    assert score is not None and score.numbers["Dice"] < 0.7, "the damage is too small"
    assert first is not None and first.certainty >= 0.5, report.summary
    assert not report.summary.startswith("Nothing wrong")
    if first.id == "model.score":
        assert "Ruled out" in first.evidence


def test_of_causes_that_explain_one_another_in_a_ring_the_strongest_stands() -> None:
    ids = {"model.np": 0.93, "model.activations": 0.85, "model.input": 0.75, "model.score": 0.7}
    found = [Finding(i, FAULT, title=i, evidence=i, certainty=sure) for i, sure in ids.items()]
    all_checks()
    ranked = rank(found)
    assert ranked[0].id == "model.np" and ranked[0].is_cause
    assert [f.explained_by for f in ranked if f.id == "model.score"] != [""]


def inside(error: Any, mask: Any) -> Any:
    return (error * mask[:, None]).sum() / (2 * mask.sum()).clamp(min=1)


def detached(hv: Any, truth: Any, mask: Any) -> Any:
    """Length alone learns: the error of directions is that of a copy without gradient."""
    long, wanted = ((a.square().sum(1, keepdim=True) + 1e-6).sqrt() for a in (hv, truth))
    return inside((hv.detach() - truth).square(), mask) + inside((long - wanted).square(), mask)


def own_mask(hv: Any, truth: Any, mask: Any) -> Any:
    """Only pixels count at which the network says something."""
    return inside((hv - truth).square(), mask * (hv.square().sum(1) > 0.01))


@pytest.mark.parametrize(
    ("loss", "title"),
    [(detached, "not that of the loss"), (own_mask, "where HV is 0"),
     (lambda hv, truth, mask: inside((hv - truth).square(), mask), "")],
)  # fmt: skip
def test_a_loss_is_judged_by_its_gradient_and_by_what_no_answer_costs(loss, title) -> None:
    report = nh.diagnose(loss=loss)
    first = report.first
    assert title in first.title if title and first else not report.faults, report.summary
    assert not title or (first.verdict == "fault" and first.certainty >= 0.9)


OWN = """
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

def cut(np_map, hv):
    mask, (v, h) = np_map > 0.5, hv
    energy = np.maximum(abs(ndimage.sobel(h, axis=1)), abs(ndimage.sobel(v, axis=0)))
    seeds = ndimage.label(mask & (energy < 0.3 * energy.max()))[0]
    instances = watershed(energy, seeds, mask=mask)
    return ndimage.label(instances > 0)[0]  # what made the blob

def flips(image, mask, hv):  # by the rules of [H, V]; data are stored [V, H]
    if np.random.rand() < 0.5:
        image, mask, hv = image[:, ::-1], mask[:, ::-1], hv[:, :, ::-1] * [[[-1]], [[1]]]
    if np.random.rand() < 0.5:
        image, mask, hv = image[::-1], mask[::-1], hv[:, ::-1] * [[[1]], [[-1]]]
    return {"image": image, "mask": mask, "hv": hv}

def length(hv):
    return (hv.square().sum(1) + 1e-6).sqrt()

def loss(hv, truth, mask):
    n = mask.sum().clamp(min=1)
    mse = ((hv - truth).square() * mask[:, None]).sum() / (2 * n)
    return mse + 5 * ((length(hv) - length(truth)).square() * mask).sum() / n
"""


@pytest.mark.slow
@pytest.mark.parametrize("declared", [True, False])
def test_the_set_up_of_the_story_as_files_names_the_relabel_first(tmp_path, capsys, declared):
    """His data, his cut, his flips and his loss; whether or not he says that HV is [V, H]."""
    made, convention = [tissue((256, 256), seed=s) for s in range(2)], PRESETS["vh_inward_radial"]
    labels = np.stack([t.labels for t in made])
    np.savez(
        tmp_path / "glandular_data_FIXED.npz", images=np.stack([t.image for t in made]),
        inst_maps=labels, np_targets=(labels > 0).astype(np.uint8),
        hv_targets=np.stack([hv_targets(a, convention) for a in labels]),
    )  # fmt: skip
    code = tmp_path / "mine.py"
    code.write_text(OWN)
    argv = ["diagnose", "--data", str(tmp_path / "glandular_data_FIXED.npz"), "-q"]
    for name, function in (("separation", "cut"), ("augmentation", "flips"), ("loss", "loss")):
        argv += [f"--{name}", f"{code}:{function}"]
    assert main([*argv, *(["--hv-convention", "vh_inward_radial"] if declared else [])]) == 1
    said = capsys.readouterr().out
    assert said.startswith("Most likely cause: Touching nuclei are merged again after the cut")
    assert ("augmentation.hv" if declared else "data.hv_convention") in said
    assert "loss." not in said.partition("Also worth a look")[2]
