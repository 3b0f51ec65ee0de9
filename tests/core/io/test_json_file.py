"""JSON that strangers wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.io import files as json_file
from napari_hovernet.core.io.files import (
    color_of,
    load_json,
    member,
    numbers,
    points,
    types_from_json,
    types_to_json,
)
from napari_hovernet.core.types import TypeInfo
from napari_hovernet.errors import InputError


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b'{"a": [1, 2', "cut off"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "Infinity"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 10_000, "not valid JSON"),
    ],
)
def test_broken_json_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_json(file)
    assert "bad.json" in str(caught.value)


def test_a_missing_and_a_huge_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert load_json(tmp_path / "a.json") == [1, 2, 3]
    monkeypatch.setattr(json_file, "MAX_JSON_BYTES", 4)
    with pytest.raises(InputError, match="smaller region"):
        load_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([[1, 2], [3]], "nested unevenly"),
        ([["1", "2"]], "must be numbers"),
        ([[10**400, 1]], "must be numbers"),
        ([[1e999, 1]], "not finite"),
        (None, "must be numbers"),
        ([True, False], "must be numbers"),
    ],
)
def test_numbers_refuses_everything_else(value: object, said: str) -> None:
    with pytest.raises(InputError, match=f"contour.*{said}"):
        numbers(value, "The contour")


def test_points_are_pairs_and_drop_a_third_number() -> None:
    assert points([[1, 2, 9], [3, 4, 9]], "x").tolist() == [[1, 2], [3, 4]]
    for wrong in ([1, 2], [[[1, 2]]], [[1], [2]], []):
        with pytest.raises(InputError, match=r"list of \[x, y\]"):
            points(wrong, "x")


def test_member_says_what_there_is() -> None:
    assert member({"a": 1}, "a", "It") == 1
    with pytest.raises(InputError, match="It lacks 'a'; it has 'b'"):
        member({"b": 1}, "a", "It")
    with pytest.raises(InputError, match="must be an object"):
        member([1], "a", "It")


def test_types_come_back_and_rubbish_is_no_types() -> None:
    types = {0: TypeInfo("background", (0, 0, 0)), 5: TypeInfo("µ", (1, 2, 3))}
    assert types_from_json(types_to_json(types)) == types
    for rubbish in (None, [], {"x": {"name": "a"}}, {"1": "a"}, {"1": {"name": 3}}):
        assert types_from_json(rubbish) == {}


@pytest.mark.parametrize(
    ("value", "color"),
    [
        ([1, 2, 3], (1, 2, 3)),
        (-65536, (255, 0, 0)),
        ([1, 2], None),
        ([1, 2, 300], None),
        ("red", None),
        (True, None),
    ],
)
def test_colours(value: object, color: tuple[int, int, int] | None) -> None:
    assert color_of(value) == color


def test_long_values_are_cut_in_messages() -> None:
    with pytest.raises(InputError) as caught:
        numbers("x" * 5000, "It")
    assert len(str(caught.value)) < 200
    assert np.size(numbers([1], "It")) == 1
