from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.networks.registry import Geometry, build, names
from napari_hovernet.errors import InputError


@pytest.mark.parametrize("name", names())
def test_every_architecture_builds_from_its_own_config(name):
    with torch.device("meta"):
        network = build(name, {})
        again = build(name, network.config)
    assert again.config == network.config
    assert again.state_dict().keys() == network.state_dict().keys()
    legal = network.geometry.legal(network.geometry.reference_tile)
    assert legal == network.geometry.reference_tile


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match="compact, hovernet, hovernet-monai, optimus, lite"):
        build("unet", {})


def test_unknown_argument_is_refused():
    with pytest.raises(InputError, match="depth"):
        build("compact", {"depth": 3})


@pytest.mark.parametrize(("edge", "legal"), [(1, 14), (14, 14), (15, 22), (22, 22), (270, 270)])
def test_legal_rounds_up(edge, legal):
    geometry = Geometry(8, 6, margin=0, halo=0, reference_tile=270, minimum=14)
    assert geometry.legal(edge) == legal
