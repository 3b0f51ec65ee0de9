"""Options of the token decoder; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.tokens import TOKEN_PREFIXES, TRUTHS

BACKBONE = "hf-hub:bioptimus/H-optimus-0"


def add_family(parser: argparse.ArgumentParser) -> None:
    """Add what ``evaluate`` and ``magnitude`` know of cached features."""
    add = parser.add_argument_group("token decoder on cached features").add_argument
    add("--family", metavar="F", help="F_features.npz and F_targets.npz are read instead of images")
    where = "where they lie; default beside the checkpoint, then here"
    add("--data-dir", type=Path, metavar="D", help=where)
    prefixes = [name.split()[0] for name in TOKEN_PREFIXES]
    add("--token-prefix", choices=prefixes, help="tokens before the patches; historical = the "
        "slice 1:257; default file = as the checkpoint says")  # fmt: skip
    add("--types-background", action=argparse.BooleanOptionalAction, help="whether class 0 of the "
        "types is background; default as the checkpoint says, else yes")  # fmt: skip
    add("--truth", choices=TRUTHS, help="how true nuclei are told apart; default auto: instances, "
        "else HV, else components")  # fmt: skip
    add("--seed", type=int, help="draw the samples by it instead of spreading them")


def add_tokens(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tokens``."""
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder, index.csv, image, .npy, or data .npz")
    add("-o", "--output", type=Path, required=True, metavar="F_features.npz", help="file to write")
    add(
        "--backbone", default=BACKBONE, metavar="NAME", help="as timm knows it; default %(default)s"
    )
    add("--weights", type=Path, metavar="FILE", help="its weights, as a file")
    edge = "edge of its input; default %(default)s"
    add("--size", type=int, default=224, metavar="PX", help=edge)
    for name in ("mean", "std"):
        add(f"--{name}", type=float, nargs=3, metavar=("R", "G", "B"),
            help=f"{name} of colours in 0..1; default as H-optimus-0")  # fmt: skip
    layer = "tokens after block N, counted from 1; default the end"
    add("--layer", type=int, metavar="N", help=layer)
    add("--batch", type=int, default=4, metavar="N", help="images at a time; default %(default)s")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ... or mps")
    add("--overwrite", action="store_true", help="replace an earlier file")
    add("-q", "--quiet", action="store_true", help="no progress and no notes")
