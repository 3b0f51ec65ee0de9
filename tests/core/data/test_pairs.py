"""Images with label files."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import io as scipy_io

from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.core.data import load
from napari_hovernet.core.data.load import gather, load_samples
from napari_hovernet.core.data.pairs import DataChoice, Pair, read_index
from napari_hovernet.core.params import DataParams
from napari_hovernet.errors import InputError

from ...refusals import refuses


def pair(folder: Path, name: str, edge: int = 40, labels: np.ndarray | None = None) -> None:
    """Write an image and its labels beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(name))
    cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 255, (edge, edge, 3)).astype(np.uint8))
    if labels is None:
        labels = np.kron(np.arange(16).reshape(4, 4), np.ones((edge // 4, edge // 4)))
    cv2.imwrite(str(folder / f"{name}_lab.png"), labels.astype(np.uint16))


def test_a_folder_of_images_and_labels_that_fits_the_memory(tmp_path, monkeypatch) -> None:
    for name in ("a", "b"):
        pair(tmp_path, name)
    cv2.imwrite(str(tmp_path / "alone.png"), np.zeros((9, 9, 3), np.uint8))
    found = gather([tmp_path])
    assert [s.name for s in found.samples] == ["a", "b"]
    sample = found.samples[0]
    assert (sample.arrays.image.dtype, sample.arrays.labels.dtype) == (np.uint8, np.int32)
    assert sample.arrays.labels.max() == 15
    stored = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert (sample.arrays.image == stored).all(), "RGB"
    assert "1 images without labels are left out (alone)" in found.notes
    pair(tmp_path, "a")
    monkeypatch.setattr(load, "free_memory", lambda: 1000)
    refuses(r"up to a take .* GB of memory; cut large ones", gather, [tmp_path])


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    pair(tmp_path, "A")
    if len(list(tmp_path.iterdir())) < 4:
        pytest.skip("this file system does not tell upper case from lower case")
    refuses(r"A\.png and a\.png, which differ|A_lab.png and a_lab", gather, [tmp_path])


def test_folders_train_and_valid_are_a_split_and_test_is_kept_out(tmp_path: Path) -> None:
    for split, names in (("train", "ab"), ("valid", "c"), ("test", "de")):
        for name in names:
            pair(tmp_path / split, name)
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert ([s.name for s in data.train], [s.name for s in data.val]) == (["a", "b"], ["c"])
    assert "2 images of the test split are kept out of training" in data.notes


def test_an_index_names_split_mpp_and_source_image(tmp_path: Path) -> None:
    for name in "abcd":
        pair(tmp_path, name)
    rows = (("a", "train", "S1"), ("b", "val", "S2"), ("c", "", "S1"), ("d", "test", "S3"))
    lines = [f"{n},{n}.png,{n}_lab.png,{split},{slide},0.5" for n, split, slide in rows]
    text = "\n".join(["name,path,label,split,slide,mpp", *lines])
    (tmp_path / "index.csv").write_text(text + "\n")
    data = load_samples(DataParams(sources=(str(tmp_path / "index.csv"),)))
    assert [(s.name, s.group) for s in data.train] == [("a", "S1"), ("c", "S1")]
    assert [(s.name, s.group, s.mpp) for s in data.val] == [("b", "S2", 0.5)]


def test_an_index_of_this_program_groups_by_its_source(tmp_path: Path) -> None:
    """Regions saved from one slide must not be divided."""
    labels = np.kron(np.arange(16).reshape(4, 4), np.ones((10, 10), int))
    for i in range(6):
        image = np.full((40, 40, 3), 100 + i, np.uint8)
        about = PairAbout(source=f"slide{i // 3}")
        save_training_pair(tmp_path, f"region{i}", image, labels, about)
    data = load_samples(DataParams(sources=(str(tmp_path),)))
    assert {s.group for s in data.all} == {"slide0", "slide1"}
    assert (len(data.val), len({s.group for s in data.val})) == (3, 1)


def test_a_mat_file_brings_types(tmp_path: Path) -> None:
    """As CoNSeP is laid out."""
    (tmp_path / "Images").mkdir()
    (tmp_path / "Labels").mkdir()
    labels = np.array([[0, 5, 5], [9, 9, 0]])
    cv2.imwrite(str(tmp_path / "Images" / "train_1.png"), np.zeros((2, 3, 3), np.uint8))
    content = {"inst_map": labels, "inst_type": np.array([[2], [4]])}
    scipy_io.savemat(tmp_path / "Labels" / "train_1.mat", content)
    (sample,) = gather([tmp_path]).samples
    assert sample.arrays.types.tolist() == [[0, 2, 2], [4, 4, 0]]


def test_labels_of_another_size_are_a_fault_and_damage_a_problem(tmp_path: Path) -> None:
    for name in "abc":
        pair(tmp_path, name)
    pair(tmp_path, "small", labels=np.ones((20, 40)))
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:300])
    (tmp_path / "torn_lab.png").write_bytes((tmp_path / "a_lab.png").read_bytes())
    found = gather([tmp_path])
    assert ([s.name for s in found.samples], len(found.problems)) == (["a", "b", "c"], 2)
    (fault,) = found.faults
    assert "small: the image is 40 x 40 pixels, its labels 20 x 40" in fault
    assert any("torn" in text for text in found.problems)


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
        ("image;label;mpp\nim/a.png;im/a_lab.png;0,25\n", "cp1252"),
        ("image\tlabel\tmpp\r\nim/a.png\tim/a_lab.png\t0,25\r\n", "utf-16"),
        ("image;label;mpp;note\nim/a.png;im/a_lab.png;0,25;Größe 3 µm\n", "latin-1"),
        ('"image" ; "label" ; "mpp"\n"im/a.png" ; "im/a_lab.png" ; "0,25"\n', "utf-8"),
        ("sep=;\r\nimage;label;mpp\r\nim/a.png;im/a_lab.png;2.5e-1\r\n", "utf-8"),
        ("image,label,mpp\rim/a.png,im/a_lab.png,.25\r", "utf-8"),
        ("image\tlabel\tmpp\nim/a.png\tim/a_lab.png\t0.25µm/px\n", "utf-8"),
        ("image|label|mpp\nim/a.png|im/a_lab.png|250 nm\n", "utf-8"),
    ],
)
def test_plain_columns_as_programs_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    (pair,) = read_index(index(tmp_path, text, encoding), EVERYTHING)
    assert pair == Pair("a", tmp_path / "im/a.png", tmp_path / "im/a_lab.png", mpp=0.25)


