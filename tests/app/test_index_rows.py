from __future__ import annotations

import pytest

from napari_hovernet.app.corrections import COLUMNS, index_text, read_rows
from napari_hovernet.errors import InputError


def test_what_others_wrote_stays_in_its_place(tmp_path):
    path = tmp_path / "index.csv"
    path.write_text(
        '\ufeffname;organ;path;label\na;liver;a.png;a.tif\n"b;2";lung;b.png;b.tif\n', "utf-8"
    )
    columns, rows, delimiter = read_rows(path)
    assert columns == ("name", "organ", "path", "label") and delimiter == ";"
    text = index_text(columns, rows, {"name": "a", "path": "new.png", "split": "val"}, delimiter)
    assert text.splitlines() == [
        "name;organ;path;label;split",
        "a;liver;new.png;a.tif;val",
        '"b;2";lung;b.png;b.tif;',
    ]


@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_new_or_empty_index_has_our_columns(tmp_path, text):
    path = tmp_path / "index.csv"
    if text is not None:
        path.write_text(text)
    assert read_rows(path) == (COLUMNS, [], ",")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"path,label\na,b\n", "'name'"),
        (b"name,path,label\na,b\n", "line 2"),
        (b"name,path,label\na,b,c\na,b,c,d\n", "line 3"),
        (b"\xff\xfe\x00name", "cannot be read"),
        (b'name,path,label\n"a,b,c\n', "CSV"),
    ],
)
def test_a_damaged_index_is_not_made_worse(tmp_path, content, words):
    path = tmp_path / "index.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="repair") as error:
        read_rows(path)
    assert words in str(error.value) and "index.csv" in str(error.value)
