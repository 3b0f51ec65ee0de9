"""Types of true and of predicted nuclei brought to one numbering, and areas that do not count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.data.pairs import labels_of, list_files
from ..core.io.open import read_labels
from ..core.measure.compare import Truth
from ..core.measure.typed import IGNORED, Tally, figures
from ..core.types import Bool, Int32, Int64, TypeInfo, TypeScheme, by_name, numbered
from ..errors import InputError

if TYPE_CHECKING:
    from ..core.io.labels import Instances
    from ..core.types import Nuclei


def majority(labels: Int32, kinds: npt.NDArray[Any]) -> dict[int, int]:
    """Return the most frequent type of each nucleus by its id; both (H, W), 0 = none."""
    ids, where = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(ids), int(kinds.max(initial=0)) + 1), int)
    np.add.at(votes, (where.reshape(labels.shape), kinds), 1)
    return dict(zip(ids.tolist(), votes.argmax(axis=1).tolist(), strict=True))


def types_by_id(nuclei: Nuclei) -> dict[int, int]:
    """Return the type of each nucleus by its id."""
    return dict(zip(nuclei.label.tolist(), nuclei.type.tolist(), strict=True))


def typed_truth(
    truth: Truth, read: Instances, known: Mapping[int, TypeInfo], scheme: TypeScheme | None = None
) -> Truth:
    """Give true nuclei their types, numbered as ``known``: by a scheme, else by name or number.

    Areas of a class "Ignore*" become the part of the image where nothing counts.
    """
    names = read.type_names
    ignored = [k for k, t in names.items() if t.name.casefold().startswith(IGNORED)]
    names = {k: t for k, t in names.items() if k not in ignored}
    unwanted = np.isin(read.type, ignored)
    if unwanted.any():
        area = np.isin(truth.labels, read.ids[unwanted])
        labels = np.where(area, 0, truth.labels).astype(np.int32)
        truth = ignoring(replace(truth, labels=labels, n=len(np.unique(labels[labels > 0]))), area)
    kinds = np.where(unwanted, 0, read.type)
    if not kinds.any():
        return truth
    table, wanted, note = _numbering(int(kinds.max()) + 1, names, known, scheme)
    types = dict(zip(read.ids.tolist(), table[kinds].tolist(), strict=True))
    notes = (*truth.notes, note) if note else truth.notes
    return replace(truth, types=types, type_names=wanted, notes=notes)


def _numbering(
    n: int, names: Mapping[int, TypeInfo], known: Mapping[int, TypeInfo], scheme: TypeScheme | None
) -> tuple[Int64, Mapping[int, TypeInfo], str]:
    """Return the new number of each true type, the names of the new ones, and what to say."""
    if scheme is not None:
        return scheme.table(n, names), _own(scheme.names), ""
    table = by_name(names, known, n) if known else None
    if table is None:
        note = "none of the truth's types is named like one of the prediction's: numbers count; "
        note += "give --true-types if they mean something else"
        plain = np.arange(n, dtype=np.int64)
        return plain, _own(known or names or numbered(n)), note if names else ""
    strange = [k for k in names if 0 < k < n and not table[k]]
    table[strange] = max(known) + 1 + np.arange(len(strange))  # numbers of their own: errors
    more = {int(table[k]): names[k] for k in strange}
    listed = ", ".join(info.name for info in more.values())
    note = f"true types that the prediction has not: {listed}" if strange else ""
    return table, _own(known) | more, note


def _own(names: Mapping[int, TypeInfo]) -> dict[int, TypeInfo]:
    return {k: info for k, info in names.items() if k}


def regrouped(
    types: Mapping[int, int], known: Mapping[int, TypeInfo], scheme: TypeScheme | None
) -> tuple[dict[int, int], Mapping[int, TypeInfo]]:
    """Take types by id together as a scheme says; return them and their names."""
    if scheme is None:
        return dict(types), known
    table = scheme.table(max(types.values(), default=0) + 1, known)
    return {i: int(table[kind]) for i, kind in types.items()}, scheme.names


def ignoring(truth: Truth, area: Bool) -> Truth:
    """Let nothing count in an area, beside where nothing counts already."""
    return replace(truth, ignore=area if truth.ignore is None else area | truth.ignore)


def ignored_area(folder: Path, image: Path, shape: tuple[int, int]) -> Bool | None:
    """Read where nothing counts in an image: a mask in ``folder`` named after it, if there is."""
    found = labels_of(image, list_files(folder), apart=True)
    if found is None:
        return None
    mask: Any = read_labels(found, shape).labels > 0
    if mask.shape != shape:
        rows, cols = mask.shape
        raise InputError(
            f"{found} is {rows} x {cols} pixels, the image {shape[0]} x {shape[1]}; give a mask "
            "of its size."
        )
    area: Bool = mask
    return area


def scores_of(tally: Tally) -> dict[str, float]:
    """Return what one image's tally says, under the names of the scores of an evaluation."""
    scores = figures(tally)
    found = {f"detection_{name}": scores[name] for name in ("f1", "precision", "recall")}
    return found | {k: scores[k] for k in ("type_accuracy", "mpq", "area_bias", "boundary_offset")}