def test_split_source_pattern_and_folders_of_one_name(tmp_path) -> None:
    text = "image,label,source,split\nim/a.png,l,A,val\nim/b.png,l,B,val\nim2/a.png,l,A,train\n"
    path = index(tmp_path, text)

    def names(**given: str) -> list[str]:
        return [pair.name for pair in read_index(path, DataChoice(**given))]

    assert (names(split="val"), names(split="val", source="A")) == (["im/a", "b"], ["im/a"])
    assert names(pattern="b*") == ["b"]
    refuses("no image of split 'test', only of train, val", names, split="test")
    refuses("no image of source 'C', only of A, B", names, split="val", source="C")
    refuses("no image like 'z", names, pattern="z*")
    text = "image,label\nim/a.png,im/a_lab.png\nim2/a.png,im/a_lab.png\nim/b.png,x.png\n"
    pairs = read_index(index(tmp_path, text), EVERYTHING)
    assert [pair.name for pair in pairs] == ["im/a", "im2/a", "b"]


def test_what_is_missing_or_no_text_is_named(tmp_path) -> None:
    pairs = read_index(index(tmp_path, "image,label\nim/a.png,l\nim/zz.png,l\n"), EVERYTHING)
    assert len(pairs) == 2
    path = index(tmp_path, "image,label\n" + "".join(f"no/{i}.png,l\n" for i in range(5)))
    refuses(r"None of the images .*no/0\.png.* and 2 more.*relative", read_index, path, EVERYTHING)
    with pytest.raises(InputError, match="no column split, so 'val' is not in it"):
        read_index(index(tmp_path, "image,label\nim/a.png,l\n"), DataChoice(split="val"))
    path = index(tmp_path, "")
    path.write_bytes(b"image\0,label\n")
    refuses("no text table", read_index, path, EVERYTHING)
    refuses("is not there", read_index, tmp_path / "none.csv", EVERYTHING)


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
        ("image,label,mpp\na.png,b.png,40\n", r"give micrometres per pixel, 0\.05 to 10"),
        ("image;label;mpp\na.png;b.png;1.234,5\n", r"give micrometres per pixel"),
        ("image;label;mpp\na.png;b.png;5 mm\n", r"give micrometres per pixel"),
        ("image,image,label\na.png,a.png,b.png\n", "column 'image' twice"),
        ("image,label\nim/a.png,x\nim/b.png,y\nim/a.png,z\n", "names 'im/a' in lines 2, 4"),
        ("name,image,label\nn,im/a.png,x\nn,im/b.png,y\n", "names 'n' in lines 2, 3"),
    ],
)
def test_what_is_refused_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = index(tmp_path, text)
    assert "list.csv" in refuses(said, read_index, path, EVERYTHING)
