"""Division by source image, and leaks."""

import cv2
import numpy as np
import pytest

from napari_hovernet.core.data.samples import Sample, find_leaks, print_of, split_samples
from napari_hovernet.errors import InputError

from ...refusals import refuses


def sample(name: str, group: str = "", split: str = "", edge: int = 32, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 255, (9, 9, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (edge, edge), interpolation=cv2.INTER_CUBIC)
    return Sample(name, group, split, image=image, labels=np.eye(edge, dtype=np.int32))


def test_no_source_image_is_on_both_sides_whatever_the_order() -> None:
    samples = [sample(f"{i}", group=f"slide{i // 4}") for i in range(40)]
    for seed in range(5):
        made = split_samples(samples, 0.2, seed)
        assert len(made.train) + len(made.val) == 40
        assert len(made.val) == 8, "2 of 10 slides"
        assert not {s.group for s in made.train} & {s.group for s in made.val}
        assert "by source image" in made.split_words
    samples = [sample(f"{i}") for i in range(20)]
    first, again = split_samples(samples, 0.3, 1), split_samples(samples[::-1], 0.3, 1)
    assert {s.name for s in first.val} == {s.name for s in again.val}
    assert {s.name for s in first.val} != {s.name for s in split_samples(samples, 0.3, 2).val}


def test_a_division_of_the_data_is_kept() -> None:
    samples = [sample("a", split="train"), sample("b", split="val"), sample("c")]
    made = split_samples(samples)
    assert ([s.name for s in made.train], [s.name for s in made.val]) == (["a", "c"], ["b"])
    assert made.split_words == "as the data say: 2 to train, 1 to validate"
    only = split_samples([sample("a", split="val"), sample("b", split="val")])
    assert (len(only.train), len(only.val)) == (1, 1) and "divided anew" in only.notes[0]


def test_a_single_image_is_cut_in_two_and_told_so() -> None:
    image = np.arange(400 * 100, dtype=np.uint32).view(np.uint8).reshape(400, 100, 4)[..., :3]
    labels = np.arange(40000, dtype=np.int32).reshape(400, 100)
    made = split_samples([Sample("only", image=image, labels=labels)], 0.25)
    (train,), (val,) = made.train, made.val
    assert (train.shape, val.shape) == ((300, 100), (100, 100))
    assert (np.concatenate((train.arrays.labels, val.arrays.labels)) == labels).all()
    assert (val.arrays.image == image[300:]).all() and "scores come out too good" in made.notes[0]
    wide = split_samples([Sample("w", image=image.transpose(1, 0, 2), labels=labels.T)], 0.25)
    assert wide.val[0].shape == (100, 100)


def test_where_nothing_can_validate_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"only one image .*too small to be cut in two"):
        split_samples([sample("a", edge=100)])
    with pytest.raises(InputError, match="All 3 samples come from one source image"):
        split_samples([sample(str(i), group="s", edge=500) for i in range(3)])
    tokens = Sample("t", features=np.zeros((261, 4)), labels=np.zeros((500, 500), np.int32))
    refuses("only one image", split_samples, [tokens])
    refuses("no sample", split_samples, [])
    refuses("val_fraction is 1", lambda: split_samples([sample("a"), sample("b")], 1))


def test_the_same_pixels_or_slide_and_an_image_saved_again_are_leaks_blanks_not() -> None:
    train = [print_of(sample("a", "g1", seed=1)), print_of(sample("b", "g2", seed=2))]
    val = [print_of(sample("c", "g3", seed=1)), print_of(sample("d", "g2", seed=4))]
    leaks = find_leaks(train, val)
    assert (leaks.same, leaks.groups, leaks.near) == ((("a", "c"),), ("g2",), ())
    blank = [Sample(str(v), image=np.full((40, 40, 3), v, np.uint8), labels=np.eye(40, dtype=int))
             for v in (240, 241)]  # fmt: skip
    assert find_leaks([print_of(blank[0])], [print_of(blank[1])]).near == ()
    first = sample("a", edge=256, seed=1)
    _, code = cv2.imencode(".jpg", first.arrays.image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    worse = cv2.imdecode(code, cv2.IMREAD_COLOR)
    brighter = np.clip(first.arrays.image * 1.1 + 5, 0, 255).astype(np.uint8)
    shifted = np.ascontiguousarray(first.arrays.image[3:, 2:])
    copies = {"jpeg": worse, "brighter": brighter, "shifted": shifted}
    val = [
        print_of(Sample(name, image=image, labels=np.zeros(image.shape[:2], np.int32)))
        for name, image in copies.items()
    ]
    others = [print_of(sample(f"o{i}", edge=256, seed=i)) for i in range(2, 60)]
    leaks = find_leaks([print_of(first), *others], val)
    assert (leaks.near, leaks.same) == ((("a", "jpeg"), ("a", "brighter"), ("a", "shifted")), ())
