"""Indexes as people write them, and those that are refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from napari_hovernet.core.data.pairs import DataChoice, Pair, read_index
from napari_hovernet.errors import InputError

EVERYTHING = DataChoice()


def index(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "im").mkdir(exist_ok=True)
    (folder / "im2").mkdir(exist_ok=True)
    for name in ("im/a.png", "im/b.png", "im2/a.png", "im/a_lab.png"):
        (folder / name).touch()
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_every_column(tmp_path: Path) -> None:
    text = (
        "name,source,split,path,label,approx_mpp,note\n"
        'one,lab A,val,im/a.png,im/a_lab.png,~0.5 (looks 20x),"a, b"\n'
        "two,lab B,train,im/b.png,,,\n"
        "\n"
    )
    one, two = read_index(index(tmp_path, text), EVERYTHING)
    folder = tmp_path
    assert one == Pair("one", folder / "im/a.png", folder / "im/a_lab.png", "lab A", 0.5, "val")
    assert two == Pair("two", folder / "im/b.png", None, "lab B", None, "train")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image,labels,mpp\nim/a.png,im/a_lab.png,0.25\n", "utf-8"),
        ("Image;Labels;MPP\r\nim\\a.png;im\\a_lab.png;0.25\r\n", "utf-8-sig"),
        ("image\tlabel\tmpp\nim/a.png\tim/a_lab.png\t.25", "utf-8"),
        ("image;label;mpp\nim/a.png;im/a_lab.png;0,25\n", "cp1252"),
        ("image\tlabel\tmpp\r\nim/a.png\tim/a_lab.png\t0,25\r\n", "utf-16"),
        ("image;label;mpp;note\nim/a.png;im/a_lab.png;0,25;Größe 3 µm\n", "latin-1"),
    ],
)
def test_plain_columns_as_programs_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    (pair,) = read_index(index(tmp_path, text, encoding), EVERYTHING)
    assert pair == Pair("a", tmp_path / "im/a.png", tmp_path / "im/a_lab.png", mpp=0.25)


def test_images_of_one_name_get_their_folders(tmp_path: Path) -> None:
    text = "image,label\nim/a.png,im/a_lab.png\nim2/a.png,im/a_lab.png\nim/b.png,x.png\n"
    pairs = read_index(index(tmp_path, text), EVERYTHING)
    assert [pair.name for pair in pairs] == ["im/a", "im2/a", "b"]


def test_split_source_and_pattern(tmp_path: Path) -> None:
    text = "image,label,source,split\nim/a.png,l,A,val\nim/b.png,l,B,val\nim2/a.png,l,A,train\n"
    path = index(tmp_path, text)

    def names(**given: str) -> list[str]:
        return [pair.name for pair in read_index(path, DataChoice(**given))]

    assert names(split="val") == ["im/a", "b"]
    assert names(split="val", source="A") == ["im/a"]
    assert names(pattern="b*") == ["b"]
    with pytest.raises(InputError, match="no image of split 'test', only of train, val"):
        names(split="test")
    with pytest.raises(InputError, match="no image of source 'C', only of A, B"):
        names(split="val", source="C")
    with pytest.raises(InputError, match="no image like 'z"):
        names(pattern="z*")


def test_labels_of_another_folder(tmp_path: Path) -> None:
    path = index(tmp_path, "path\nim/a.png\nim/b.png\n")
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "a.npy").touch()
    a, b = read_index(path, DataChoice(labels=tmp_path / "gt"))
    assert a.labels == tmp_path / "gt" / "a.npy"
    assert b.labels is None


def test_a_missing_image_is_left_for_its_row_unless_all_are(tmp_path: Path) -> None:
    pairs = read_index(index(tmp_path, "image,label\nim/a.png,l\nim/zz.png,l\n"), EVERYTHING)
    assert len(pairs) == 2
    path = index(tmp_path, "image,label\n" + "".join(f"no/{i}.png,l\n" for i in range(5)))
    with pytest.raises(InputError, match=r"None of the images .*no/0\.png.* and 2 more.*relative"):
        read_index(path, EVERYTHING)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no image"),
        ("image,label\n", "names no image"),
        ("file,label\na.png,b.png\n", "no column path or image .* its columns are file, label"),
        ("image,type\na.png,3\n", "no column label or labels with the label files"),
        ("image,label\na.png\n", "line 2: 1 fields for 2 columns"),
        ("image,label\n,b.png\n", "line 2: the image is not named"),
        ("image,label,mpp\na.png,b.png,20x\n", "line 2: mpp is '20x'"),
        ("image,label,mpp\na.png,b.png,-1\n", "mpp is '-1'"),
        ("image,label,mpp\na.png,b.png,0\n", "mpp is '0'"),
        ("image,image,label\na.png,a.png,b.png\n", "column 'image' twice"),
        ("image,label\nim/a.png,x\nim/b.png,y\nim/a.png,z\n", "names 'im/a' in lines 2, 4"),
        ("name,image,label\nn,im/a.png,x\nn,im/b.png,y\n", "names 'n' in lines 2, 3"),
    ],
)
def test_what_is_refused_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = index(tmp_path, text)
    with pytest.raises(InputError, match=said) as refused:
        read_index(path, EVERYTHING)
    assert "list.csv" in str(refused.value)


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    path = index(tmp_path, "")
    path.write_bytes(b"image\0,label\n")
    with pytest.raises(InputError, match="no text table"):
        read_index(path, EVERYTHING)
    with pytest.raises(InputError, match="is not there"):
        read_index(tmp_path / "none.csv", EVERYTHING)


def test_the_split_needs_its_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column split, so 'val' is not in it"):
        read_index(index(tmp_path, "image,label\nim/a.png,l\n"), DataChoice(split="val"))


def test_the_time_of_an_index_grows_with_its_lines_alone(tmp_path: Path) -> None:
    spent = []
    for n in (5_000, 20_000):
        lines = "".join(f"im/{k}.png,im/{k}_lab.png\n" for k in range(n))
        path = index(tmp_path, "image,label\nim/a.png,im/a_lab.png\n" + lines)
        began = time.process_time()
        assert len(read_index(path, EVERYTHING)) == n + 1
        spent.append(time.process_time() - began)
    assert spent[1] < 10 * spent[0]  # 4 by lines, 16 by their square
