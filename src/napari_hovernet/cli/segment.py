"""``napari-hovernet segment``: images in, nuclei out."""

from __future__ import annotations

import math
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from ..app.jobs import drive
from ..app.segment import (
    Region,
    SegmentParams,
    SegmentResult,
    output_paths,
    segment_steps,
    with_types,
    write_result,
)
from ..core.checkpoint import load_model
from ..core.io import FORMATS, parse_formats
from ..core.io.files import writable_folder
from ..core.io.open import SUFFIXES, read_image
from ..core.limits import freed_memory_kept
from ..core.params import InferenceParams, SeparationParams
from ..core.types import Model, Progress
from ..errors import DeviceError, InputError, OutputError, UserError
from .console import (
    ProgressBar,
    complain,
    introduction,
    one_line,
    params_of,
    say,
    say_error,
    say_list,
)

SHOWN_CLASHES = 3
"""Existing results that are named in an error."""
OME = ".ome"
"""Belongs to the ending of the OME-TIFF files ``x.ome.tif``."""


@dataclass(frozen=True)
class ImageInput:
    """One image: where it is, and where its results go, relative to the output folder."""

    path: Path
    stem: Path


@dataclass(frozen=True)
class Search:
    """How folders are searched."""

    suffixes: tuple[str, ...]  # Endings of readable images, in lower case
    pattern: str | None = None  # Only names like this
    recursive: bool = False  # Folders of folders too
    leave_out: Path = Path()  # A folder that is not looked into: that of the results


@freed_memory_kept()
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
    model = with_types(load_model(options.model, options.device), options.types)
    if not options.quiet:
        complain(introduction(model))
    failed: list[str] = []
    for k, image in enumerate(images, start=1):
        number = f"[{k}/{len(images)}] " if len(images) > 1 else ""
        try:
            with ProgressBar(f"{number}{image.path.name}", quiet=options.quiet) as bar:
                result, files = drive(_steps(image, model, params, formats, options.output), bar)
        except UserError as error:
            if len(images) == 1 or isinstance(error, OutputError | DeviceError):
                raise  # the next image would fail alike
            say_error(error, str(image.path))
            failed.append(f"{image.path} ({one_line(error)})")
        else:
            if not options.quiet:
                say(_summary(image, result, files))
    if failed:
        say_list(f"{len(failed)} of {len(images)} images failed", failed)
    return 1 if failed else 0


def _params(options: Namespace) -> SegmentParams:
    region = None
    if options.region is not None:
        row0, col0, row1, col1 = options.region
        region = Region(row0=row0, col0=col0, row1=row1, col1=col1)
    separation = params_of(options, SeparationParams.preset(options.preset))
    return SegmentParams(params_of(options, InferenceParams()), separation, region)


def _unfinished(
    found: list[ImageInput], formats: Sequence[str], options: Namespace
) -> list[ImageInput]:
    """Leave out what is done, or refuse to replace it, before any work is begun."""
    if options.overwrite:
        return found
    files = {i: output_paths(options.output / i.stem, formats).values() for i in found}
    if options.skip_existing:
        return [i for i in found if not all(path.exists() for path in files[i])]
    there = [str(path) for i in found for path in files[i] if path.exists()]
    if there:
        more = f" and {len(there) - SHOWN_CLASHES} more" if len(there) > SHOWN_CLASHES else ""
        raise OutputError(
            f"There are earlier results: {', '.join(there[:SHOWN_CLASHES])}{more}. "
            "Give --overwrite or --skip-existing, or another folder."
        )
    return found


def _steps(
    image: ImageInput, model: Model, params: SegmentParams, formats: Sequence[str], output: Path
) -> Generator[Progress, None, tuple[SegmentResult, tuple[Path, ...]]]:
    """Read, segment and write one image; returns the result and its files."""
    yield Progress(0, 0, "reading")
    file = read_image(image.path)
    if params.inference.image_mpp is None:
        params = replace(params, inference=replace(params.inference, image_mpp=file.mpp))
    steps = segment_steps(model, file.source, params, keep_maps=False)
    del file  # the pixels are not needed any more once the maps are there
    result = yield from steps
    yield Progress(0, 0, "writing")
    files = write_result(result, output / image.stem, formats, image_name=image.path.name)
    return result, tuple(files.values())


