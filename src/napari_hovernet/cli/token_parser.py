"""Options of the token decoder."""

from __future__ import annotations

import argparse
from pathlib import Path

PREFIXES = ("0", "1", "5", "historical", "file")
TRUTHS = ("auto", "instances", "hv", "components")
SIZE, BATCH = 224, 4
BACKBONE = "hf-hub:bioptimus/H-optimus-0"


def add_family(parser: argparse.ArgumentParser) -> None:
    """Add what ``evaluate`` and ``magnitude`` know of cached features."""
    group = parser.add_argument_group("token decoder on cached features")
    group.add_argument(
        "--family", metavar="F", help="F_features.npz and F_targets.npz are read instead of images"
    )
    group.add_argument(
        "--data-dir",
        type=Path,
        metavar="D",
        help="where they lie; default beside the checkpoint, then here",
    )
    group.add_argument(
        "--token-prefix",
        choices=PREFIXES,
        help="tokens before the patches; historical = the slice 1:257; default file = as the "
        "checkpoint says",
    )
    group.add_argument(
        "--truth",
        choices=TRUTHS,
        help="how true nuclei are told apart; default auto: instances, else HV, else components",
    )
    group.add_argument("--seed", type=int, help="draw the samples by it instead of spreading them")


def add_tokens(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``tokens``."""
    parser.add_argument(
        "images", type=Path, metavar="IMAGES", help="folder, index.csv, image, .npy, or data .npz"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="F_features.npz", help="file to write"
    )
    parser.add_argument(
        "--backbone", default=BACKBONE, metavar="NAME", help="as timm knows it; default %(default)s"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its weights, as a file")
    parser.add_argument(
        "--size",
        type=int,
        default=SIZE,
        metavar="PX",
        help="edge of its input; default %(default)s",
    )
    for name in ("mean", "std"):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs=3,
            metavar=("R", "G", "B"),
            help=f"{name} of colours in 0..1; default as H-optimus-0",
        )
    parser.add_argument(
        "--layer",
        type=int,
        metavar="N",
        help="tokens after block N, counted from 1; default the end",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=BATCH,
        metavar="N",
        help="images at a time; default %(default)s",
    )
    parser.add_argument(
        "--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ... or mps"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")
