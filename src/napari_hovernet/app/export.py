"""Write a result in every format, all files or none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.io.files import staged
from ..core.io.geojson import write_geojson
from ..core.io.hover_net import write_hovernet_json, write_hovernet_mat
from ..core.io.labels import write_label_tiff
from ..core.io.tables import write_table
from ..errors import InputError
from .segment import SegmentResult, run_metadata

Writer = Callable[[Path, SegmentResult, dict[str, Any]], None]


@dataclass(frozen=True)
class Format:
    """One kind of result file: what its files' names end in, its writer."""

    ending: str
    write: Writer


def _placed(write: Callable[..., None]) -> Writer:
    """Write nuclei with where they lie in the image, and how they were made."""
    return lambda path, result, about: write(
        path, result.nuclei, offset=result.offset, mpp=result.mpp, metadata=about
    )


FORMATS = {
    "geojson": Format(".geojson", _placed(write_geojson)),
    "hovernet-json": Format(".json", _placed(write_hovernet_json)),
    "mat": Format(".mat", lambda path, r, _: write_hovernet_mat(path, r.labels, r.nuclei)),
    "tiff": Format(
        "_labels.tif",
        lambda path, r, about: write_label_tiff(path, r.labels, mpp=r.mpp, metadata=about)),
    "csv": Format(
        ".csv", lambda path, r, _: write_table(path, r.nuclei, offset=r.offset, mpp=r.mpp)),
}  # fmt: skip
"""Formats by name, in the order they are listed."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a list of format names, separated by commas; each once, in the usual order."""
    names = [name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise InputError(
            f"Unknown format {', '.join(unknown) or repr(text)}; choose from {', '.join(FORMATS)}."
        )
    return tuple(name for name in FORMATS if name in names)


def output_paths(stem: str | os.PathLike[str], formats: Iterable[str]) -> dict[str, Path]:
    """Name the file of each format: ``stem`` with the format's ending added."""
    base = Path(stem)
    return {name: base.with_name(base.name + FORMATS[name].ending) for name in formats}


def write_result(
    result: SegmentResult,
    stem: str | os.PathLike[str],
    formats: Sequence[str] = tuple(FORMATS),
    *,
    image_name: str = "",
) -> dict[str, Path]:
    """Write a result in several formats, all files or none.

    Folders are made, files of that name replaced.
    """
    targets = output_paths(stem, formats)
    about = {
        "image": image_name,
        "id": f"{image_name}/{result.info.sha256}",
        **run_metadata(result),
    }
    with staged(Path(stem).parent, [target.name for target in targets.values()]) as staging:
        for name, target in targets.items():
            FORMATS[name].write(staging / target.name, result, about)
    return targets
