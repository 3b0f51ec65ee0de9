"""Commands, their options, and what runs them: every error becomes a line and an exit status.

Nothing heavy is imported here, and only the options asked for are made.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from .._version import __version__
from ..core import choices
from ..core.io import USUAL
from ..core.params import LOSS_PRESETS, PRESETS, InferenceParams, SeparationParams, TrainConfig
from ..core.weights import DEFAULT, offered
from ..errors import OUT_OF_MEMORY, UserError
from . import INTERRUPTED, STOPPED, end_at_once
from .console import STDOUT, add_choice, complain, help_of, say_error

USER_ERROR, PIPE_CLOSED, TERMINATED = 2, 141, 143
"""Exit statuses: bad input or usage, the reader of the output went away, SIGTERM."""
NAMES = ", ".join(offered())
MODEL = f"a built-in model ({NAMES}; default {DEFAULT}) or a checkpoint file"
DEVICE = "auto (default), cpu, cuda, cuda:1 ... or mps"
RUNS = "folder of the runs; default $NAPARI_HOVERNET_RUNS, else among the user's data"
OWN = "module:function or file.py:function of your own"
NO_EPOCHS = "none"
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
TRAIN_END = """\
Ctrl-C stops with a checkpoint; a second Ctrl-C kills. What was stopped goes on with
  napari-hovernet train --resume RUN
"""
DIAGNOSE = """\
Name the most likely cause why nuclei do not come apart. Tests whatever is given: a model, data
(images, labels, stored targets, maps, tokens), a separation, a loss, an augmentation; says what
could not be tested, and what to give for it. Each finding has its evidence, its bound and its
remedy."""
DIAGNOSE_END = """\
examples:
  napari-hovernet diagnose --model hovernet_fast.tar --data data/ --split val
  napari-hovernet diagnose --data targets/ --family epidermal --report out.html
  napari-hovernet diagnose --data maps.npz --separation my_code.py:cut
  napari-hovernet diagnose --data maps.npz --apply first --all
  napari-hovernet diagnose --story

module:function imports and runs that code, so name only code you trust. Nothing else that is
named is ever run: Python objects in .npz and .npy files are not opened.

