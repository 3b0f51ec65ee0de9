"""A growing file of events is read whole line by whole line; the last event without the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_hovernet.app.watch import CHUNK, Tail, last_event


def line(event: str, **fields: object) -> bytes:
    return json.dumps({"v": 1, "t": 0.0, "event": event, **fields}).encode() + b"\n"


def everything(tail: Tail) -> list[dict[str, object]]:
    events, _ = tail.read()
    while tail.behind:
        events += tail.read()[0]
    return events


def test_a_line_cut_off_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = line("step", step=1)
    path.write_bytes(whole + whole[:10])
    tail = Tail(path)
    assert len(everything(tail)) == 1
    assert everything(tail) == []
    with open(path, "ab") as file:
        file.write(whole[10:])
    assert len(everything(tail)) == 1
    assert tail.unreadable == 0


def test_nonsense_is_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe\n[1]\n{}\n" + b'{"v": 99, "event": "step"}\n' + line("end"))
    tail = Tail(path)
    assert [event["event"] for event in everything(tail)] == ["end"]
    assert tail.unreadable == 4


def test_long_files_come_in_chunks_and_long_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(line("step", step=i) for i in range(3000))
                     + line("start", notes="x" * 3 * CHUNK) + line("end"))  # fmt: skip
    tail = Tail(path)
    first, _ = tail.read()
    assert 0 < len(first) < 3000
    assert tail.behind
    events = first + everything(tail)
    assert [event.get("step") for event in events[:3000]] == list(range(3000))
    assert [event["event"] for event in events[3000:]] == ["start", "end"]


def test_a_file_that_became_shorter_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line("step", step=1) * 3)
    tail = Tail(path)
    everything(tail)
    path.write_bytes(line("step", step=9))
    events, restarted = tail.read()
    assert restarted
    assert [event["step"] for event in events] == [9]


@pytest.mark.parametrize("after", [0, 1, 5000])
def test_the_last_event_of_a_kind(tmp_path: Path, after: int) -> None:
    path = tmp_path / "events.jsonl"
    tail = b"".join(line("step", step=i, note='"event": "epoch"') for i in range(after))
    path.write_bytes(line("epoch", epoch=1) + line("epoch", epoch=2) + tail + b'{"v": 1, "ev')
    found = last_event(path, "epoch")
    assert found is not None
    assert found["epoch"] == 2
    assert last_event(path, "end") is None
