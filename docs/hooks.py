"""Write into the pages what the sources say: help of commands, modules, formats, parameters."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[1] / "src"
HELP = re.compile(r"^<!-- help:(?P<name>[a-z ]*) -->$", re.MULTILINE)
MODULES = re.compile(r"^<!-- modules:(?P<layer>[a-z_]+) -->$", re.MULTILINE)
PARAMS = re.compile(r"^<!-- params:(?P<path>[\w.]+) -->$", re.MULTILINE)
FORMATS_HERE = re.compile(r"^<!-- formats -->$", re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod):<code>~?\.?(?:\w+\.)*(?P<name>\w+)</code>")
"""How a reference in a docstring, as help() shows it, comes out of Markdown."""
COLUMNS = "88"
"""Width at which argparse wraps, so that the page looks the same wherever it is built."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill ``<!-- help:COMMAND -->``, ``modules:LAYER``, ``params:CLASS`` and ``formats``."""
    markdown = FORMATS_HERE.sub(lambda _: formats(), markdown)
    markdown = HELP.sub(lambda place: f"```text\n{help_of(place['name'])}```", markdown)
    markdown = MODULES.sub(lambda place: modules_of(place["layer"]), markdown)
    return PARAMS.sub(lambda place: params_of(place["path"]), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Show references in docstrings by their last name."""
    return ROLE.sub(r"<code>\g<name></code>", html)


def help_of(name: str) -> str:
    """Return what a command prints for ``--help``; "" is the program itself."""
    code = "import sys; from napari_hovernet.cli import main; sys.exit(main(sys.argv[1:]))"
    run = subprocess.run(
        [sys.executable, "-c", code, *name.split(), "--help"],
        env={**os.environ, "COLUMNS": COLUMNS, "PYTHONPATH": str(SOURCES), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"napari-hovernet {name} --help failed:\n{run.stderr}")
    return run.stdout


def formats() -> str:
    """Return a table of the formats that results are written in."""
    sys.path.insert(0, str(SOURCES))
    try:
        from napari_hovernet.core.io import FORMATS  # noqa: PLC0415 - of these sources
    finally:
        sys.path.remove(str(SOURCES))
    rows = ["| `--formats` | file | holds | positions | opens in |", "|---|---|---|---|---|"]
    rows += [
        f"| `{f.name}` | `{f.ending}` | {f.holds} | {f.positions} | {f.opens_in} |"
        for f in FORMATS.values()
    ]
    return "\n".join(rows)


def modules_of(layer: str) -> str:
    """Return a table of a layer's modules and the first sentence of each docstring."""
    folder = SOURCES / "napari_hovernet" / layer
    rows = ["| module | what it is for |", "|---|---|"]
    for path in sorted(folder.rglob("*.py"), key=lambda p: (len(p.relative_to(folder).parts), p)):
        first = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
        name = path.relative_to(folder).with_suffix("").as_posix().removesuffix("/__init__")
        if name != "__init__" and first:
            rows.append(f"| `{name}` | {' '.join(first.split()).replace('|', '/')} |")
    return "\n".join(rows)


def params_of(path: str) -> str:
    """Return a heading, what a parameters class is, and a table of its fields.

    ``path`` is as after ``napari_hovernet.``: "core.params.LossParams". Fields that hold
    parameters of their own are named, not listed.
    """
    if str(SOURCES) not in sys.path:
        sys.path.insert(0, str(SOURCES))
    module, _, name = path.rpartition(".")
    cls = getattr(import_module(f"napari_hovernet.{module}"), name)
    known = import_module("napari_hovernet.core.choices").choices(cls)
    about = (inspect.getdoc(cls) or "").split("\n\n")
    words = about[: next((i for i, part in enumerate(about) if "\n---" in part), len(about))]
    rows = ["| name | what may be given | default | unit | what it does |", "|---|---|---|---|---|"]
    for field in fields(cls):
        if field.name in known:
            one = known[field.name]
            cells = (f"`{one.name}`", _span(one), f"`{one.default!r}`", one.unit, one.help)
        else:
            default = field.default_factory
            kind = default.__name__ if is_dataclass(default) else str(field.type)
            cells = (f"`{field.name}`", f"`{kind}`", "", "", "")
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join((f"### {name}", "", "\n\n".join(words), "", *rows, ""))


def _span(one: Any) -> str:
    """Say in words what a choice accepts."""
    if one.kind == "switch":
        return "True or False"
    return str(one.range_text) if one.options or one.bounded else type(one.default).__name__
