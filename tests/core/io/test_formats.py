"""A format is declared once: command line, manifest and reference say what the table says."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.io import FORMATS, USUAL, parse_formats
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


def test_the_command_line_offers_them_all() -> None:
    options = build_parser().parse_args(["segment", "a.png", "-o", "out"])
    assert parse_formats(options.formats) == USUAL
    assert parse_formats("CSV, hovernet_json,csv") == ("hovernet-json", "csv")
    for wrong in ("", "csv,xml", ","):
        with pytest.raises(InputError, match="choose from geojson, hovernet-json"):
            parse_formats(wrong)


def test_the_manifest_has_a_writer_for_each() -> None:
    offered = yaml.safe_load((ROOT / "napari.yaml").read_text("utf-8"))["contributions"]
    functions = {c["id"]: c["python_name"].rpartition(":")[2] for c in offered["commands"]}
    found = {
        functions[w["command"]]: (w["display_name"], tuple(w["filename_extensions"]))
        for w in offered["writers"]
    }
    assert found == {
        f"write_{f.name.replace('-', '_')}": (f.title, f.suffixes) for f in FORMATS.values()
    }


def test_the_reference_lists_them() -> None:
    spec = spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    hooks = module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = hooks.on_page_markdown((ROOT / "docs/reference/files.md").read_text("utf-8"))
    for found in FORMATS.values():
        assert f"| `{found.name}` | `{found.ending}` | {found.holds} |" in page


@pytest.mark.parametrize("name", FORMATS)
def test_each_writes_a_file(tmp_path: Path, labels: Int32, nuclei: Nuclei, name: str) -> None:
    result = SimpleNamespace(labels=labels, nuclei=nuclei, offset=(3, 5), mpp=0.25)
    FORMATS[name].write(tmp_path / "x", result, {"id": "a"})
    assert (tmp_path / "x").stat().st_size > 0
