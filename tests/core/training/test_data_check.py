"""What a look at training data finds, and what it refuses."""

from functools import partial
from zlib import crc32

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.samples import LoadedData, Sample, SampleArrays
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import DataParams
from napari_hovernet.core.training.check import DataReport, Finding, check_data
from napari_hovernet.errors import InputError

from ..data.drawn import nuclei


def sample(name: str, labels: np.ndarray | None = None, **more: object) -> Sample:
    labels = nuclei(len(name)) if labels is None else labels
    seed = crc32(name.encode())
    image = np.random.default_rng(seed).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)
    return Sample(name, **{"image": image, "labels": labels.astype(np.int32), **more})


def data(*train: Sample, val: Sample | None = None, **more: object) -> LoadedData:
    return LoadedData(train, (sample("held") if val is None else val,), **more)


def found(report: DataReport, name: str) -> Finding:
    return next(f for f in report.findings if f.name == name)


def grid(n: int, step: int = 8) -> np.ndarray:
    """n x n square nuclei that do not touch."""
    labels = np.zeros((n * step, n * step), np.int32)
    for i in range(n * n):
        r, c = divmod(i, n)
        labels[r * step + 1 : r * step + step - 2, c * step + 1 : c * step + step - 2] = i + 1
    return labels


def torn() -> SampleArrays:
    raise InputError("pixels hold NaN")


def test_good_data_are_in_order_and_real_ones_have_the_figures_they_are_known_for(shared) -> None:
    report = check_data(data(sample("a"), sample("bb")))
    assert not report.refused
    assert report.worst == "ok", report.findings
    assert (report.train_images, report.val_images) == (2, 1) and 0 < report.touching < 1
    assert 0.5 < report.magnitude < 0.8 and report.summary.endswith("nuclei: in order")
    assert report.findings[0].name == "files"
    report = check_data(load_samples(DataParams(sources=(str(shared / "data"),))))
    assert not report.refused and report.nuclei == 14_866 + 1_484
    assert 0.34 <= report.touching <= 0.44 and 0.67 <= report.magnitude <= 0.69
    assert found(report, "coverage").verdict == "warn"
    assert "1 images (dsb18_13f2bec0a2)" in found(report, "coverage").words
    assert found(report, "leak").verdict == "ok"


EMPTY = np.zeros((30, 30), np.int32)
FULL = np.ones((30, 30), np.int32)
MASK = (grid(6) > 0).astype(np.int32)
HALF = nuclei()


def _stored(name: str, factor: float) -> Sample:
    labels = nuclei()
    features = np.full((261, 2), sum(map(ord, name)), np.float16)
    hv = hv_targets(labels) * np.float32(factor)
    return Sample(name, features=features, np_target=labels > 0, hv_target=hv)


A, B, SAME = sample("a"), sample("bb"), sample("x", image=sample("a").image, labels=nuclei(1))
ONE_COLOUR = sample("b", image=np.full((*HALF.shape, 3), 9, np.uint8), labels=HALF)
BY_LENGTH = {n: [_stored(name, n) for name in "01v"] for n in (0.0, 0.5)}
CASES = {
    "nuclei: fault: no training image has a nucleus": data(sample("a", EMPTY), sample("b", EMPTY)),
    "nuclei: fault: no validation image has a nucleus": data(A, val=sample("v", EMPTY)),
    "nuclei: warn: 5 images without any": data(A, *(sample(f"e{i}", EMPTY) for i in range(5))),
    "coverage: fault: wrong channel": data(sample("a", FULL), val=sample("v", FULL)),
    "coverage: warn: above 50% in 1 images": data(sample("full", FULL), A, B),
    "instances: fault: masks or maps of types": data(sample("a", MASK), val=sample("v", MASK)),
    "instances: warn: 0.0% of 288 nuclei touch another": data(
        sample("a", grid(12)), val=sample("v", grid(12))
    ),
    "instances: warn: one id lies on many parts in 1 images (a)": data(sample("a", MASK), B, A),
    "validation: fault: no validation image": LoadedData((A,), ()),
    "leak: fault: also trained on (a = x)": data(A, val=SAME),
    "leak: fault: same source image": data(sample("a", group="s1"), val=sample("v", group="s1")),
    "files: fault: c: sizes": data(A, problems=("c: sizes",), faults=("c: sizes",)),
    "files: warn: 1 of 14 left out: x is torn": data(
        *(sample("a" * (i + 1)) for i in range(12)), problems=("x is torn",)
    ),
    "files: fault: 2 of 4 cannot be used": data(A, problems=("x is torn", "y is torn")),
    "files: fault: bad: pixels hold NaN": data(A, Sample("bad", reader=torn)),
    "images: warn: 1 images are of one colour (b)": data(A, ONE_COLOUR),
    "magnification: warn: 0.25 to 0.5": data(sample("a", mpp=0.25), sample("b", mpp=0.5)),
    "HV: fault: nothing to learn": data(*BY_LENGTH[0.0][:2], val=BY_LENGTH[0.0][2]),
    "HV: warn: as stored; usual 0.67 to 0.69": data(*BY_LENGTH[0.5][:2], val=BY_LENGTH[0.5][2]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_odd_is_told(case: str) -> None:
    name, verdict, words = case.split(": ", 2)
    report = check_data(CASES[case])
    finding = found(report, name)
    assert finding.verdict == verdict, finding
    assert words in finding.words
    assert report.refused is (verdict == "fault") or report.refused


@pytest.mark.parametrize(
    ("types", "verdict", "words"),
    [
        ((None, None), "ok", "no types"),
        ((3, 3), "ok", "types 1 to 3"),
        ((3, None), "ok", "types 1 to 3; 1 images have none (v)"),
        ((3, 0), "warn", "50% of nucleus pixels have none and teach none"),
    ],
)
def test_types(types: tuple[int | None, int | None], verdict: str, words: str) -> None:
    labels = nuclei()
    typed = [{} if t is None else {"types": np.where(labels > 0, t, 0)} for t in types]
    train, val = (sample(n, labels, **more) for n, more in zip("av", typed, strict=True))
    report = check_data(data(train, val=val))
    assert found(report, "types").verdict == verdict and words in found(report, "types").words


def test_of_many_samples_some_are_looked_at_and_all_groups() -> None:
    read: list[str] = []

    def reader(name: str) -> SampleArrays:
        read.append(name)
        return sample(name).arrays

    train = [Sample(f"t{i}", f"g{i}", reader=partial(reader, f"t{i}")) for i in range(40)]
    val = [Sample(f"v{i}", f"w{i}", reader=partial(reader, f"v{i}")) for i in range(40)]
    val[-1] = Sample("last", "g39", reader=partial(reader, "last"))
    report = check_data(LoadedData(tuple(train), tuple(val)), samples=5)
    assert len(read) == 10, "each is read once"
    assert "10 of them were looked at" in found(report, "files").words
    assert "(g39)" in found(report, "leak").words
