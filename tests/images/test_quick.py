"""Pictures resized by PyTorch: Pillow's but for the rounding, and told apart."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from modal_pretrain import TimmEncoder
from modal_pretrain.embedding import openvino
from modal_pretrain.images import quick as module
from modal_pretrain.images.preprocessing import Preprocessing
from modal_pretrain.images.quick import QuickPreprocessing, quick

pytestmark = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in module._VECTORS,
    reason="PyTorch has no vectors for bytes here",
)
PLAIN = Preprocessing((48, 48), "bicubic", (48, 48), "cover", (0.5,) * 3, (0.5,) * 3)
PHOTOGRAPHS = [Image.fromarray(picture) for picture in load_sample_images().images]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["cover", "squash", "fit"])
@pytest.mark.parametrize(
    "size, picture_size",
    [
        ((48, 48), (500, 333)),
        ((48, 60), (97, 31)),
        ((64, 64), (33, 40)),
        ((40, 36), (90, 70)),
    ],
)
def test_the_same_but_for_the_rounding(interpolation, mode, size, picture_size):
    plain = dataclasses.replace(
        PLAIN,
        size=size,
        resize_to=size,
        interpolation=interpolation,
        resize_mode=mode,
    )
    for photograph in PHOTOGRAPHS:
        picture = photograph.resize(picture_size)
        for X in (picture, np.array(picture)):
            expected = plain.apply_uint8(X)
            found = plain.quicker().apply_uint8(X)
            assert found.shape == expected.shape and found.dtype == np.uint8
            difference = np.abs(found.astype(int) - expected)
            assert difference.max() <= 2
            assert (difference > 0).mean() < 0.02
            assert (difference > 1).mean() < 0.001


def test_what_needs_no_resizing_is_untouched():
    picture = np.array(PHOTOGRAPHS[0].crop((0, 0, 48, 48)))
    assert PLAIN.quicker().apply_uint8(picture) is picture


def test_its_rows_are_told_apart():
    assert isinstance(PLAIN.quicker(), QuickPreprocessing)
    assert PLAIN.quicker().fingerprint() != PLAIN.fingerprint()
    assert PLAIN.quicker().quicker().fingerprint() == PLAIN.quicker().fingerprint()


def test_where_there_is_none(monkeypatch):
    lanczos = dataclasses.replace(PLAIN, interpolation="lanczos")
    assert quick(lanczos) is lanczos
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert quick(PLAIN) is PLAIN


@pytest.mark.skipif(not openvino.is_installed(), reason="OpenVINO is not installed")
def test_networks_that_round_get_it_and_others_do_not(tmp_path, monkeypatch):
    paths = []
    for i, photograph in enumerate(PHOTOGRAPHS):
        paths.append(tmp_path / f"{i}.jpg")
        photograph.resize((500, 334)).save(paths[-1], quality=90)
    used = []
    resize = QuickPreprocessing._resize

    def counting(*args):
        used.append(args)
        return resize(*args)

    def embedded(engine, precision):
        used.clear()
        encoder = TimmEncoder(
            engine=engine, precision=precision, image_size=96, cache=None
        )
        return encoder.fit_transform(paths)

    monkeypatch.setattr(QuickPreprocessing, "_resize", counting)
    for engine, precision in (
        ("torch", "float32"),
        ("torch", "bfloat16"),
        ("openvino", "float32"),
    ):
        embedded(engine, precision)
        assert not used
    rounded = embedded("openvino", "bfloat16")
    assert len(used) >= 2
    # A tenth of what bfloat16 itself changes.
    exact = embedded("openvino", "float32")
    monkeypatch.setattr(module, "_VECTORS", ())
    plain = embedded("openvino", "bfloat16")
    assert not used
    monkeypatch.setattr(Preprocessing, "_resize", resize)
    quick_alone = embedded("openvino", "float32")
    lengths = np.linalg.norm(exact, axis=1)

    def far(one):
        return np.linalg.norm(one - exact, axis=1) / lengths

    assert 0 < far(quick_alone).max() < 0.01
    assert far(rounded).mean() < 1.1 * far(plain).mean()
