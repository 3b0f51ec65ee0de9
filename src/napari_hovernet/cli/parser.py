"""Commands and options; nothing heavy is imported here, and only the options asked for are made."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from .._version import __version__
from ..core.choices import choices
from ..core.io import USUAL
from ..core.params import PRESETS, InferenceParams, SeparationParams
from ..core.weights import DEFAULT, offered
from .console import add_choice

NAMES = ", ".join(offered())
MODEL = f"a built-in model ({NAMES}; default {DEFAULT}) or a checkpoint file"
DEVICE = "auto (default), cpu, cuda, cuda:1 ... or mps"
TYPES = ("names and colours of types, as hover_net's type_info.json; a third member of an entry "
         "lists the types it takes together")  # fmt: skip
PRESET = f"separation; default {PRESETS[0]}, the last two are faulty on purpose"
EPILOG = """\
examples:
  napari-hovernet segment slide.tif -o results
  napari-hovernet segment images/ -o results --model hovernet_fast.tar --device cuda
  napari-hovernet slide slide.svs -o slide.zarr --workers 4
  napari-hovernet evaluate data/ -o report --split val
  napari-hovernet magnitude images/ --model hovernet_fast.tar
  napari-hovernet magnitude --family epidermal --checkpoint best.pth --n-samples 20
  napari-hovernet diagnose --model hovernet_fast.tar --data data/ --report out.html
  napari-hovernet train --data data/ --start hovernet_fast.tar --epochs 20
  napari-hovernet info hovernet_fast.tar
  napari-hovernet demo
