import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.training.files import EventWriter, read_events
from napari_hovernet.errors import OutputError


def test_what_is_written_is_read_back_and_no_number_is_null(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1, terms={"np": np.float32(0.5)}, path=Path("a"), seen=(1, 2))
    (event,), _ = read_events(path)
    assert event.pop("t") > 1.6e9
    assert event == {
        "v": 1,
        "event": "step",
        "step": 1,
        "terms": {"np": 0.5},
        "path": "a",
        "seen": [1, 2],
    }
    path = tmp_path / "other.jsonl"
    with EventWriter(path) as events:
        events.write("step", total=math.nan, terms={"np": math.inf, "hv": np.float32("nan")})
    line = path.read_text()
    assert "NaN" not in line
    assert "Infinity" not in line
    assert json.loads(line)["terms"] == {"np": None, "hv": None}


def test_a_cut_off_last_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1)
        events.write("step", step=2)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    first, offset = read_events(path)
    assert [e["step"] for e in first] == [1]
    assert read_events(path, offset) == ([], offset)
    path.write_bytes(data)
    rest, end = read_events(path, offset)
    assert [e["step"] for e in rest] == [2]
    assert end == len(data)


def test_after_a_crash_one_line_is_lost_at_most(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1)
        events.write("step", step=2)
    path.write_bytes(path.read_bytes()[:-7])
    with EventWriter(path) as events:
        events.write("step", step=3)
    found, _ = read_events(path)
    assert [e.get("step", e["event"]) for e in found] == [1, "damaged", 3]


@pytest.mark.parametrize(
    "line", [b"{", b"\xff\xfe", b"[1]", b'{"v": 1, "t": 2}', b'{"v": 2, "t": 2, "event": "step"}']
)
def test_a_damaged_line_is_passed_over_with_a_note(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    good = b'{"v": 1, "t": 2.0, "event": "step", "step": 4}\n'
    path.write_bytes(line + b"\n" + good)
    (note, event), _ = read_events(path)
    assert note["event"] == "damaged"
    assert "passed over" in note["message"]
    assert event["step"] == 4


def test_a_file_that_is_not_there_holds_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none.jsonl", 5) == ([], 5)


def test_a_folder_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no_such.*create it first"):
        EventWriter(tmp_path / "no_such" / "events.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.symlink("/dev/full", path)
    with EventWriter(path) as events, pytest.raises(OutputError, match="disk is full"):
        events.write("step", step=1)
