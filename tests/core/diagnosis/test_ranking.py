"""Causes come first, by certainty; what they explain comes after."""

from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis import ranking
from napari_hovernet.core.diagnosis.ranking import rank
from napari_hovernet.core.diagnosis.registry import all_checks
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN, Finding


def finding(name: str, verdict: str = FAULT, certainty: float = 0.5) -> Finding:
    sure = certainty if verdict in (FAULT, WARN) else 0.0
    return Finding(name, verdict, name, name, certainty=sure)


@pytest.fixture
def _graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = {"data.np": ("model.*",), "model.np_channel": ("data.np", "model.mpp")}
    monkeypatch.setattr(ranking, "EXPLAINS", graph)


def test_by_urgency_then_by_certainty() -> None:
    given = [
        finding("data.empty", OK),
        finding("data.files", NOT_TESTED),
        finding("data.types", WARN, 0.9),
        finding("data.leak", FAULT, 0.4),
        finding("data.flip", FAULT, 0.8),
    ]
    assert [f.id for f in rank(given)] == [
        "data.flip",
        "data.leak",
        "data.types",
        "data.empty",
        "data.files",
    ]


@pytest.mark.usefixtures("_graph")
def test_a_cause_takes_its_consequences_with_it() -> None:
    ranked = rank([finding("model.mpp", FAULT, 0.99), finding("data.np", FAULT, 0.6)])
    assert [f.id for f in ranked] == ["data.np", "model.mpp"]
    assert ranked[1].explained_by == "data.np"


@pytest.mark.usefixtures("_graph")
def test_two_that_explain_each_other_both_stay() -> None:
    ranked = rank([finding("model.np_channel"), finding("data.np")])
    assert [f.explained_by for f in ranked] == ["", ""]


@pytest.mark.usefixtures("_graph")
def test_a_warning_explains_nothing() -> None:
    ranked = rank([finding("data.np", WARN), finding("model.mpp")])
    assert all(not f.explained_by for f in ranked)


def test_the_graph_names_checks_that_there_are() -> None:
    known = {check.id for check in all_checks()}
    named = set(ranking.EXPLAINS) | {s for many in ranking.EXPLAINS.values() for s in many}
    assert {name for name in named if not name.endswith("*")} <= known


def test_a_separation_that_fails_by_itself_is_no_consequence_of_data() -> None:
    numbers = {ranking.APART: 0.2}
    alone = Finding("separation.under", FAULT, "u", "u", certainty=0.9, numbers=numbers)
    ranked = rank([finding("data.shift", FAULT, 0.95), alone])
    assert [f.explained_by for f in ranked] == ["", ""]
    plain = finding("separation.under", FAULT, 0.9)
    assert rank([finding("data.shift"), plain])[1].explained_by == "data.shift"
    assert rank([finding("separation.scale"), alone])[1].explained_by == "separation.scale"
