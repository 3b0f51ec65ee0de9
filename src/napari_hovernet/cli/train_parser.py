"""Options of ``train``, ``runs``, ``attach`` and ``stop``; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.choices import options
from ..core.params import LOSS_PRESETS, TrainConfig
from ..core.weights import DEFAULT, offered
from .console import add_choice, help_of

NO_EPOCHS = "none"
GROUPS = ("data", "training", "loss", "augmentation", "machine")
TRAIN_END = """\
Ctrl-C stops with a checkpoint; a second Ctrl-C kills. What was stopped goes on with
  napari-hovernet train --resume RUN
"""


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``train``."""
    parser.epilog, parser.formatter_class = TRAIN_END, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="DATA",
        help="folder, index.csv, PanNuke fold, .npz, .npy or .mat; may be given several times",
    )
    parser.add_argument(
        "--start",
        metavar="MODEL",
        help=f"a built-in model ({', '.join(offered())}; default {DEFAULT}), a checkpoint file, "
        "or scratch:compact",
    )
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    groups["loss"].add_argument(
        "--loss-preset",
        choices=tuple(LOSS_PRESETS),
        help="weights to begin with; options below change single ones",
    )
    for known in options(TrainConfig).values():
        if known.option == "save-epochs":
            groups[known.group].add_argument(
                "--save-epochs", type=epochs_of, metavar="N,N", help=help_of(known)
            )
        else:
            add_choice(groups[known.group], known)
    _add_run_options(parser)
    parser.set_defaults(action="train")


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--name", help="of the run; default the model's and the time")
    _add_runs_dir(group)
    group.add_argument("--detach", action="store_true", help="start it and return at once")
    group.add_argument(
        "--now", action="store_true", help="beside other runs; default: after those before"
    )
    group.add_argument(
        "--prepare",
        action="store_true",
        help="write the run and say how to start it, for launchers like torchrun and srun",
    )
    group.add_argument("--no-check", action="store_true", help="do not look at the data first")
    group.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="let a run go on that ended early"
    )
    group.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no table and no notes")


def epochs_of(text: str) -> tuple[int, ...]:
    """Read epochs separated by commas."""
    if text.strip() in {"", NO_EPOCHS}:
        return ()
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of epochs like 5,10")
    return found


def _add_runs_dir(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--runs-dir",
        type=Path,
        metavar="DIR",
        help="folder of the runs; default $NAPARI_HOVERNET_RUNS, else among the user's data",
    )


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``runs``."""
    _add_runs_dir(parser)
    parser.add_argument("--remove", metavar="RUN", help="delete a run that has ended, all of it")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action="list")


def add_attach(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``attach``."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="its name or folder; default latest")
    _add_runs_dir(parser)
    parser.add_argument("--once", action="store_true", help="show what there is and end")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="save the curves, anew after each epoch"
    )
    parser.add_argument("--report", action="store_true", help="write its report page now")
    parser.add_argument("-q", "--quiet", action="store_true", help="no table and no notes")
    parser.set_defaults(action="attach")


def add_stop(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``stop``."""
    parser.add_argument("run", metavar="RUN", help="its name or folder")
    _add_runs_dir(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--kill", action="store_true", help="end its process at once")
    how.add_argument(
        "--pause", action="store_true", help="let it wait between two steps; --resume goes on"
    )
    parser.set_defaults(action="stop")
