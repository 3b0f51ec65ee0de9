from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.diagnosis.model_file import (
    checkpoint,
    counted,
    failures,
    key_coverage,
    listed,
    non_finite,
    non_finite_entries,
)
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.errors import CheckpointError


def refusal(state: dict[str, torch.Tensor], path: str) -> str:
    """What loading says of a file with these weights."""
    torch.save({"model_state_dict": state}, path)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    return str(caught.value)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return OptimusDecoder(embed_dim=8, bottleneck=4).state_dict()


def test_a_model_that_fits_is_in_order() -> None:
    finding = checkpoint("", load_model("compact", device="cpu").info)
    assert finding.verdict == "ok" and "2,077,668 weights" in finding.evidence
    assert checkpoint("").verdict == "ok"


def test_a_later_variant_is_named(state: dict[str, torch.Tensor], tmp_path: object) -> None:
    state["h_pyramid.0.weight"] = torch.zeros(2, 2)
    finding = checkpoint(refusal(state, str(tmp_path / "a.pth")))  # type: ignore[operator]
    assert finding.verdict == "fault" and finding.certainty > 0.95
    assert "an Optimus decoder with a haematoxylin pyramid" in finding.title


def test_it_says_how_many_entries_fit(state: dict[str, torch.Tensor], tmp_path: object) -> None:
    entries = len(state)
    gone = [key for key in state if key.startswith("up3.")]
    for key in gone:
        del state[key]
    state["more"] = torch.zeros(1)
    error = refusal(state, str(tmp_path / "b.pth"))  # type: ignore[operator]
    finding = checkpoint(error)
    assert counted(error) == {"missing": len(gone), "unexpected": 1}
    assert key_coverage(error) == (entries - len(gone), entries)
    assert f"{entries - len(gone)} of the network's {entries} entries fit" in finding.evidence
    assert "do not fit" in finding.title and "strict=False" in finding.remedy.text


def test_weights_that_are_nan(state: dict[str, torch.Tensor], tmp_path: object) -> None:
    state["up1.conv.0.weight"][0, 0, 0, 0] = float("nan")
    finding = checkpoint(refusal(state, str(tmp_path / "c.pth")))  # type: ignore[operator]
    assert "cannot work" in finding.title and "earlier checkpoint" in finding.remedy.text


@pytest.mark.parametrize("error", ["x.pth is no model.", "x.pth asks to call os.system while"])
def test_any_other_refusal_is_a_fault(error: str) -> None:
    finding = checkpoint(error)
    assert finding.verdict == "fault" and finding.evidence == error
    assert key_coverage(error) is None


def test_nan_weights_and_nan_maps() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    assert non_finite_entries(network) == []
    network[1].running_var[0] = float("inf")
    assert non_finite_entries(network) == ["1.running_var"]
    assert non_finite([], [], 3).verdict == "ok"
    held = non_finite(["1.running_var"], ["a"], 3)
    assert held.verdict == "fault" and "1.running_var" in held.evidence
    given = non_finite([], ["a"], 3)
    assert given.verdict == "fault" and given.certainty < held.certainty


def test_failures_by_their_share() -> None:
    assert failures([], 8).verdict == "ok"
    few = failures([(3, "d", "boom")], 100)
    some = failures([(i, str(i), "boom") for i in range(3)], 8)
    every = failures([(i, str(i), "boom") for i in range(8)], 8)
    assert [f.verdict for f in (few, some, every)] == ["warn", "fault", "fault"]
    assert few.certainty < some.certainty < every.certainty
    assert "3 of 8 images" in some.evidence and "boom" in some.evidence


def test_long_lists_are_cut() -> None:
    assert listed(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
