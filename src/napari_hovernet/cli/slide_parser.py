"""Options of ``slide``; nothing heavy is imported here."""

from __future__ import annotations

import argparse

from ..core.params import PRESETS, InferenceParams, SeparationParams
from ..core.slides.params import SlideParams, WorkParams
from ..core.weights import DEFAULT
from .parser import DEVICE, MODEL, PRESET, add_choices


def add_slide(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``slide``."""
    add = parser.add_argument
    add("slides", nargs="*", metavar="SLIDE", help="file, folder of DICOM, or OME-Zarr (URL)")
    add("-o", "--output", metavar="OUT.zarr",
        help="store of the result, or its URL; a folder of stores for several slides")  # fmt: skip
    add("--job", metavar="OUT.zarr.job.json",
        help="go on with what the viewer began: slide, OUT and parameters are in it")  # fmt: skip
    add("--model", default=DEFAULT, help=MODEL)
    add("--device", default="auto", help=DEVICE)
    add("--geojson", action="store_true", help="write OUT.geojson.gz for QuPath, too")
    add("--attach", action="store_true", help="only show how far the run that writes OUT is")
    group = parser.add_argument_group("how to run")
    for kind in (SlideParams, WorkParams, InferenceParams):
        add_choices(group, kind)
    group.add_argument("--preset", choices=PRESETS, default=PRESETS[0], help=PRESET)
    add_choices(group, SeparationParams)
    add("-q", "--quiet", action="store_true", help="no progress, no summary; errors only")
