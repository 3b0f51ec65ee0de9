"""Items of several places are one; each keeps its own reader, split and group."""

from __future__ import annotations

from typing import Any

from napari_hovernet.app.diagnose_found import About, DataFound, FileItems, joined


def found(name: str, n: int, kind: str = "", **more: Any) -> DataFound:
    about = tuple(About(f"{name}{i}", f"g{i}", "train") for i in range(n))
    items = FileItems(about, frozenset({name}), lambda i: {"image": (name, i)})
    return DataFound(items, kind, **more)


def test_some_of_the_items_are_read_by_their_own_numbers() -> None:
    items = found("a", 4).items
    assert isinstance(items, FileItems)
    some = items.only([3, 1])
    assert some.names == ("a3", "a1")
    assert some.read(0).image == ("a", 3) and some.read(1).group == "g1"
    assert some.only([1]).read(0).image == ("a", 1)


def test_joined_places_keep_what_they_agree_about() -> None:
    both = joined([
        found("a", 2, "maps", n_types=5, notes=("x",)),
        found("b", 1, "maps", n_types=6, notes=("x", "y")),
    ])  # fmt: skip
    assert both.items.names == ("a0", "a1", "b0") and both.items.parts == {"a", "b"}
    assert both.items.read(2).image == ("b", 0)
    assert (both.kind, both.n_types, both.notes) == ("maps", None, ("x", "y"))
    assert joined([found("a", 1, "maps"), found("b", 1, "targets")]).kind == ""


def test_a_reader_may_name_the_part_it_read() -> None:
    items = FileItems((About("a"),), frozenset({"image"}), lambda _: {"name": "a (rows 0 to 9)"})
    assert items.names == ("a",) and items.read(0).name == "a (rows 0 to 9)"
