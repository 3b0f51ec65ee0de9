from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.errors import InputError


def test_names_and_shapes_are_the_familys(named):
    network = OptimusDecoder()
    found = {
        k: [list(v.shape), str(v.dtype).removeprefix("torch.")]
        for k, v in network.state_dict().items()
    }
    assert found == named("optimus/optimus_decoder")
    assert sum(p.numel() for p in network.parameters()) == 1_151_209


@pytest.mark.parametrize(("prefix", "suffix"), [(1, ""), (5, "_tok5")])
def test_output_is_the_references(prefix, suffix, shared, filled):
    golden = np.load(shared / "golden" / "optimus" / "optimus_decoder.npz")
    tokens = np.random.default_rng(11).standard_normal((1, 261, 1536)).astype(np.float32)
    with torch.inference_mode():
        out = filled(OptimusDecoder(token_prefix=prefix))(torch.from_numpy(tokens))
    compared = 0
    for branch, name in (("np", "np"), ("hv", "hv"), ("tp", "nt")):
        if name + suffix in golden:
            np.testing.assert_allclose(
                out[branch].numpy(), golden[name + suffix], rtol=0, atol=1e-5
            )
            compared += 1
    assert compared >= 2


def test_prefix_decides_which_tokens_are_read():
    torch.manual_seed(0)
    network = OptimusDecoder(8, 4, token_prefix=5).eval()
    tokens = torch.randn(1, 261, 8)
    other = tokens.clone()
    other[:, :5] = 9.0
    with torch.inference_mode():
        assert torch.equal(network(tokens)["np"], network(other)["np"])
        other[:, 5] = 9.0
        assert not torch.equal(network(tokens)["np"], network(other)["np"])


def test_without_types_there_is_no_nt_head():
    network = OptimusDecoder(8, 4, n_types=None).eval()
    assert set(network(torch.zeros(1, 261, 8))) == {"np", "hv"}
    assert not any(key.startswith("nt_head") for key in network.state_dict())
    assert network.accepts == "tokens"


@pytest.mark.parametrize("shape", [(1, 260, 8), (1, 261, 9), (261, 8)])
def test_unfit_tokens_are_refused(shape):
    with pytest.raises(InputError, match="Tokens have shape"):
        OptimusDecoder(8, 4)(torch.zeros(shape))


@pytest.mark.parametrize("arguments", [{"embed_dim": 0}, {"token_prefix": -1}, {"n_types": 1}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        OptimusDecoder(**arguments)
