"""``napari-hovernet segment``: images in, nuclei out."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..app.export import output_paths, write_result
from ..app.jobs import drive
from ..app.segment import Region, SegmentParams, SegmentResult, segment_steps
from ..core.checkpoint import load_model
from ..core.io import parse_formats
from ..core.io.files import writable_folder
from ..core.io.open import SUFFIXES, read_image
from ..core.params import InferenceParams, SeparationParams
from ..core.types import Model, Progress
from ..errors import DeviceError, OutputError, UserError
from .console import ProgressBar, complain, one_line, say, say_error
from .inputs import ImageInput, Search, find_inputs

SHOWN_CLASHES = 3
"""Existing results that are named in an error."""


@dataclass(frozen=True)
class Plan:
    """Everything that is the same for all images of one call."""

    model: Model
    params: SegmentParams
    formats: tuple[str, ...]
    output: Path
    quiet: bool


@dataclass(frozen=True, eq=False)
class Written:
    """A result and where its files are."""

    result: SegmentResult
    files: tuple[Path, ...]


def run(options: Namespace) -> int:
    """Segment all images; 0 if all went well, 1 if some failed."""
    params, formats = _params(options), parse_formats(options.formats)
    search = Search(SUFFIXES, options.pattern, options.recursive, options.output)
    found = find_inputs(options.images, search)
    images = _unfinished(found, formats, options)
    if not images:
        say(f"All {len(found)} images have their results in {options.output}.")
        return 0
    writable_folder(options.output)
    model = load_model(options.model, options.device)
    plan = Plan(model, params, formats, options.output, options.quiet)
    if not options.quiet:
        complain(introduction(model))
    if len(images) == 1:
        _segment(images[0], plan)
        return 0
    return _segment_all(images, plan)


def _params(options: Namespace) -> SegmentParams:
    inference = InferenceParams(
        tiling=options.tiling,
        tile=options.tile,
        batch=options.batch,
        image_mpp=options.image_mpp,
        model_mpp=options.model_mpp,
        precision=options.precision,
    )
    separation = SeparationParams.preset(options.preset)
    given = {"np_threshold": options.np_threshold, "min_area": options.min_area}
    separation = replace(separation, **{k: v for k, v in given.items() if v is not None})
    region = None
    if options.region is not None:
        row0, col0, row1, col1 = options.region
        region = Region(row0=row0, col0=col0, row1=row1, col1=col1)
    return SegmentParams(inference, separation, region)


def _unfinished(
    found: Sequence[ImageInput], formats: Sequence[str], options: Namespace
) -> list[ImageInput]:
    """Leave out what is done, or refuse to replace it, before any work is begun."""
    files = {i: output_paths(options.output / i.stem, formats).values() for i in found}
    if options.overwrite:
        return list(found)
    if options.skip_existing:
        return [i for i in found if not all(path.exists() for path in files[i])]
    there = [str(path) for i in found for path in files[i] if path.exists()]
    if there:
        more = f" and {len(there) - SHOWN_CLASHES} more" if len(there) > SHOWN_CLASHES else ""
        raise OutputError(
            f"There are earlier results: {', '.join(there[:SHOWN_CLASHES])}{more}. "
            "Give --overwrite or --skip-existing, or another folder."
        )
    return list(found)


def introduction(model: Model) -> str:
    """Say in a line which model runs, where, and under which licence."""
    info = model.info
    name = " ".join(part for part in (info.architecture, info.mode) if part)
    kind = f", {len(info.types)} types" if info.types else ""
    mpp = f", trained at {info.mpp:g} µm per pixel" if info.mpp else ""
    licence = f"; licence of the weights: {info.licence}" if info.licence else ""
    return f"{name}{kind}{mpp}, on {model.device}{licence}"


def _segment_all(images: Sequence[ImageInput], plan: Plan) -> int:
    failed: list[str] = []
    for number, image in enumerate(images, start=1):
        try:
            _segment(image, plan, f"[{number}/{len(images)}] ")
        except (OutputError, DeviceError):
            raise  # the next image would fail alike
        except UserError as error:
            say_error(error, str(image.path))
            failed.append(f"{image.path} ({one_line(error)})")
    if failed:
        complain(f"{len(failed)} of {len(images)} images failed:")
        for line in failed:
            complain(f"  {line}")
    return 1 if failed else 0


def _segment(image: ImageInput, plan: Plan, number: str = "") -> None:
    with ProgressBar(f"{number}{image.path.name}", quiet=plan.quiet) as bar:
        written = drive(_steps(image, plan), bar)
    if not plan.quiet:
        say(_summary(image, written))


def _steps(image: ImageInput, plan: Plan) -> Generator[Progress, None, Written]:
    """Read, segment and write one image."""
    yield Progress(0, 0, "reading")
    file = read_image(image.path)
    inference = plan.params.inference
    if inference.image_mpp is None:
        inference = replace(inference, image_mpp=file.mpp)
    params = replace(plan.params, inference=inference)
    steps = segment_steps(plan.model, file.source, params, keep_maps=False)
    del file  # the pixels are not needed any more once the maps are there
    result = yield from steps
    yield Progress(0, 0, "writing")
    files = write_result(result, plan.output / image.stem, plan.formats, image_name=image.path.name)
    return Written(result, tuple(files.values()))


def _summary(image: ImageInput, written: Written) -> str:
    result, first = written.result, written.files[0]
    count = "no nuclei" if not result.n else f"{result.n:,} nucle{'us' if result.n == 1 else 'i'}"
    magnitude = result.magnitude_inside
    inside = "" if math.isnan(magnitude) else f", mean magnitude {magnitude:.2f}"
    names = ", ".join([str(first), *(path.name for path in written.files[1:])])
    return f"{image.path}: {count}{inside}, {result.seconds:.1f} s -> {names}"
