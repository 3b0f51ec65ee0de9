from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_hovernet.app.jobs import Change
from napari_hovernet.app.session import (
    ImageChoice,
    ModelChoice,
    Options,
    Run,
    describe_change,
    short_name,
    summary,
    time_left,
)
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import InputError


def run(n, device=""):
    result = SimpleNamespace(n=n, magnitude_inside=0.66, seconds=3.1)
    metadata = {"device": device} if device else {}
    return Run(1, "compact 1", ImageChoice(1, "slide"), result, metadata=metadata)


def test_options_refuse_an_unknown_region():
    with pytest.raises(InputError, match="nowhere"):
        Options(region="nowhere")


def test_summary_and_names():
    assert summary(run(212)) == "212 nuclei, mean magnitude 0.66, 3.1 s"
    assert summary(run(212, "cuda:0")).endswith("3.1 s on CUDA:0")
    assert summary(run(1)).startswith("1 nucleus,")
    assert summary(run(0)).startswith("No nuclei found")
    assert short_name(ModelChoice("C:\\models\\fast.v2.tar")) == "fast.v2"
    assert time_left(0, 5, 1.0) is None


def test_a_model_is_being_read_until_it_is_known_or_refused():
    assert ModelChoice("a").reading
    assert not ModelChoice("a", ModelInfo("compact")).reading
    assert not ModelChoice("a", None, "cut off").reading


def test_changes_are_named():
    one, two = SimpleNamespace(title="compact 1"), SimpleNamespace(title="compact 2")
    assert describe_change(Change(added=(one,))) == "compact 1."
    assert describe_change(Change(removed=(one,))) == "removal of compact 1."
    assert (
        describe_change(Change(added=(two,), removed=(one,))) == "compact 2 in place of compact 1."
    )