"""


@dataclass(frozen=True)
class Command:
    """A command; its options come from ``add_NAME`` of a module that is light to import."""

    text: str  # What it does
    run: str  # "module:function" that runs it, imported only then
    options: str = ".parser"

    def add_options(self, name: str, parser: argparse.ArgumentParser) -> None:
        """Give a parser the options of the command."""
        parser.set_defaults(call=self.run)
        parser.add_argument("--debug", action="store_true", help="show where an error came from")
        module = import_module(self.options, __package__)
        getattr(module, f"add_{name.replace('-', '_')}")(parser)


COMMANDS = {
    "segment": Command(
        "Segment images or whole folders and write the nuclei.", ".segment:run"),
    "slide": Command(
        "Segment whole slides, block by block, into a store that shows maps and nuclei at any "
        "scale; goes on where it stopped.", ".slide:run", ".slide_parser"),
    "evaluate": Command(
        "Score predictions against true labels, image by image, beside what one gets for "
        "nothing; writes CSV, JSON and an HTML report.", ".evaluate:run"),
    "magnitude": Command(
        "Tell how long HV is inside nuclei and outside, and whether it points the right way: "
        "inside true nuclei where labels are found, else inside predicted ones.",
        ".evaluate:run_magnitude"),
    "diagnose": Command(
        "Name the real cause why nuclei do not come apart, with evidence and remedy.",
        ".diagnose:run", ".diagnose_parser"),
    "tokens": Command(
        "Compute the tokens of images with a frozen ViT (optional: pip install "
        "'napari-hovernet[vit]') and write them as features of a token decoder.",
        ".tokens:run", ".token_parser"),
    "train": Command(
        "Fine-tune a model on labelled images, in a process of its own.",
        ".train:run", ".train_parser"),
    "runs": Command("List training runs, or remove one.", ".train:run", ".train_parser"),
    "attach": Command(
        "Show what a training run does, from its beginning; Ctrl-C leaves it alone.",
        ".train:run", ".train_parser"),
    "stop": Command(
        "Ask a training run to end after its step, with a checkpoint.",
        ".train:run", ".train_parser"),
    "info": Command(
        "Tell what a model file is, without running it; without a name, list the built-in "
        "models with their licences.", ".models:info"),
    "export": Command(
        "Write a model in another format, told by the ending of OUT.", ".models:export"),
    "devices": Command(
        "List the devices a model can run on, and why one cannot be used.", ".models:devices"),
    "check-loss": Command(
        "Check the training loss: five well-known claims and tests, what each measures, why it "
        "decided nothing, and the corrected test. Status 1 if one of these fails.",
        ".train:run"),
    "demo": Command(
        "Open napari with a sample image and segment it with the built-in model.",
        ".models:demo"),
}  # fmt: skip


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the options of one command (None = of all)."""
    parser = argparse.ArgumentParser(
        prog="napari-hovernet",
        description="Find nuclei in H&E images with a HoVer-Net and separate touching ones.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        text = command.text
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if only is None or name == only:
            command.add_options(name, made)
    return parser


# Options read as a table, an option or two lines each:
# fmt: off
def add_segment(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``segment``."""
    add = parser.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE", help="image or folder")
    add("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results")
    add("--model", default=DEFAULT, help=MODEL)
    add("--device", default="auto", help=DEVICE)
    files = parser.add_argument_group("files")
    files.add_argument("--formats", default=",".join(USUAL),
                       help="separated by commas; default %(default)s")
    files.add_argument("--pattern", help="take only these names from folders, like '*_he.tif'")
    files.add_argument("--recursive", action="store_true", help="look into folders of folders too")
    existing = files.add_mutually_exclusive_group()
    existing.add_argument("--overwrite", action="store_true", help="replace earlier results")
    existing.add_argument("--skip-existing", action="store_true", help="leave finished images out")
    group = parser.add_argument_group("how to run")
    add_choices(group, InferenceParams)
    group.add_argument("--preset", choices=PRESETS, default=PRESETS[0], help=PRESET)
    add_choices(group, SeparationParams)
    group.add_argument("--types", type=Path, metavar="FILE.json", help=TYPES)
    group.add_argument("--region", type=int, nargs=4, metavar=("R0", "C0", "R1", "C1"),
                       help="only rows R0 to R1 and columns C0 to C1")
    add("-q", "--quiet", action="store_true", help="no progress, no summary; errors only")


def add_choices(group: argparse._ActionsContainer, kind: Any) -> None:
    """Add all options of a parameters class; what is not given is None."""
    for known in choices(kind).values():
        if known.option:
            add_choice(group, known)


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``evaluate``."""
    parser.add_argument("data", nargs="?", type=Path, metavar="DATA",
        help="folder or index.csv of images and labels; with --family it may be left out")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT",
        help="folder for the reports; with --family it may be left out")
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument("--model", "--checkpoint", metavar="M", help=MODEL)
    origin.add_argument("--pred", type=Path, metavar="DIR",
        help="folder of predicted labels; no model runs")
    _add_batch(parser)
    types = parser.add_argument_group("types").add_argument
    types("--types", type=Path, metavar="FILE.json", help=TYPES)
    types("--true-types", type=Path, metavar="FILE.json",
        help="the same for the true types; default --types, else by name where labels name theirs")
    types("--ignore", type=Path, metavar="DIR",
        help="masks, named after the images, of what does not count; nor do areas of the class "
        "Ignore*")
    parser.add_argument("--no-html", action="store_true", help="no HTML report, no pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier reports")


def add_magnitude(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``magnitude``."""
    parser.add_argument("data", nargs="*", type=Path, metavar="IMAGES_OR_DATA",
        help="image, folder or index.csv")
    parser.add_argument("--model", "--checkpoint", metavar="M", help=MODEL)
    _add_batch(parser)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    """Add what ``evaluate`` and ``magnitude`` share."""
    data = parser.add_argument_group("which images").add_argument
    data("--labels", type=Path, metavar="DIR", help="folder of the true labels; default beside")
    data("--split", help="only this split of an index, or this folder: val ...")
    data("--source", help="only this source of an index")
    data("--pattern", help="take only these names, like '*_he.tif'")
    data("--n-samples", type=int, metavar="N", help="N images, spread evenly; default all")
    import_module(".token_parser", __package__).add_family(parser)
    group = parser.add_argument_group("how to run")
    group.add_argument("--device", default="auto", help=DEVICE)
    add_choices(group, InferenceParams)
    group.add_argument("--use-mpp", action="store_true",
        help="take mpp from the index where it states one")
    cut = group.add_mutually_exclusive_group()
    cut.add_argument("--preset", choices=PRESETS, help=PRESET)
    cut.add_argument("--params", type=Path, metavar="FILE.json",
        help="separation as saved by the tuner")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``info``."""
    parser.add_argument("model", metavar="MODEL", nargs="?",
        help=f"{NAMES} or a checkpoint file; without it the built-in models are listed")
    add_devices(parser)


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``export``."""
    parser.add_argument("model", metavar="MODEL", help=f"{NAMES} or a checkpoint file")
    parser.add_argument("output", type=Path, metavar="OUT",
        help=".safetensors, .tar (hover_net) or .pth")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``devices``."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def add_check_loss(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``check-loss``."""
    parser.add_argument("--seed", type=int, default=0,
        help="of the random maps; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(action="check-loss")


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``demo``."""
    parser.add_argument("--sample", help="which sample image: ihc (default), tissue or skin")
    parser.add_argument("--model", help=MODEL)
    parser.add_argument("--screenshot", type=Path, metavar="OUT.png",
        help="write a picture and quit")
