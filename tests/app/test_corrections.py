from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import numpy as np
import pytest

from napari_hovernet import __version__
from napari_hovernet.app.corrections import Corrections, find_corrections, label_steps
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.io.labels import read_label_tiff
from napari_hovernet.core.measure.changes import LabelChanges
from napari_hovernet.errors import InputError, OutputError


@pytest.fixture
def run():
    labels = np.zeros((20, 30), np.int32)
    labels[2:8, 2:8], labels[10:16, 10:16] = 1, 2
    result = SimpleNamespace(labels=labels, info=SimpleNamespace(sha256="ab" * 32))
    return SimpleNamespace(result=result, metadata={"image": "slide", "mpp": 0.25})


def test_a_record_of_what_was_done_and_on_what(run):
    drawn = run.result.labels.copy()
    drawn[drawn == 1] = 0
    drawn[10, 16] = 2
    drawn[1:3, 20:22] = 9
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    record = find_corrections(run, drawn, moment)
    assert record.any and record.summary == "1 nucleus added, 1 removed, 1 reshaped (41 pixels)"
    known = json.loads(json.dumps(record.provenance()))
    assert known["image"] == "slide" and known["mpp"] == 0.25
    assert known["corrections"] == {
        "program": "napari-hovernet",
        "version": __version__,
        "time_utc": "2026-01-02T01:04:05+00:00",
        "summary": record.summary,
        "changed_pixels": 41,
        "added": [9],
        "removed": [1],
        "reshaped": [2],
        "model_sha256": "ab" * 32,
    }


def test_untouched_labels_are_no_correction(run):
    record = find_corrections(run, run.result.labels.copy())
    assert not record.any and record.summary == "Nothing changed."
    now = datetime.now(UTC)
    assert abs(now - datetime.fromisoformat(record.when)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (LabelChanges(1, reshaped=(4,)), "1 nucleus reshaped (1 pixel)"),
        (LabelChanges(2500, removed=tuple(range(1, 1201))), "1,200 nuclei removed (2,500 pixels)"),
        (LabelChanges(20, (1, 2), (3,)), "2 nuclei added, 1 removed (20 pixels)"),
    ],
)
def test_summaries_read_well(changes, words):
    assert Corrections(changes).summary == words


def test_labels_of_another_size_are_refused(run):
    with pytest.raises(InputError, match="size"):
        find_corrections(run, np.zeros((3, 3), np.int32))


@pytest.mark.parametrize(("name", "written"), [("a.tiff", "a.tiff"), ("a", "a.tif")])
def test_labels_are_saved_with_how_they_came_about(run, tmp_path, name, written):
    drawn = run.result.labels.copy()
    drawn[0, 0] = 70_000
    path = drive(label_steps(tmp_path / name, drawn, find_corrections(run, drawn), 0.25))
    assert path == str(tmp_path / written)
    back = read_label_tiff(path)
    assert (back.labels == drawn).all() and back.metadata["corrections"]["added"] == [70_000]
    assert back.metadata["image"] == "slide"


def test_a_folder_that_is_not_there_is_told(run, tmp_path):
    labels = run.result.labels
    with pytest.raises(OutputError, match="does not exist"):
        drive(label_steps(tmp_path / "no" / "a.tif", labels, find_corrections(run, labels)))
