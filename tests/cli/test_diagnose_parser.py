"""Options of ``diagnose``."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.cli.console import STDOUT
from napari_hovernet.cli.parser import build_parser


def parsed(*argv: str) -> object:
    return build_parser().parse_args(["diagnose", *argv])


def test_without_options_nothing_is_given() -> None:
    options = vars(parsed())
    names = ("model", "data", "separation", "augmentation", "loss", "family", "only")
    assert {options[name] for name in names} == {""}
    assert (options["n_samples"], options["device"], options["json"]) == (20, "auto", None)
    assert options["call"] == ".diagnose:run" and options["apply"] == []


def test_json_goes_to_a_file_or_to_the_terminal() -> None:
    assert vars(parsed("--json", "--data", "a"))["json"] == STDOUT
    assert vars(parsed("--json", "a.json"))["json"] == "a.json"


def test_several_remedies_and_a_report() -> None:
    options = vars(parsed("--apply", "a.b", "first", "--report", "out.html", "--checkpoint", "m"))
    assert options["apply"] == ["a.b", "first"]
    assert (options["report"], options["model"]) == (Path("out.html"), "m")


def test_the_help_says_that_code_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "imports and runs that code, so name only code you trust" in said
    assert "status: 0 no fault, 1 a fault was found" in said
