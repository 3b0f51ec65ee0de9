"""The bench reads, predicts and cuts each thing once, and nothing stops it."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_hovernet.core.diagnosis.bench import Bench, Variant, busiest
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.items import Item
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.core.types import Maps

TISSUE = tissue((128, 160), seed=2)
MAPS = planted_maps(TISSUE.labels)


class Counting:
    """A network that counts how often it is asked, and fails on dark images."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, image: Any) -> Any:
        self.calls.append(image)
        if not image.any():
            raise ValueError("all black")
        red = image[..., 0].astype(np.float32) / 255
        x = np.broadcast_to(np.linspace(-1, 1, image.shape[1], dtype=np.float32), red.shape)
        return red, np.stack([x, 0 * x])


def bench_of(n: int = 2, setup: Setup | None = None, **limits: int) -> tuple[Bench, Counting]:
    network = Counting()
    case = Case(
        ArrayItems(image=[TISSUE.image] * n, labels=[TISSUE.labels] * n),
        predictor=Predictor.of(network),
        setup=setup or Setup(),
    )
    return Bench(case, DiagnosisParams(**limits)), network


def test_nothing_is_predicted_twice() -> None:
    bench, network = bench_of()
    assert bench.maps(0) is bench.maps(0)
    assert bench.variant(0, Variant(bgr=True)) is bench.variant(0, Variant(bgr=True))
    assert len(network.calls) == 2


def test_only_so_many_are_looked_at_evenly() -> None:
    bench, _ = bench_of(10, n_items=5, n_maps=2, n_variants=1)
    assert bench.indices == (0, 2, 4, 6, 8)
    assert bench.map_indices == (0, 4)
    assert bench.variant_indices == (0,)


def test_variants_come_back_to_where_they_were() -> None:
    bench, network = bench_of()
    plain = bench.variant(0)
    assert plain is not None
    mirrored = bench.variant(0, Variant(flip=True))
    assert mirrored is not None
    assert np.array_equal(mirrored.np, plain.np)
    assert np.allclose(mirrored.hv, plain.hv)
    zoomed = bench.variant(0, Variant(zoom=0.5))
    assert zoomed is not None
    assert zoomed.shape == plain.shape
    assert network.calls[-1].shape[:2] == (64, 80)
    bench.variant(0, Variant(bgr=True))
    assert np.array_equal(network.calls[-1], TISSUE.image[..., ::-1])


def test_the_setup_reaches_network_and_maps() -> None:
    bench, network = bench_of(setup=Setup(np_channel=0, hv_order="vh", channel_order="bgr"))
    maps = bench.maps(0)
    assert maps is not None
    assert np.array_equal(network.calls[0], TISSUE.image[..., ::-1])
    assert np.allclose(maps.np, 1 - TISSUE.image[..., 2] / 255, atol=1e-6)
    assert not maps.hv[0].any()


def test_what_fails_is_kept_and_the_rest_goes_on() -> None:
    network = Counting()
    images = [np.zeros_like(TISSUE.image), TISSUE.image]
    bench = Bench(Case(ArrayItems(image=images), predictor=Predictor.of(network)))
    assert bench.maps(0) is None
    assert bench.instances(0) is None
    assert "all black" in bench.failures[0]
    assert [item.index for item, _ in bench.predictions()] == [1]


def test_given_maps_and_instances_are_used() -> None:
    items = ArrayItems(np=[MAPS.np], hv=[MAPS.hv], instances=[TISSUE.labels])
    bench = Bench(Case(items, separator=Separator.of("hover_net")))
    assert np.array_equal(bench.instances(0), TISSUE.labels)
    assert np.array_equal(bench.own_shapes(0), separate(MAPS).labels)
    again = Bench(bench.case.with_setup(Setup(separation={"preset": "local"})))
    assert np.array_equal(again.instances(0), separate(MAPS).labels)


def test_images_can_be_paired_anew() -> None:
    other = 255 - TISSUE.image
    items = ArrayItems(image=[TISSUE.image, other], labels=[TISSUE.labels] * 2)
    bench = Bench(Case(items, setup=Setup(image_order=(1, 0))))
    item = bench.item(0)
    assert item is not None
    assert np.array_equal(item.image, other)
    assert np.array_equal(item.labels, TISSUE.labels)


def test_the_busiest_part_holds_the_nuclei() -> None:
    labels = np.zeros((300, 400), np.int32)
    labels[200:260, 300:360] = 1
    r0, r1, c0, c1 = busiest(Item(0, "a", labels=labels), labels.shape, 128)
    assert (r1 - r0, c1 - c0) == (128, 128)
    assert (labels[r0:r1, c0:c1] > 0).sum() == (labels > 0).sum()


def test_again_reads_no_array_twice_and_keeps_the_maps_that_do_not_change() -> None:
    calls: list[int] = []

    def network(image: Any) -> tuple[Any, Any]:
        calls.append(1)
        return np.ones(image.shape[:2]), np.zeros((2, *image.shape[:2]))

    class Source(ArrayItems):
        def read(self, index: int) -> Any:
            reads.append(index)
            return super().read(index)

    reads: list[int] = []
    items = Source(image=np.zeros((2, 64, 64, 3), np.uint8))
    bench = Bench(Case(items, predictor=Predictor.of(network)))
    for index in bench.map_indices:
        assert bench.maps(index) is not None
    same = bench.again(Setup(separation={"preset": "hover_net"}))
    assert same.maps(0) is bench.maps(0)
    assert (len(calls), reads) == (2, [0, 1])
    turned = bench.again(Setup(hv_order="vh"))
    assert turned.maps(0) is not bench.maps(0) and len(calls) == 2
    other = bench.again(Setup(channel_order="bgr"))
    assert other.maps(0) is not bench.maps(0)
    assert (len(calls), reads) == (3, [0, 1])


def test_maps_of_tokens_come_to_the_size_of_the_truth() -> None:
    def decode(tokens: Any, prefix: int | None = None) -> Maps:
        prob = np.zeros((112, 140), np.float32)
        prob[28:56, 35:70] = 1
        return Maps(np=prob, hv=np.stack([prob, -prob]))

    network = Predictor("tokens", "features", decode)
    tokens = np.zeros((1, 261, 4), np.float16)
    bench = Bench(Case(ArrayItems(features=tokens, labels=TISSUE.labels), predictor=network))
    maps = bench.maps(0)
    assert maps is not None and maps.shape == TISSUE.labels.shape
    assert maps.np[40, 50] == 1 and maps.hv[1, 40, 50] == -1
    varied = bench.variant(0, Variant(token_prefix=1))
    assert varied is not None and varied.shape == maps.shape
    alone = Bench(Case(ArrayItems(features=tokens), predictor=network)).maps(0)
    assert alone is not None and alone.shape == (112, 140)
