"""Options of ``diagnose``; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.weights import offered

STDOUT = "-"
"""``--json`` without a file."""
OWN = "module:function or file.py:function of your own"
DESCRIPTION = """\
Name the most likely cause why nuclei do not come apart. Tests whatever is given: a model, data
(images, labels, stored targets, maps, tokens), a separation, a loss, an augmentation; says what
could not be tested, and what to give for it. Each finding has its evidence, its bound and its
remedy."""
EPILOG = """\
examples:
  napari-hovernet diagnose --model hovernet_fast.tar --data data/ --split val
  napari-hovernet diagnose --data targets/ --family epidermal --report out.html
  napari-hovernet diagnose --data maps.npz --separation my_code.py:cut
  napari-hovernet diagnose --data maps.npz --apply first
  napari-hovernet diagnose --story

module:function imports and runs that code, so name only code you trust. Nothing else that is
named is ever run: Python objects in .npz and .npy files are not opened.

status: 0 no fault, 1 a fault was found, 2 bad input or usage, 130 stopped with Ctrl-C (what was
found by then is printed).
"""


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``diagnose``."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_what(parser.add_argument_group("what to test (any part may be missing)"))
    _add_which(parser.add_argument_group("which images"))
    _add_doing(parser.add_argument_group("what to do"))
    _add_output(parser.add_argument_group("output"))


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model", "--checkpoint", default="", metavar="M",
        help=f"{', '.join(offered())} (built in), a checkpoint file, or {OWN} (image -> np, hv)",
    )  # fmt: skip
    group.add_argument(
        "--data", default="", metavar="D",
        help="folder or index.csv of images and labels, an image, PanNuke folds, family .npz "
        "files, or .npz with images, labels, np, hv, types ...; of large files only what is "
        "looked at is read",
    )  # fmt: skip
    group.add_argument(
        "--separation", default="", metavar="P",
        help=f"a preset, a file saved by the tuner, or {OWN} (np, hv -> labels); default the "
        "preset 'local'",
    )  # fmt: skip
    group.add_argument(
        "--augmentation", default="", metavar="A",
        help=f"ours, story, none, the folder of a training run, or {OWN} "
        "(image=, mask=, hv= -> dict, or image, labels, hv -> tuple)",
    )  # fmt: skip
    group.add_argument(
        "--loss", default="", metavar="L",
        help=f"default, the folder of a training run, a JSON file of loss parameters, or {OWN} "
        "(pred_hv, true_hv, mask -> scalar)",
    )  # fmt: skip
    group.add_argument(
        "--hv-convention", default="", metavar="C",
        help="what stored or given HV claims to be: a preset like vh_inward_radial; "
        "default [H, V] outward",
    )  # fmt: skip


def _add_which(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--family", default="", metavar="F", help="only this organ family")
    group.add_argument(
        "--split", metavar="S",
        help="only this split: val ...; the others are looked through for leaks",
    )  # fmt: skip
    group.add_argument(
        "--n-samples", type=int, default=20, metavar="N",
        help="images that go through the network, spread evenly; default %(default)s",
    )  # fmt: skip


def _add_doing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--apply", nargs="+", default=[], metavar="ID",
        help="apply the remedies of these findings ('first' = of the most likely cause) and "
        "test again",
    )  # fmt: skip
    group.add_argument(
        "--only", default="", metavar="FAMILY,...",
        help="only these checks: data, model, separation, loss, augmentation",
    )  # fmt: skip
    group.add_argument(
        "--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ... or mps"
    )
    group.add_argument(
        "--story", action="store_true",
        help="test every number of 'What really made the blob' instead; status 1 if one does "
        "not hold",
    )  # fmt: skip


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--report", type=Path, metavar="OUT.html", help="write a page with pictures")
    group.add_argument(
        "--json", nargs="?", const=STDOUT, metavar="FILE",
        help="write JSON to FILE; without FILE print it instead of a table",
    )  # fmt: skip
    group.add_argument("--overwrite", action="store_true", help="replace earlier reports")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")
