"""Devices and precisions: what "auto" takes, and what it costs."""

from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch

from modal_pretrain import EmbeddingCache, PretrainedClassifier
from modal_pretrain.backbones import device as device_module
from modal_pretrain.backbones.device import (
    float32_rounding,
    resolve_device,
    resolve_precision,
)
from tests.embedding.cases import large

ROADWATER = Path(__file__).parents[3] / "shared" / "data" / "roadwater"

# Measured on 200 photographs of roadwater at 96 px, as the length of the difference
# from float32 by the length of the embedding: bfloat16 0.037 on average and 0.080 at
# most, float16 0.0041 and 0.0084.
MEAN_ERROR = {"bfloat16": 0.05, "float16": 0.006}
LARGEST_ERROR = {"bfloat16": 0.12, "float16": 0.015}


@pytest.mark.skipif(not ROADWATER.exists(), reason="needs ../shared/data/roadwater")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_on_photographs(make_encoder, precision):
    every = 8 if precision == "bfloat16" else 40  # float16 is slow on CPUs
    paths = sorted((ROADWATER / "val").glob("*.jpg"))[::every]
    assert len(paths) >= 10
    params = {"image_size": 96, "cache": EmbeddingCache()}
    exact = make_encoder(**params).fit_transform(paths)
    reduced = make_encoder(**params, precision=precision).fit_transform(paths)
    assert reduced.dtype == np.float32
    error = np.linalg.norm(reduced - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert 0 < error.mean() < MEAN_ERROR[precision]
    assert error.max() < LARGEST_ERROR[precision]


def test_float32_that_the_process_rounds_is_another_embedding(make_encoder, pictures):
    encoder = make_encoder(precision="float32", engine="torch", cache="memory")
    exact = encoder.transform(pictures)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        rounded = encoder.transform(pictures)
        alone = encoder.set_params(cache=None).transform(pictures)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_allclose(rounded, alone, atol=1e-5)
    np.testing.assert_array_equal(
        encoder.set_params(cache="memory").transform(pictures), exact
    )


SETTINGS = [
    ("cpu", "mkldnn.matmul", "bf16"),
    ("cpu", "mkldnn.conv", "bf16"),
    ("cuda", "cuda.matmul", "tf32"),
    ("cuda", "cudnn.conv", "ieee"),
]


@pytest.mark.parametrize("device, place, value", SETTINGS, ids=str)
def test_newer_names_of_the_settings_that_round(device, place, value):
    """Reading the older name is an error of PyTorch's once a newer one was set."""
    backend = attrgetter(place)(torch.backends)
    if not hasattr(backend, "fp32_precision"):
        pytest.skip("PyTorch before 2.9 has the older names only")
    assert float32_rounding(torch.device(device)) == []
    before = backend.fp32_precision
    backend.fp32_precision = value
    try:
        assert float32_rounding(torch.device(device)) == [f"{place} {value}"]
    finally:
        backend.fp32_precision = before


def test_newer_names_while_it_embeds(make_encoder, pictures):
    backend = torch.backends.cuda.matmul
    before = getattr(backend, "fp32_precision", None)
    if before is None:
        pytest.skip("PyTorch before 2.9 has the older names only")
    encoder = make_encoder(precision="float32", engine="torch", cache=EmbeddingCache())
    backend.fp32_precision = "tf32"
    try:
        encoder.fit_transform(pictures)
    finally:
        backend.fp32_precision = before


def test_overflow_of_float16_falls_back_to_float32(make_encoder, pictures):
    params = {"pretrained": False, "cache": None}
    exact = make_encoder(large, **params).fit_transform(pictures)
    assert np.abs(exact).max() > 65504  # the largest float16
    reduced = make_encoder(large, precision="float16", **params)
    np.testing.assert_allclose(reduced.fit_transform(pictures), exact, rtol=1e-5)


# The parameters -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "cuda, mps, expected",
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_device_auto(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr("modal_pretrain.backbones.device._check_computes", id)
    assert resolve_device("auto") == torch.device(expected)
    assert resolve_device("cpu") == resolve_device(torch.device("cpu"))
    for given, there in (("cuda:1", cuda), ("mps", mps)):
        if there:
            assert str(resolve_device(given)) == given
        else:
            with pytest.raises(ValueError, match="PyTorch finds no such device"):
                resolve_device(given)


@pytest.mark.parametrize("device", ["gpu", None, 1.5, "cpu:x", ["cpu"]])
def test_bad_device(make_encoder, pictures, device):
    with pytest.raises(ValueError, match="device must be 'auto' or one of PyTorch's"):
        make_encoder(device=device).fit(pictures)


@pytest.mark.parametrize(
    "capability, expected",
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_precision_auto_on_cuda(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert resolve_precision("auto", torch.device("cuda")) == expected


@pytest.mark.parametrize("native", [True, False])
def test_precision_auto_on_cpu(monkeypatch, native):
    monkeypatch.setattr(device_module, "_cpu_has_bfloat16", lambda: native)
    expected = torch.bfloat16 if native else torch.float32
    assert resolve_precision("auto", torch.device("cpu")) == expected
    assert resolve_precision("auto", torch.device("mps")) == torch.float32


def test_pytorch_without_the_probes_computes_in_float32(monkeypatch):
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert resolve_precision("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    "precision, device, expected",
    [
        ("bfloat16", "cpu", torch.float32),
        ("float16", "cpu", torch.float32),
        ("float16", "cuda", torch.float32),
        ("bfloat16", "cuda", torch.bfloat16),
        ("float32", "cuda", torch.float32),
    ],
)
def test_precision_in_training(precision, device, expected):
    device = torch.device(device)
    assert resolve_precision(precision, device, training=True) == expected


@pytest.mark.parametrize("precision", ["f8", None, 32, torch.float32])
def test_bad_precision(make_encoder, pictures, precision):
    with pytest.raises(ValueError, match="precision must be 'auto', 'float32', "):
        make_encoder(precision=precision).fit(pictures)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_another_type_are_told_so(dtype):
    def factory():
        pooled = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *pooled).to(dtype)

    classifier = PretrainedClassifier(
        factory, pretrained=False, device="cpu", precision="float32"
    )
    with pytest.raises(ValueError, match=r"gets float32: .*return net\.float\(\)"):
        classifier.embed(np.zeros((3, 32, 32, 3), np.uint8))
