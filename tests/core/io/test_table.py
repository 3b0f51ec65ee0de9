"""Features as CSV."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.io.tables import COLUMNS, read_table, write_table
from napari_hovernet.core.types import Nuclei, TypeInfo
from napari_hovernet.errors import InputError


def test_round_trip(tmp_path: Path, nuclei: Nuclei) -> None:
    write_table(tmp_path / "n.csv", nuclei, mpp=0.25)
    back = read_table(tmp_path / "n.csv")
    assert tuple(back) == COLUMNS
    assert np.array_equal(back["label"], nuclei.label)
    assert np.allclose(back["area_um2"], nuclei.area * 0.0625)
    assert np.allclose(back["centroid_x_um"], nuclei.centroid[:, 0] * 0.25)
    assert np.allclose(back["magnitude_p95"], nuclei.magnitude_p95)
    assert back["type_name"] == ("", "neoplastic", "inflammatory") * 2
    assert back["type_probability"][1] == 0.75


def test_offset_moves_positions(tmp_path: Path, nuclei: Nuclei) -> None:
    write_table(tmp_path / "n.csv", nuclei, offset=(1000, 20_000))
    back = read_table(tmp_path / "n.csv")
    assert np.allclose(back["centroid_x_px"], nuclei.centroid[:, 0] + 20_000, atol=1e-3)
    assert np.array_equal(back["bbox_row1"], nuclei.bbox[:, 2] + 1000)


def test_unknown_numbers_are_empty(tmp_path: Path, untyped: Nuclei) -> None:
    write_table(tmp_path / "n.csv", untyped)
    back = read_table(tmp_path / "n.csv")
    for name in ("area_um2", "centroid_y_um", "type", "type_probability", "magnitude_p95"):
        assert np.isnan(back[name]).all(), name
    assert np.isfinite(back["magnitude_mean"]).all()


def test_no_nuclei_leave_the_header(tmp_path: Path, none: Nuclei) -> None:
    write_table(tmp_path / "n.csv", none)
    assert (tmp_path / "n.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_a_name_that_a_spreadsheet_would_run_is_quoted(tmp_path: Path, nuclei: Nuclei) -> None:
    hostile = replace(nuclei, type_names={1: TypeInfo('=HYPERLINK("x")', (0, 0, 0))})
    write_table(tmp_path / "n.csv", hostile)
    assert read_table(tmp_path / "n.csv")["type_name"][1].startswith("'=")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column 'label'"),
        (b"a,b\n1,2\n", "no column 'label'"),
        (b"label,area_px\n1\n", "line 2: 1 fields for 2 columns"),
        (b"label,area_px\n1,x\n", "column area_px"),
        (b"label\n\xff\xfe\n", "no CSV table"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "given.csv").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_table(tmp_path / "given.csv")
    assert "given.csv" in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_table(tmp_path / "none.csv")
