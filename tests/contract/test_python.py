"""The public names of Python and how they are called, kept in ``python_surface.txt``.

A diff tells what was lost or changed. If that is meant, keep the new surface with
``RENEW_SURFACES=1 python -m pytest tests/contract/test_python.py`` and say so in CHANGELOG.md.
"""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import napari_hovernet as nh

EMPTY = inspect.Parameter.empty
STARS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
SPECIAL = ("__call__", "__len__")
"""Methods with underscores that users call in another way."""
PAGES = ("python.md", "files.md")
"""Pages of ``docs/reference`` that document functions and classes."""


def parameters(function: Any, *, bound: bool = False) -> Iterator[str]:
    """Each parameter with its default, ``*`` and ``/`` where they stand in a signature."""
    known = list(inspect.signature(function).parameters.values())[1 if bound else 0 :]
    starred = False
    for index, found in enumerate(known):
        if found.kind is found.KEYWORD_ONLY and not starred:
            yield "*"
        starred |= found.kind in (found.KEYWORD_ONLY, found.VAR_POSITIONAL)
        default = "" if found.default is EMPTY else f" = {shown(found.default)}"
        yield f"{STARS.get(found.kind, '')}{found.name}{default}"
        after = known[index + 1].kind if index + 1 < len(known) else None
        if found.kind is found.POSITIONAL_ONLY and after is not found.POSITIONAL_ONLY:
            yield "/"


def shown(value: Any) -> str:
    """A default as it is written; parameters that are all as they start by their class alone."""
    plain = dataclasses.is_dataclass(value) and not any(map(required, dataclasses.fields(value)))
    if plain and value == type(value)():
        return f"{type(value).__name__}()"
    return ADDRESS.sub("", repr(value))


def required(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def of_class(kind: type) -> Iterator[str]:
    """Bases, fields or arguments, then methods and properties that the package defines."""
    bases = [b.__name__ for b in kind.__mro__[1:] if b is not object]
    yield f"bases: {', '.join(bases)}" if bases else "bases: none"
    if dataclasses.is_dataclass(kind):
        yield "frozen" if kind.__dataclass_params__.frozen else "not frozen"
        for field in dataclasses.fields(kind):
            if required(field):
                yield f"field {field.name}"
            else:
                made = field.default_factory is not dataclasses.MISSING
                default = field.default_factory() if made else field.default
                yield f"field {field.name} = {shown(default)}"
    elif "__init__" in vars(kind):
        yield from (f"argument {text}" for text in parameters(kind.__init__, bound=True))
    yield from sorted(members(kind))


def members(kind: type) -> Iterator[str]:
    own = [base for base in kind.__mro__ if base.__module__.startswith("napari_hovernet")]
    attributes = {name: value for base in reversed(own) for name, value in vars(base).items()}
    fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name, value in attributes.items():
        if name in fields or (name.startswith("_") and name not in SPECIAL):
            continue
        if isinstance(value, classmethod | staticmethod):
            what = type(value).__name__
            bound = isinstance(value, classmethod)
            yield f"{what} {name}({', '.join(parameters(value.__func__, bound=bound))})"
        elif inspect.isfunction(value):
            yield f"method {name}({', '.join(parameters(value, bound=True))})"
        elif isinstance(value, property) or hasattr(value, "attrname"):
            yield f"property {name}"


def described(name: str, value: Any) -> str:
    if inspect.isclass(value):
        lines = [f"class {name}", *(f"    {line}" for line in of_class(value))]
    elif callable(value):
        lines = [f"def {name}", *(f"    {line}" for line in parameters(value))]
    else:
        lines = [f"{name}: {type(value).__name__}"]
    return "\n".join(lines) + "\n"


def documented_names(root: Path) -> list[str]:
    text = "\n".join((root / "docs" / "reference" / page).read_text("utf-8") for page in PAGES)
    names = set(re.findall(r"^::: [\w.]*?(\w+)$", text, re.MULTILINE))
    return sorted(names - set(nh.__all__))


def test_names_signatures_and_defaults_are_those_users_know(same_surface, documented, root) -> None:
    lines = ["# Names of napari_hovernet", ""]
    lines += [described(name, getattr(nh, name)) for name in sorted(nh.__all__)]
    lines += ["# Names in docs/reference beside them, wherever they are imported from", ""]
    lines += [described(name, documented(name)) for name in documented_names(root)]
    same_surface("python_surface.txt", "\n".join(lines))


def test_labels_come_back_from_their_own_maps() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:25, 5:25], labels[5:25, 25:45] = 1, 2
    maps = nh.Maps(np=labels > 0, hv=nh.hv_targets(labels))
    for made in (nh.separate(maps), nh.tune(maps, nh.TuneParams())):
        assert made.n == 2 and nh.evaluate(labels, made.labels).aji > 0.98
    assert nh.compare(labels, made.labels, maps).connected_components.aji < 0.6
    assert nh.magnitude_report(maps, labels).verdict == "healthy"
    report = nh.blob_report(maps, (labels > 0).astype(np.int32))
    assert [row.status for row in report.rows] == ["blob"]
