"""Every number and word of every parameters class is refused out of its range, by its name."""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest

import napari_hovernet.app
import napari_hovernet.core
from napari_hovernet.core.choices import Choice, choices
from napari_hovernet.errors import InputError


def classes() -> Iterator[type]:
    """Parameters classes that can be made without arguments."""
    seen: set[type] = set()
    for package in (napari_hovernet.core, napari_hovernet.app):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, cls in inspect.getmembers(importlib.import_module(found.name), inspect.isclass):
                if is_dataclass(cls) and cls not in seen and choices(cls):
                    seen.add(cls)
                    yield cls


def refused(about: Choice) -> list[Any]:
    """Values that lie just outside, or are no value at all."""
    if about.options:
        return [] if about.loose else ["no such word", True]
    if not about.bounded:
        return []
    step = 1 if about.whole else 1e-6
    values = [math.nan, math.inf, -math.inf, "a word"]
    values += [about.low - step] if about.low is not None else [about.above]
    values += [about.high + step] if about.high is not None else []
    values += [1.5] if about.whole else []
    values += [(about.low or 0) + 1 - (about.low or 0) % 2 + 1] if about.odd else []
    width = len(about.default) if isinstance(about.default, tuple) else 0
    return [(value,) * width for value in values] if width else values


FIELDS = [
    pytest.param(cls, name, about, id=f"{cls.__name__}.{name}")
    for cls in classes()
    for name, about in choices(cls).items()
    if refused(about)
]


def test_the_classes_are_found() -> None:
    assert len(FIELDS) > 100


@pytest.mark.parametrize(("cls", "name", "about"), FIELDS)
def test_what_is_out_of_range_is_refused_by_name(cls: Any, name: str, about: Choice) -> None:
    cls()
    for value in refused(about):
        with pytest.raises(InputError, match=f"^{name} is "):
            cls(**{name: value})
