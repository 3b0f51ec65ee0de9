from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_hovernet.core.networks.blocks import centre_crop, conv_bn


@pytest.mark.parametrize("groups", [1, 2])
def test_folded_normalisation_equals_the_plain_one(groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups, bias=False)
    bn = nn.BatchNorm2d(6)
    nn.init.normal_(bn.weight)
    nn.init.normal_(bn.bias)
    bn.running_mean.normal_()
    bn.running_var.uniform_(0.1, 3)
    bn.eval()
    x = torch.randn(2, 4, 9, 7)
    torch.testing.assert_close(conv_bn(x, conv, bn), bn(conv(x)), rtol=1e-5, atol=1e-5)


def test_training_mode_updates_the_statistics():
    conv, bn = nn.Conv2d(2, 3, 1, bias=False), nn.BatchNorm2d(3)
    conv_bn(torch.randn(4, 2, 5, 5), conv, bn)
    assert int(bn.num_batches_tracked) == 1
    assert not torch.equal(bn.running_mean, torch.zeros(3))


def test_centre_crop_of_an_odd_rest_cuts_the_far_side():
    x = torch.arange(20.0).reshape(1, 1, 4, 5)
    assert centre_crop(x, 1, 2).tolist() == [[[[6.0, 7.0]]]]
