"""The report page: causes with pictures first, nothing loaded from anywhere, all text escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.app.diagnose import diagnosis_steps, retest_steps, unfinished
from napari_hovernet.app.diagnosis_html import render_html, write_html
from napari_hovernet.app.diagnosis_text import Retest
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.diagnosis.report import DiagnosisReport

from .diagnosis_fakes import case, fake_checks  # noqa: F401

pytestmark = pytest.mark.usefixtures("fake_checks")


class Balance(HTMLParser):
    """Counts elements that are opened and not closed."""

    alone = ("meta", "img", "br", "path", "rect", "circle", "polyline")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.alone:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.alone:
            assert self.open.pop() == tag


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_the_first_cause_stands_on_top_with_its_evidence() -> None:
    page = render_html(drive(diagnosis_steps(case())))
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    text = words(page)
    order = [text.index(t) for t in ("HV channels are swapped", "The cosine to the truth is 0.02",
             "Read HV as [V, H].", "Also worth a look", "Much is nucleus", "In order (1)",
             "Not tested (2)", "give a loss")]  # fmt: skip
    assert order == sorted(order)
    assert "97 % sure" in text and "--apply model.hv_order" in text
    assert page.count("data:image/png") == 3  # image with outlines, NP, HV x
    assert "image, true nuclei, instances" in text
    assert "<script" not in page and not re.search(r'(src|href)="(?!data:|#)', page)


def test_text_of_a_finding_is_text() -> None:
    page = render_html(drive(diagnosis_steps(case())))
    assert "two &lt;that&gt; touch" in page and "<that>" not in page
    assert page.count("<svg") >= 3 and "Plot(" not in page


def test_what_a_remedy_changed_is_shown() -> None:
    before = drive(diagnosis_steps(case()))
    first = before.report.first
    assert first is not None
    after = drive(retest_steps(before, first))
    text = words(render_html(after, Retest(before, after, (first.id,))))
    assert "Tested again with the remedy applied" in text and "order of HV vh" in text
    assert "The cosine to the truth is 0.95." in text
    assert text.index("HV channels are swapped") < text.index("Tested again")


def test_nothing_wrong_and_nothing_there() -> None:
    found = drive(diagnosis_steps(case()))
    bench = found.bench
    healthy = tuple(f for f in found.report.findings if not f.is_cause)
    done = unfinished(bench, healthy)
    text = words(render_html(done))
    assert "Nothing wrong was found" in text and "Stopped before the end" in text
    empty = type(done)(bench.case, bench, DiagnosisReport((), 0, 0), bench.params)
    assert "Nothing was tested." in words(render_html(empty))


def test_it_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "out.html"
    write_html(file, drive(diagnosis_steps(case())))
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]
