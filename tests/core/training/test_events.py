import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.training.files import EventWriter
from napari_hovernet.errors import OutputError


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_what_is_written_is_read_back_with_version_and_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1, terms={"np": np.float32(0.5)}, path=Path("a"), seen=(1, 2))
    (event,) = lines_of(path)
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


def test_after_a_crash_one_line_is_lost_at_most(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1)
        events.write("step", step=2)
    path.write_bytes(path.read_bytes()[:-7])
    with EventWriter(path) as events:
        events.write("step", step=3)
    first, _, last = path.read_bytes().splitlines()
    assert [json.loads(line)["step"] for line in (first, last)] == [1, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.symlink("/dev/full", path)
    with EventWriter(path) as events, pytest.raises(OutputError, match="disk is full"):
        events.write("step", step=1)
