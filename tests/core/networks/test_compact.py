from __future__ import annotations

import pytest
import torch

from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.errors import InputError


@pytest.mark.parametrize("n_types", [None, 4])
def test_output_has_the_size_of_the_input(n_types):
    out = CompactUNet((4, 8), n_types).eval()(torch.zeros(2, 3, 8, 12))
    shapes = {name: tuple(branch.shape) for name, branch in out.items()}
    wanted = {"np": (2, 2, 8, 12), "hv": (2, 2, 8, 12)}
    assert shapes == (wanted if n_types is None else wanted | {"tp": (2, 4, 8, 12)})


def test_default_is_small_enough_to_ship():
    with torch.device("meta"):
        parameters = sum(p.numel() for p in CompactUNet().parameters())
    assert 1_000_000 <= parameters <= 3_000_000


def test_a_cut_changes_nothing_beyond_the_halo():
    torch.manual_seed(1)
    network = CompactUNet((4, 6, 8)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    halo = network.geometry.halo
    image = torch.rand(1, 3, 8, 4 * halo) * 255
    cut = network.geometry.divisor * 3
    with torch.inference_mode():
        whole, part = network(image)["hv"], network(image[..., cut:])["hv"]
    difference = (whole[..., cut:] - part).abs().amax(dim=(0, 1, 2))
    assert difference[halo:].max() <= 1e-5 * whole.abs().max()
    assert difference[:halo].max() > 1e-3 * whole.abs().max()


@pytest.mark.parametrize("arguments", [{"widths": (4,)}, {"widths": (4, 0)}, {"n_types": 1}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        CompactUNet(**arguments)


def test_config_rebuilds_the_network():
    first = CompactUNet((4, 8, 16), 3)
    second = CompactUNet(**first.config)
    assert [v.shape for v in first.state_dict().values()] == [
        v.shape for v in second.state_dict().values()
    ]