def _summary(image: ImageInput, result: SegmentResult, files: Sequence[Path]) -> str:
    count = "no nuclei" if not result.n else f"{result.n:,} nucle{'us' if result.n == 1 else 'i'}"
    magnitude = result.magnitude_inside
    inside = "" if math.isnan(magnitude) else f", mean magnitude {magnitude:.2f}"
    names = ", ".join([str(files[0]), *(path.name for path in files[1:])])
    return f"{image.path}: {count}{inside}, {result.seconds:.1f} s -> {names}"


def find_inputs(paths: Sequence[Path], search: Search) -> list[ImageInput]:
    """List the images that are meant, each once, with names for their results.

    A file is taken whatever its ending; from folders those with a known ending. Results of images
    of one name in different folders lie in folders of their own.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for image in _images_in(path, search) if path.is_dir() else [path]:
            found.setdefault(os.path.realpath(image), image)
    return name_results(list(found.values()))


def _images_in(folder: Path, search: Search) -> list[Path]:
    try:
        files = sorted(folder.rglob("*") if search.recursive else folder.iterdir())
    except OSError as error:
        raise InputError(f"Cannot look into {folder}: {error.strerror or error}.") from error
    images = [file for file in files if _fits(file, folder, search)]
    if search.pattern is None:
        images = _without_labels(images)
    if not images:
        wanted = search.pattern or ", ".join(f"*{suffix}" for suffix in search.suffixes)
        more = "" if search.recursive else "; --recursive looks into the folders in it"
        raise InputError(f"The folder {folder} holds no image ({wanted}){more}.")
    return images


def _without_labels(images: Sequence[Path]) -> list[Path]:
    """Leave out the labels that lie beside their image."""
    from ..core.data.pairs import image_files  # noqa: PLC0415 - for folders alone

    kept: set[Path] = set()
    for folder in {image.parent for image in images}:
        kept.update(image_files({i.name: i for i in images if i.parent == folder}))
    return [image for image in images if image in kept]


def _fits(file: Path, folder: Path, search: Search) -> bool:
    if file.name.startswith(".") or file.suffix.lower() not in search.suffixes:
        return False
    if not fnmatch(file.name, search.pattern or "*") or not file.is_file():
        return False
    out = Path(os.path.realpath(search.leave_out))
    if out not in Path(os.path.realpath(file)).parents:
        return True
    own_labels = file.name.endswith(FORMATS["tiff"].ending)
    return out == Path(os.path.realpath(folder)) and not own_labels


def name_results(images: Sequence[Path]) -> list[ImageInput]:
    """Give each image a name for its results that no other has, as short as can be.

    The name without its ending; with its ending where two differ in that alone; with as many
    folders in front as tell it from others.
    """
    full = [Path(os.path.abspath(image)) for image in images]
    bare = [path.with_name(_stem(path.name)) for path in full]
    twins = Counter(map(_key, bare))
    last = [p.name if twins[_key(b)] > 1 else b.name for p, b in zip(full, bare, strict=True)]
    stems = [Path(name) for name in last]
    for depth in range(1, max((len(path.parts) for path in full), default=0)):
        clashing = Counter(_key(stem) for stem in stems)
        if max(clashing.values()) == 1:
            break
        for i, path in enumerate(full):
            parents = path.parent.parts[1:]
            if clashing[_key(stems[i])] > 1 and depth <= len(parents):
                stems[i] = Path(*parents[-depth:], last[i])
    return [ImageInput(image, stem) for image, stem in zip(images, stems, strict=True)]


def _stem(name: str) -> str:
    """Name of a file without its ending; ``.ome.tif`` is one."""
    stem = Path(name).stem
    return stem[: -len(OME)] if stem.lower().endswith(OME) and stem.lower() != OME else stem


def _key(path: Path) -> str:
    """Two names that some file systems take for one have one key."""
    return str(path).casefold()
