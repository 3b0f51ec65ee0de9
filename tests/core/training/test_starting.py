"""Where a run starts from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.data.samples import LoadedData, Sample
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.training.check import needs_of
from napari_hovernet.core.training.module import highest_type, restored, start_of
from napari_hovernet.errors import CheckpointError, InputError


def loaded(types: bool = False, mpp: float | None = None) -> LoadedData:
    labels = np.zeros((40, 40), np.int32)
    labels[5:20, 5:20] = 1
    more = {"types": np.where(labels > 0, 3, 0)} if types else {}
    image = np.zeros((40, 40, 3), np.uint8)
    return LoadedData((Sample("a", image=image, labels=labels, mpp=mpp, **more),), ())


def test_what_a_start_reads():
    assert needs_of("compact") == needs_of("scratch:hovernet") == "image"
    assert needs_of("scratch:optimus") == "tokens"
    with pytest.raises(InputError, match="scratch:cat"):
        needs_of("scratch:cat")
    with pytest.raises(CheckpointError, match="nowhere"):
        needs_of("nowhere.pth")


def test_the_built_in_model_keeps_what_is_known_of_it():
    start = start_of(TrainConfig(data=DataParams()), loaded())
    assert start.info.architecture == "compact" and start.info.mpp == 0.25
    assert not start.typed and start.n_types is None
    assert start.info.origin, "where the weights come from is provenance"


def test_an_untrained_network_has_the_types_of_the_data():
    start = start_of(TrainConfig(start="scratch:compact"), loaded(types=True))
    assert start.typed and start.n_types == 4
    assert len(start.info.types) == 4
    assert any("untrained" in note for note in start.notes)


def test_a_resumed_start_is_the_same_network():
    from napari_hovernet.core.checkpoint import header  # noqa: PLC0415

    start = start_of(TrainConfig(start="scratch:compact"), loaded())
    again = restored(header.dump(start.info), start.network.state_dict(), start.typed)
    assert again.info.architecture == start.info.architecture
    for name, value in start.network.state_dict().items():
        assert (again.network.state_dict()[name] == value).all(), name


def test_highest_type():
    assert highest_type(loaded().train) is None
    assert highest_type(loaded(types=True).train) == 3