status: 0 no fault, 1 a fault was found, 2 bad input or usage, 130 stopped with Ctrl-C (what was
found by then is printed).
"""


@dataclass(frozen=True)
class Command:
    """A command; its options come from ``_add_NAME``."""

    text: str  # What it does
    run: str  # "module:function" that runs it, imported only then


COMMANDS = {
    "segment": Command(
        "Segment images or whole folders and write the nuclei.", ".segment:run"),
    "slide": Command(
        "Segment whole slides, block by block, into a store that shows maps and nuclei at any "
        "scale; goes on where it stopped.", ".slide:run"),
    "evaluate": Command(
        "Score predictions against true labels, image by image, beside what one gets for "
        "nothing; writes CSV, JSON and an HTML report.", ".evaluate:run"),
    "magnitude": Command(
        "Tell how long HV is inside nuclei and outside, and whether it points the right way: "
        "inside true nuclei where labels are found, else inside predicted ones.",
        ".evaluate:run_magnitude"),
    "diagnose": Command(
        "Name the real cause why nuclei do not come apart, with evidence and remedy.",
        ".diagnose:run"),
    "tokens": Command(
        "Compute the tokens of images with a frozen ViT (optional: pip install "
        "'napari-hovernet[vit]') and write them as features of a token decoder.", ".models:tokens"),
    "train": Command(
        "Fine-tune a model on labelled images, in a process of its own.",
        ".train:train"),
    "runs": Command("List training runs, or remove one.", ".train:list_runs"),
    "attach": Command(
        "Show what a training run does, from its beginning; Ctrl-C leaves it alone.",
        ".train:attach"),
    "stop": Command(
        "Ask a training run to end after its step, with a checkpoint.",
        ".train:stop"),
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
        ".train:check_loss"),
    "demo": Command(
        "Open napari with a sample image and segment it with the built-in model.",
        ".models:demo"),
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; 0 = done, 1 = some images failed, else as above."""
    if argv is None:
        _stop_cleanly_when_told()
    arguments = with_dashes(sys.argv[1:] if argv is None else argv)
    chosen = next((a for a in arguments if not a.startswith("-")), "")
    options = build_parser(chosen).parse_args(arguments)
    try:
        return int(_imported(options.call)(options))
    except UserError as error:
        if options.debug:
            raise
        say_error(error)
        return USER_ERROR
    except MemoryError:
        if options.debug:
            raise
        complain(f"error: {OUT_OF_MEMORY}")
        return USER_ERROR
    except KeyboardInterrupt:
        complain(STOPPED)
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _imported(call: str) -> Callable[[Any], int]:
    """Import what a command runs, "module:function".

    The collector of garbage finds none among modules that are being loaded, nor at the end in those
    that stay: together it looked for 0.6 CPU s.
    """
    module, _, function = call.partition(":")
    gc.disable()
    try:
        found: Callable[[Any], int] = getattr(import_module(module, __package__), function)
    finally:
        gc.enable()
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    atexit.register(gc.freeze)
    return found


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Spell every option with hyphens: ``--image_mpp`` is ``--image-mpp``."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    return [_dashed(a) if i < end and a.startswith("--") else a for i, a in enumerate(argv)]


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _stop_cleanly_when_told() -> None:
    """Let SIGTERM (a cluster's time limit) unwind, so that temporary files are removed."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, stop)


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
            made.set_defaults(call=command.run)
            made.add_argument("--debug", action="store_true", help="show where an error came from")
            globals()[f"_add_{name.replace('-', '_')}"](made)
    return parser


# Options read as a table, an option or two lines each:
# fmt: off
def _add_choices(group: argparse._ActionsContainer, *kinds: Any) -> None:
    """Add all options of parameters classes; what is not given is None."""
    for kind in kinds:
        for known in choices.options(kind).values():
            add_choice(group, known)


def _add_segment(parser: argparse.ArgumentParser) -> None:
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
    _add_choices(group, InferenceParams)
    group.add_argument("--preset", choices=PRESETS, default=PRESETS[0], help=PRESET)
    _add_choices(group, SeparationParams)
    group.add_argument("--types", type=Path, metavar="FILE.json", help=TYPES)
    group.add_argument("--region", type=int, nargs=4, metavar=("R0", "C0", "R1", "C1"),
                       help="only rows R0 to R1 and columns C0 to C1")
    add("-q", "--quiet", action="store_true", help="no progress, no summary; errors only")


def _add_slide(parser: argparse.ArgumentParser) -> None:
    from ..core.slides.params import SlideParams, WorkParams  # noqa: PLC0415 - for slides alone

    add = parser.add_argument
    add("slides", nargs="*", metavar="SLIDE", help="file, folder of DICOM, or OME-Zarr (URL)")
    add("-o", "--output", metavar="OUT.zarr",
        help="store of the result, or its URL; a folder of stores for several slides")
    add("--job", metavar="OUT.zarr.job.json",
        help="go on with what the viewer began: slide, OUT and parameters are in it")
    add("--model", default=DEFAULT, help=MODEL)
    add("--device", default="auto", help=DEVICE)
    add("--geojson", action="store_true", help="write OUT.geojson.gz for QuPath, too")
    add("--attach", action="store_true", help="only show how far the run that writes OUT is")
    group = parser.add_argument_group("how to run")
    _add_choices(group, SlideParams, WorkParams, InferenceParams)
    group.add_argument("--preset", choices=PRESETS, default=PRESETS[0], help=PRESET)
    _add_choices(group, SeparationParams)
    group.add_argument("--types", type=Path, metavar="FILE.json", help=TYPES)
    add("-q", "--quiet", action="store_true", help="no progress, no summary; errors only")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
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


def _add_magnitude(parser: argparse.ArgumentParser) -> None:
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
    _add_family(parser)
    group = parser.add_argument_group("how to run")
    group.add_argument("--device", default="auto", help=DEVICE)
    _add_choices(group, InferenceParams)
    group.add_argument("--use-mpp", action="store_true",
        help="take mpp from the index where it states one")
    cut = group.add_mutually_exclusive_group()
    cut.add_argument("--preset", choices=PRESETS, help=PRESET)
    cut.add_argument("--params", type=Path, metavar="FILE.json",
        help="separation as saved by the tuner")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?",
        help=f"{NAMES} or a checkpoint file; without it the built-in models are listed")
    _add_devices(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=f"{NAMES} or a checkpoint file")
    parser.add_argument("output", type=Path, metavar="OUT",
        help=".safetensors, .tar (hover_net) or .pth")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")


def _add_devices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_check_loss(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0,
        help="of the random maps; default %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sample", help="which sample image: ihc (default), tissue or skin")
    parser.add_argument("--model", help=MODEL)
    parser.add_argument("--screenshot", type=Path, metavar="OUT.png",
        help="write a picture and quit")


def _add_family(parser: argparse.ArgumentParser) -> None:
    """Add what ``evaluate`` and ``magnitude`` know of cached features."""
    from ..core.tokens import TOKEN_PREFIXES, TRUTHS  # noqa: PLC0415 - for these alone

    add = parser.add_argument_group("token decoder on cached features").add_argument
    add("--family", metavar="F", help="F_features.npz and F_targets.npz are read instead of images")
    add("--data-dir", type=Path, metavar="D",
        help="where they lie; default beside the checkpoint, then here")
    add("--token-prefix", choices=[name.split()[0] for name in TOKEN_PREFIXES],
        help="tokens before the patches; historical = the slice 1:257; default file = as the "
        "checkpoint says")
    add("--types-background", action=argparse.BooleanOptionalAction, help="whether class 0 of the "
        "types is background; default as the checkpoint says, else yes")
    add("--truth", choices=TRUTHS, help="how true nuclei are told apart; default auto: instances, "
        "else HV, else components")
    add("--seed", type=int, help="draw the samples by it instead of spreading them")


def _add_tokens(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder, index.csv, image, .npy, or data .npz")
    add("-o", "--output", type=Path, required=True, metavar="F_features.npz", help="file to write")
    add("--backbone", default="hf-hub:bioptimus/H-optimus-0", metavar="NAME",
        help="as timm knows it; default %(default)s")
    add("--weights", type=Path, metavar="FILE", help="its weights, as a file")
    add("--size", type=int, default=224, metavar="PX",
        help="edge of its input; default %(default)s")
    for name in ("mean", "std"):
        add(f"--{name}", type=float, nargs=3, metavar=("R", "G", "B"),
            help=f"{name} of colours in 0..1; default as H-optimus-0")
    add("--layer", type=int, metavar="N",
        help="tokens after block N, counted from 1; default the end")
    add("--batch", type=int, default=4, metavar="N", help="images at a time; default %(default)s")
    add("--device", default="auto", help=DEVICE)
    add("--overwrite", action="store_true", help="replace an earlier file")
    add("-q", "--quiet", action="store_true", help="no progress and no notes")


def _add_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DIAGNOSE, DIAGNOSE_END
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_argument_group("what to test (any part may be missing)").add_argument
    what("--model", "--checkpoint", default="", metavar="M",
        help=f"{NAMES} (built in), a checkpoint file, or {OWN} (image -> np, hv)")
    what("--data", default="", metavar="D",
        help="folder or index.csv of images and labels, an image, PanNuke folds, family .npz "
        "files, or .npz with images, labels, np, hv, types ...; of large files only what is "
        "looked at is read")
    what("--separation", default="", metavar="P",
        help=f"a preset, a file saved by the tuner, or {OWN} (np, hv -> labels); default the "
        "preset 'local'")
    what("--augmentation", default="", metavar="A",
        help=f"ours, story, none, the folder of a training run, or {OWN} "
        "(image=, mask=, hv= -> dict, or image, labels, hv -> tuple)")
    what("--loss", default="", metavar="L",
        help=f"default, the folder of a training run, a JSON file of loss parameters, or {OWN} "
        "(pred_hv, true_hv, mask -> scalar)")
    what("--hv-convention", default="", metavar="C",
        help="what stored or given HV claims to be: a preset like vh_inward_radial; "
        "default [H, V] outward")
    which = parser.add_argument_group("which images").add_argument
    which("--family", default="", metavar="F", help="only this organ family")
    which("--split", metavar="S",
        help="only this split: val ...; the others are looked through for leaks")
    which("--n-samples", type=int, default=20, metavar="N",
        help="images that go through the network, spread evenly; default %(default)s")
    do = parser.add_argument_group("what to do").add_argument
    do("--apply", nargs="+", default=[], metavar="ID",
        help="apply the remedies of these findings ('first' = of the most likely cause) and test "
        "again")
    do("--only", default="", metavar="FAMILY,...",
        help="only these checks: data, model, separation, loss, augmentation")
    do("--device", default="auto", help=DEVICE)
    do("--story", action="store_true",
        help="test every number of 'What really made the blob' instead; status 1 if one does "
        "not hold")
    out = parser.add_argument_group("output").add_argument
    out("--all", action="store_true",
        help="every finding with its evidence, what is in order and what was not tested too")
    out("--plain", action="store_true",
        help="what it means and what to do, for people who do not read code")
    out("--report", type=Path, metavar="OUT.html", help="write a page with pictures")
    out("--json", nargs="?", const=STDOUT, metavar="FILE",
        help="write JSON to FILE; without FILE print it instead of a table")
    out("--overwrite", action="store_true", help="replace earlier reports")
    out("-q", "--quiet", action="store_true", help="no progress and no notes")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = TRAIN_END, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--data", nargs="+", action="extend", metavar="DATA",
        help="folder, index.csv, PanNuke fold, .npz, .npy or .mat; may be given several times")
    add("--val-data", nargs="+", action="extend", metavar="DATA",
        help="what to validate on; default a share of the data, by image")
    add("--start", metavar="MODEL",
        help=f"a built-in model ({NAMES}; default {DEFAULT}), a checkpoint file, or "
        "scratch:compact")
    titles = ("data", "training", "loss", "augmentation", "machine")
    groups = {title: parser.add_argument_group(title) for title in titles}
    groups["loss"].add_argument("--loss-preset", choices=tuple(LOSS_PRESETS),
        help="weights to begin with; options below change single ones")
    for known in choices.options(TrainConfig).values():
        if known.option == "save-epochs":
            groups[known.group].add_argument("--save-epochs", type=epochs_of, metavar="N,N",
                help=help_of(known))
        else:
            add_choice(groups[known.group], known)
    run = parser.add_argument_group("run").add_argument
    run("--name", help="of the run; default the model's and the time")
    run("--runs-dir", type=Path, metavar="DIR", help=RUNS)
    run("--detach", action="store_true", help="start it and return at once")
    run("--now", action="store_true", help="beside other runs; default: after those before")
    run("--prepare", action="store_true",
        help="write the run and say how to start it, for launchers like torchrun and srun")
    run("--no-check", action="store_true", help="do not look at the data first")
    run("--resume", nargs="?", const="", metavar="RUN", help="let a run go on that ended early")
    run("--run", type=Path, help=argparse.SUPPRESS)
    add("-q", "--quiet", action="store_true", help="no table and no notes")


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


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help=RUNS)
    parser.add_argument("--remove", metavar="RUN", help="delete a run that has ended, all of it")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_attach(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="its name or folder; default latest")
    add("--runs-dir", type=Path, metavar="DIR", help=RUNS)
    add("--once", action="store_true", help="show what there is and end")
    add("--plot", type=Path, metavar="FILE.png", help="save the curves, anew after each epoch")
    add("--report", action="store_true", help="write its report page now")
    add("-q", "--quiet", action="store_true", help="no table and no notes")


def _add_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="its name or folder")
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help=RUNS)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--kill", action="store_true", help="end its process at once")
    how.add_argument("--pause", action="store_true",
        help="let it wait between two steps; --resume goes on")
