"""Write a result in every format, all files or none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..core.io import FORMATS, USUAL
from ..core.io.files import staged
from .segment import SegmentResult, run_metadata


def output_paths(stem: str | os.PathLike[str], formats: Iterable[str]) -> dict[str, Path]:
    """Name the file of each format: ``stem`` with the format's ending added."""
    base = Path(stem)
    return {name: base.with_name(base.name + FORMATS[name].ending) for name in formats}


def about(result: SegmentResult, image_name: str) -> dict[str, Any]:
    """Return what a file says of the run it came from."""
    return {
        "image": image_name,
        "id": f"{image_name}/{result.info.sha256}",
        **run_metadata(result),
    }


def write_result(
    result: SegmentResult,
    stem: str | os.PathLike[str],
    formats: Sequence[str] = USUAL,
    *,
    image_name: str = "",
) -> dict[str, Path]:
    """Write a result in several formats, all files or none.

    Folders are made, files of that name replaced.
    """
    targets = output_paths(stem, formats)
    told = about(result, image_name)
    with staged(Path(stem).parent, [target.name for target in targets.values()]) as staging:
        for name, target in targets.items():
            FORMATS[name].write(staging / target.name, result, told)
    return targets
