"""Write a result in every format, all files or none."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.io.atomic import TEMPORARY_PREFIX, output_error, writable_folder
from ..core.io.geojson import write_geojson
from ..core.io.hovernet_json import write_hovernet_json
from ..core.io.hovernet_mat import write_hovernet_mat
from ..core.io.label_tiff import write_label_tiff
from ..core.io.table import write_table
from ..errors import InputError, OutputError
from .segment import SegmentResult, run_metadata

Writer = Callable[[Path, SegmentResult, dict[str, Any]], None]


@dataclass(frozen=True)
class Format:
    """One kind of result file: its name, what its files' names end in, its writer."""

    name: str
    ending: str
    write: Writer


def _geojson(path: Path, result: SegmentResult, about: dict[str, Any]) -> None:
    write_geojson(path, result.nuclei, offset=result.offset, mpp=result.mpp, metadata=about)


def _hovernet_json(path: Path, result: SegmentResult, about: dict[str, Any]) -> None:
    write_hovernet_json(path, result.nuclei, offset=result.offset, mpp=result.mpp, metadata=about)


def _mat(path: Path, result: SegmentResult, about: dict[str, Any]) -> None:
    write_hovernet_mat(path, result.labels, result.nuclei)


def _tiff(path: Path, result: SegmentResult, about: dict[str, Any]) -> None:
    write_label_tiff(path, result.labels, mpp=result.mpp, metadata=about)


def _csv(path: Path, result: SegmentResult, about: dict[str, Any]) -> None:
    write_table(path, result.nuclei, offset=result.offset, mpp=result.mpp)


FORMATS = {
    found.name: found
    for found in (
        Format("geojson", ".geojson", _geojson),
        Format("hovernet-json", ".json", _hovernet_json),
        Format("mat", ".mat", _mat),
        Format("tiff", "_labels.tif", _tiff),
        Format("csv", ".csv", _csv),
    )
}
"""Formats by name, in the order they are listed."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a list of format names, separated by commas; each once, in the usual order.

    Raises
    ------
    InputError
        If a name is not known or there is none.

    Examples
    --------
    >>> parse_formats("csv, geojson")
    ('geojson', 'csv')
    """
    names = [name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise InputError(
            f"Unknown format {', '.join(unknown) or repr(text)}; choose from {', '.join(FORMATS)}."
        )
    return tuple(name for name in FORMATS if name in names)


def output_paths(stem: str | os.PathLike[str], formats: Iterable[str]) -> dict[str, Path]:
    """Name the file of each format: ``stem`` with the format's ending added.

    Examples
    --------
    >>> output_paths("out/slide.2", ["tiff"])["tiff"].name
    'slide.2_labels.tif'
    """
    base = Path(stem)
    return {name: base.with_name(base.name + FORMATS[name].ending) for name in formats}


def write_result(
    result: SegmentResult,
    stem: str | os.PathLike[str],
    formats: Sequence[str] = tuple(FORMATS),
    *,
    image_name: str = "",
) -> dict[str, Path]:
    """Write a result in several formats; folders are made, files of that name replaced.

    All files are written to a hidden folder beside and then put in place, so an error or
    a cancel leaves none of them.

    Parameters
    ----------
    result : SegmentResult
        What to write. GeoJSON, hover_net JSON and CSV are in coordinates of the whole
        image; MAT and TIFF hold the region that was segmented.
    stem : path
        Folder and name without ending.
    formats : sequence of str
        Names out of ``FORMATS``.
    image_name : str
        Name of the image, for the files' metadata.

    Returns
    -------
    dict of str to Path
        Where each format lies.

    Raises
    ------
    OutputError
        If a file cannot be written.

    Examples
    --------
    >>> write_result(result, "out/slide", ["geojson", "csv"])  # doctest: +SKIP
    """
    targets = output_paths(stem, formats)
    folder = writable_folder(Path(stem).parent)
    about = {
        "image": image_name,
        "id": f"{image_name}/{result.info.sha256}",
        **run_metadata(result),
    }
    staging = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}.tmp"
    try:
        staging.mkdir()
        for name, target in targets.items():
            _write_one(FORMATS[name], staging / target.name, target, result, about)
        for target in targets.values():
            os.replace(staging / target.name, target)
    except OSError as error:
        raise output_error(stem, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return targets


def _write_one(
    kind: Format, staged: Path, target: Path, result: SegmentResult, about: dict[str, Any]
) -> None:
    """Write one file; an error names where it should have gone."""
    try:
        kind.write(staged, result, about)
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            raise output_error(target, error.__cause__) from error
        raise
