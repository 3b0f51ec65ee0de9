"""What README and docs tell people to type: commands parse, Python runs, links lead somewhere."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

import napari_hovernet as nh
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.params import LossParams

from .loading import load

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)(?P<to>[^)#\s]+)")
PICTURES = ROOT / "docs" / "images"
"""Made by a script; a build of the documentation fails without them."""


def blocks(page: Path, kind: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [match["text"] for match in found if match["kind"] == kind]


def commands() -> list[str]:
    """Every ``napari-hovernet`` line in the bash blocks."""
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.split("\n")]
    return sorted({line.strip() for line in lines if line.strip().startswith("napari-hovernet ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_parses(line: str) -> None:
    options = build_parser().parse_args(shlex.split(line, comments=True)[1:])
    assert options.call


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = {
        (page.parent / match["to"]).resolve() for match in LINK.finditer(page.read_text("utf-8"))
    }
    missing = {t for t in targets if not t.exists() and t.parent != PICTURES}
    assert not missing


def test_the_reference_lists_every_parameter() -> None:
    hooks = load(ROOT / "docs" / "hooks.py")
    page = (ROOT / "docs" / "reference" / "parameters.md").read_text("utf-8")
    text = hooks.on_page_markdown(page)
    assert "<!-- params:" not in text
    for cls in (nh.SeparationParams, nh.MagnitudeBands, nh.BlobParams, LossParams):
        table = text.partition(f"### {cls.__name__}\n")[2].partition("###")[0]
        assert set(cls.__dataclass_fields__) == set(re.findall(r"^\| `(\w+)` \|", table, re.M))


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """Names that the pages take for granted."""
    labels = np.zeros((40, 60), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:45] = 1, 2
    offsets = nh.hv_targets(labels)
    probability = (labels > 0).astype(np.float32)
    names = {"nh": nh, "labels": labels, "true_labels": labels, "probability": probability}
    maps = nh.Maps(np=probability, hv=offsets)
    return names | {"offsets": offsets, "stored": -offsets[::-1], "maps": maps}


def run_page(page: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the Python blocks of a page one after the other."""
    text = blocks(ROOT / page, "python")
    assert text
    for number, block in enumerate(text, start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
    return names


def test_the_python_of_the_readme_finds_nuclei(capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page("README.md", {})
    assert names["nuclei"].n > 100 and f"{names['nuclei'].n} nuclei" in capsys.readouterr().out


def test_the_python_of_the_how_to_runs(known, monkeypatch) -> None:
    corner = skimage.data.immunohistochemistry()[:160, :160]
    monkeypatch.setattr(skimage.data, "immunohistochemistry", lambda: corner)
    names = run_page("docs/how-to/python.md", dict(known))
    assert len(names["nuclei"]) > 10
    np.testing.assert_allclose(names["offsets"], known["offsets"], atol=1e-6)


def test_the_python_about_separation_blobs_and_comparing_runs(known, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("docs/how-to/separation.md", dict(known))
    assert (names["ev"].outcomes.counts()["matched"], names["found"].best) == (2, (0, 0))
    assert (tmp_path / "separation.json").exists()
    names = run_page("docs/how-to/blobs.md", dict(known))
    assert (names["report"].n_components, names["report"].n_instances) == (1, 2)
    assert len((tmp_path / "blobs.csv").read_text().splitlines()) == 2
    result = run_page("docs/how-to/compare.md", {**known, "params": nh.SeparationParams()})[
        "result"
    ]
    assert result.prediction.aji == 1 and result.connected_components.aji < 0.6


def test_the_python_about_the_loss_runs(known: dict[str, Any]) -> None:
    names = run_page("docs/how-to/loss.md", dict(known))
    assert sum(names["shares"].values()) == pytest.approx(1)
    assert names["shares"]["hv_magnitude"] > 0 and names["hv"].grad.abs().sum() > 0
    assert all(row.holds for row in names["rows"])
