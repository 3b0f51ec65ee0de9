"""Lines of a data set's index, to be added to: other people's columns and order stay."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.io.index_csv import DELIMITERS
from ..errors import InputError

COLUMNS = (
    "name", "source", "split", "path", "label", "approx_mpp", "licence", "n_nuclei", "corrected",
)  # fmt: skip
"""Columns of an index that is begun here."""

Rows = list[dict[str, str]]


def read_rows(path: Path) -> tuple[tuple[str, ...], Rows, str]:
    """Read an index as its columns, its lines and what divides them; a new one is empty.

    Raises
    ------
    InputError
        If it cannot be read, or lacks the columns ``name``, ``path`` and ``label``.

    Examples
    --------
    >>> read_rows(Path("no such index.csv"))[1:]
    ([], ',')
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return COLUMNS, [], ","
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): repair it, or take a new folder.") \
            from error  # fmt: skip
    if not text.strip():
        return COLUMNS, [], ","
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{path} is no CSV table ({error}): repair it first.") from error
    columns = tuple(reader.fieldnames or ())
    missing = [name for name in ("name", "path", "label") if name not in columns]
    uneven = next((i for i, row in enumerate(rows, 2) if None in row or None in row.values()), 0)
    if missing or uneven:
        why = f"lacks the column {missing[0]!r}" if missing else f"is uneven in line {uneven}"
        raise InputError(
            f"{path} {why}, so nothing can be added to it: repair it, or take a new folder."
        )
    return columns, rows, delimiter


def index_text(
    columns: Sequence[str], rows: Rows, row: Mapping[str, str], delimiter: str = ","
) -> str:
    r"""Return the index with one line replaced (by its name) or added, as text of a CSV file.

    Examples
    --------
    >>> index_text(("name", "note"), [{"name": "a", "note": "x"}], {"name": "b", "path": "b.png"})
    'name,note,path\na,x,\nb,,b.png\n'
    """
    names = (*columns, *(name for name in row if name not in columns))
    lines: list[Mapping[str, str]] = [
        {**old, **row} if old["name"] == row["name"] else old for old in rows
    ]
    if all(old["name"] != row["name"] for old in rows):
        lines.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
