import numpy as np
import pytest
import torch

from napari_hovernet.app.jobs import drive
from napari_hovernet.core import limits
from napari_hovernet.core.hv import HVConvention, convert
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.tokens import decode as token_inference
from napari_hovernet.core.tokens.decode import (
    TokenParams,
    check_tokens,
    predict_tokens_steps,
    slice_words,
)
from napari_hovernet.core.types import Model, ModelInfo

from ..refusals import refuses

CPU = torch.device("cpu")


def model_of(network: torch.nn.Module, **info: object) -> Model:
    return Model(network.eval(), ModelInfo("optimus", **info), CPU)


@pytest.fixture(scope="module")
def tiny() -> Model:
    torch.manual_seed(3)
    return model_of(OptimusDecoder(8, 4, 3, 5))


def predict_tokens(model, features, params=None, progress=None):
    return drive(predict_tokens_steps(model, features, params), progress)


def tokens(n: int = 3, count: int = 261, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((n, count, dim)).astype(np.float32)


@pytest.mark.parametrize(("choice", "suffix"), [("historical", ""), ("1", ""), ("5", "_tok5")])
def test_both_slices_are_those_of_the_reference(choice, suffix, shared, filled):
    golden = np.load(shared / "golden" / "optimus" / "optimus_decoder.npz")
    given = np.random.default_rng(11).standard_normal((1, 261, 1536)).astype(np.float32)
    found = predict_tokens(model_of(filled(OptimusDecoder())), given, TokenParams(choice))
    np.testing.assert_allclose(found.hv, golden["hv" + suffix], rtol=0, atol=1e-5)
    raw = golden["np" + suffix].astype(np.float64)
    probability = 1 / (1 + np.exp(raw[:, 0] - raw[:, 1]))
    np.testing.assert_allclose(found.np, probability, rtol=0, atol=1e-5)
    if "nt" + suffix in golden:
        types = torch.from_numpy(golden["nt" + suffix]).softmax(1)
        np.testing.assert_allclose(found.types, types, rtol=0, atol=1e-5)
    assert bool(found.notes) == (suffix == "")


@pytest.mark.parametrize("name", ["default", "vh_inward_radial", "hv_inward_peak"])
def test_hv_is_brought_to_ours(name, tiny):
    claimed = Model(tiny.network, ModelInfo("optimus", hv_convention=name), CPU)
    given = tokens(1)
    found, raw = predict_tokens(claimed, given), predict_tokens(tiny, given)
    convention = HVConvention.preset(name)
    plain = HVConvention(order=convention.order, sign=convention.sign)
    np.testing.assert_array_equal(found.hv[0], convert(raw.hv[0], plain, HVConvention()))


def test_chosen_samples_and_spoilt_ones(tiny):
    given = tokens(4)
    some = drive(predict_tokens_steps(tiny, given, indices=(3, 1)))
    every = predict_tokens(tiny, given)
    assert some.indices == (3, 1)
    np.testing.assert_allclose(some.np, every.np[[3, 1]], atol=1e-6)
    assert some.maps(0).types.shape == (3, 224, 224)
    given = tokens(3)
    good = predict_tokens(tiny, given)
    given[1, 7, 2] = np.nan
    found = predict_tokens(tiny, given)
    assert list(found.errors) == [1] and "sample 1" in found.errors[1]
    assert not found.np[1].any()
    np.testing.assert_allclose(found.np[[0, 2]], good.np[[0, 2]], atol=1e-6)
    given[:] = np.nan
    refuses("sample 0: tokens hold NaN", predict_tokens, tiny, given)


@pytest.mark.parametrize(
    ("shape", "dtype", "choice", "match"),
    [
        ((2, 261, 9), np.float32, "file", "9 long, this decoder reads 8"),
        ((2, 256, 8), np.float32, "file", r"256 tokens per sample; with 5 .* takes 261"),
        ((2, 256, 8), np.float32, "historical", "takes 257"),
        ((261, 8), np.float32, "file", r"shape \(261, 8\)"),
        ((2, 261, 8), np.int8, "file", "dtype int8"),
    ],
)
def test_unfit_tokens_are_refused_by_their_sizes(shape, dtype, choice, match, tiny):
    refuses(match, lambda: check_tokens(tiny, shape, np.dtype(dtype), TokenParams(choice)))


def test_lack_of_memory_halves_the_batch(tiny, monkeypatch):
    real, sizes = token_inference.decode_tokens, []

    def tight(model, given, prefix):
        sizes.append(len(given))
        if len(given) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return real(model, given, prefix)

    monkeypatch.setattr(token_inference, "decode_tokens", tight)
    notices = []
    found = predict_tokens(
        tiny, tokens(3), TokenParams(batch=4), lambda step: notices.append(step.notice)
    )
    assert sizes == [3, 2, 1, 1, 1] and sum(map(bool, notices)) == 2
    assert found.np.any(axis=(1, 2)).all()


def test_a_slice_that_is_off_is_said_and_what_cannot_be_decoded_refused(tiny, monkeypatch):
    assert "4 columns (56 px) to the right" in slice_words(1, 261)
    assert "1 columns (14 px)" in slice_words(0, 257)
    assert slice_words(5, 261) == slice_words(1, 257) == slice_words(0, 256) == ""
    refuses("choose one of 0, 1, 5", TokenParams, "cls")
    model = Model(CompactUNet(widths=[2, 4]).eval(), ModelInfo("compact"), CPU)
    refuses("takes images, not tokens", lambda: predict_tokens(model, tokens(1)))
    monkeypatch.setattr(limits, "free_memory", lambda: 1000)
    refuses("take fewer samples", lambda: predict_tokens(tiny, tokens(2)))
