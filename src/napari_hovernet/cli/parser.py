"""Commands and options; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypeAlias

from .._version import __version__
from ..core.params import PRECISIONS, PRESETS, TILINGS
from .diagnose_parser import add_diagnose
from .token_parser import add_family, add_tokens
from .train_parser import add_training

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

FORMAT_NAMES = ("geojson", "hovernet-json", "mat", "tiff", "csv")
EPILOG = """\
examples:
  napari-hovernet segment slide.tif -o results
  napari-hovernet segment images/ -o results --model hovernet_fast.tar --device cuda
  napari-hovernet evaluate data/ -o report --split val
  napari-hovernet magnitude images/ --model hovernet_fast.tar
  napari-hovernet magnitude --family epidermal --checkpoint best.pth --n-samples 20
  napari-hovernet diagnose --model hovernet_fast.tar --data data/ --report out.html
  napari-hovernet train --data data/ --start hovernet_fast.tar --epochs 20
  napari-hovernet info hovernet_fast.tar
  napari-hovernet demo
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; ``module`` names what runs a command."""
    parser = argparse.ArgumentParser(
        prog="napari-hovernet",
        description="Find nuclei in H&E images with a HoVer-Net and separate touching ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_segment(commands)
    _add_evaluate(commands)
    _add_magnitude(commands)
    add_diagnose(commands, _command)
    add_tokens(commands, _command)
    add_training(commands, _command)
    _add_info(commands)
    _add_export(commands)
    _add_devices(commands)
    _add_check_loss(commands)
    _add_demo(commands)
    return parser


def _command(commands: Commands, name: str, module: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(module=module)
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser


def _add_segment(commands: Commands) -> None:
    text = "Segment images or whole folders and write the nuclei."
    parser = _command(commands, "segment", ".segment", text)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image or folder")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results"
    )
    _add_model(parser)
    files = parser.add_argument_group("files")
    files.add_argument(
        "--formats", default=",".join(FORMAT_NAMES), help="separated by commas; default %(default)s"
    )
    files.add_argument("--pattern", help="take only these names from folders, like '*_he.tif'")
    files.add_argument("--recursive", action="store_true", help="look into folders of folders too")
    existing = files.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace earlier results")
    existing.add_argument("--skip-existing", action="store_true", help="leave finished images out")
    _add_choices(parser)
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress, no summary; errors only"
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="compact", help="'compact' (built in, default) or a checkpoint file"
    )
    parser.add_argument(
        "--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ... or mps"
    )


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to run")
    _add_running(group)
    group.add_argument(
        "--preset",
        choices=PRESETS,
        default=PRESETS[0],
        help="separation; default %(default)s, the last two are faulty on purpose",
    )
    group.add_argument("--np-threshold", type=float, help="least nucleus probability, 0..1")
    group.add_argument("--min-area", type=int, help="smallest nucleus in pixels")
    group.add_argument(
        "--region",
        type=int,
        nargs=4,
        metavar=("R0", "C0", "R1", "C1"),
        help="only rows R0 to R1 and columns C0 to C1",
    )


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--tile", type=int, help="tile edge in pixels; default by memory")
    group.add_argument("--batch", type=int, help="tiles at a time; default by memory")
    group.add_argument("--tiling", choices=TILINGS, default=TILINGS[0], help="default %(default)s")
    group.add_argument("--precision", choices=PRECISIONS, default=PRECISIONS[0])
    group.add_argument(
        "--image-mpp", type=float, help="micrometres per pixel; default as the file says"
    )
    group.add_argument("--model-mpp", type=float, help="the same of the model; default as it says")


def _add_evaluate(commands: Commands) -> None:
    text = (
        "Score predictions against true labels, image by image, beside what one gets for "
        "nothing; writes CSV, JSON and an HTML report."
    )
    parser = _command(commands, "evaluate", ".evaluate", text)
    parser.add_argument(
        "data",
        nargs="?",
        type=Path,
        metavar="DATA",
        help="folder or index.csv of images and labels; with --family it may be left out",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="OUT",
        help="folder for the reports; with --family it may be left out",
    )
    origin = parser.add_mutually_exclusive_group()
    _add_any_model(origin)
    origin.add_argument(
        "--pred", type=Path, metavar="DIR", help="folder of predicted labels; no model runs"
    )
    _add_data(parser)
    add_family(parser)
    _add_judging(parser)
    parser.add_argument("--no-html", action="store_true", help="no HTML report, no pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier reports")
    _add_output(parser)


def _add_magnitude(commands: Commands) -> None:
    text = (
        "Tell how long HV is inside nuclei and outside, and whether it points the right way: "
        "inside true nuclei where labels are found, else inside predicted ones."
    )
    parser = _command(commands, "magnitude", ".magnitude", text)
    parser.add_argument(
        "data", nargs="*", type=Path, metavar="IMAGES_OR_DATA", help="image, folder or index.csv"
    )
    _add_any_model(parser)
    _add_data(parser)
    add_family(parser)
    _add_judging(parser)
    _add_output(parser)


def _add_any_model(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--model",
        "--checkpoint",
        metavar="M",
        help="'compact' (built in, default) or a checkpoint file",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which images")
    group.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder of the true labels; default beside"
    )
    group.add_argument("--split", help="only this split of an index, or this folder: val ...")
    group.add_argument("--source", help="only this source of an index")
    group.add_argument("--pattern", help="take only these names, like '*_he.tif'")
    group.add_argument(
        "--n-samples", type=int, metavar="N", help="N images, spread evenly; default all"
    )


def _add_judging(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to run")
    group.add_argument(
        "--device", default="auto", help="auto (default), cpu, cuda, cuda:1 ... or mps"
    )
    _add_running(group)
    group.add_argument(
        "--use-mpp", action="store_true", help="take mpp from the index where it states one"
    )
    cut = group.add_mutually_exclusive_group()
    cut.add_argument(
        "--preset",
        choices=PRESETS,
        help=f"separation; default {PRESETS[0]}, the last two are faulty on purpose",
    )
    cut.add_argument(
        "--params", type=Path, metavar="FILE.json", help="separation as saved by the tuner"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")


def _add_info(commands: Commands) -> None:
    parser = _command(commands, "info", ".models", "Tell what a model file is, without running it.")
    parser.add_argument("model", metavar="MODEL", help="'compact' or a checkpoint file")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action="info")


def _add_export(commands: Commands) -> None:
    text = "Write a model in another format, told by the ending of OUT."
    parser = _command(commands, "export", ".models", text)
    parser.add_argument("model", metavar="MODEL", help="'compact' or a checkpoint file")
    parser.add_argument(
        "output", type=Path, metavar="OUT", help=".safetensors, .tar (hover_net) or .pth"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")
    parser.set_defaults(action="export")


def _add_devices(commands: Commands) -> None:
    text = "List the devices a model can run on, and why one cannot be used."
    parser = _command(commands, "devices", ".models", text)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(action="devices")


def _add_check_loss(commands: Commands) -> None:
    text = (
        "Check the training loss: five well-known claims and tests, what each measures, why it "
        "decided nothing, and the corrected test. Status 1 if one of these fails."
    )
    parser = _command(commands, "check-loss", ".train", text)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the random maps; default %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(action="check-loss")


def _add_demo(commands: Commands) -> None:
    text = "Open napari with a sample image and segment it with the built-in model."
    parser = _command(commands, "demo", ".demo", text)
    parser.add_argument("--sample", help="which sample image: ihc (default), tissue or skin")
    parser.add_argument("--model", help="'compact' (built in, default) or a checkpoint file")
    parser.add_argument(
        "--screenshot", type=Path, metavar="OUT.png", help="write a picture and quit"
    )
