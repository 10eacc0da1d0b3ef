"""Damaged pictures, checkpoints, packages of weights and caches."""

import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modal_pretrain import (
    BackboneWeightsError,
    CacheWarning,
    DiskCache,
    ImageLoadError,
    TimmEncoder,
    create_backbone,
)
from modal_pretrain.backbones.onnx_file import read_onnx

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
FORMATS = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "ppm")


def encoded(kind):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


CONTENTS = {kind: encoded(kind) for kind in FORMATS}


@st.composite
def damaged(draw, content):
    """Cut, overwrite or repeat parts of a file's bytes."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        if not found:
            break
        at = draw(st.integers(0, len(found) - 1))
        part = draw(st.binary(max_size=8))
        how = draw(st.sampled_from(["cut", "write", "insert", "drop"]))
        if how == "cut":
            del found[at:]
        elif how == "write":
            found[at : at + len(part)] = part
        elif how == "insert":
            found[at:at] = part
        else:
            del found[at : at + len(part)]
    return bytes(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


SMALL = {"backbone": "test_efficientnet", "pretrained": False, "random_state": 0}


@pytest.fixture(scope="module")
def encoder():
    return TimmEncoder(**SMALL, image_size=32, cache=None).fit(PIXELS[None])


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_damaged_pictures(kind, data, folder, encoder):
    path = folder / f"picture.{kind}"
    path.write_bytes(data.draw(damaged(CONTENTS[kind])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = encoder.transform([str(path)])
        except ImageLoadError as error:
            assert path.name in str(error)
        else:
            assert found.shape == (1, encoder.n_features_out_)
            assert np.isfinite(found).all()


@pytest.fixture(scope="module")
def checkpoint():
    file = io.BytesIO()
    torch.save(create_backbone("test_efficientnet", pretrained=False,
                               random_state=0).state_dict(), file)  # fmt: skip
    return file.getvalue()


states = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=4), st.just(torch.zeros(2))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.one_of(
                st.text(max_size=5),
                st.integers(0, 2),
                st.sampled_from(["state_dict", "model", "conv_stem.weight"]),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=5,
)


@given(state=states)
def test_foreign_checkpoints(state, folder):
    path = folder / "foreign.pth"
    torch.save(state, path)
    with pytest.raises(BackboneWeightsError, match="foreign"):
        create_backbone("test_efficientnet", str(path))


@given(data=st.data())
def test_damaged_checkpoints(data, folder, checkpoint):
    path = folder / "damaged.pth"
    path.write_bytes(data.draw(damaged(checkpoint)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            backbone = create_backbone("test_efficientnet", str(path))
        except BackboneWeightsError as error:
            assert path.name in str(error)
        else:  # the damage hit what nobody reads, or a weight's own value
            assert "damaged.pth" in backbone.weights_source


@given(content=st.binary(max_size=64))
def test_any_bytes_as_onnx(content, folder):
    path = folder / "any.onnx"
    path.write_bytes(content)
    try:
        found = read_onnx(path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert isinstance(found, dict)


@given(data=st.data())
def test_damaged_caches(data, tmp_path_factory, encoder):
    folder = tmp_path_factory.mktemp("cache")
    right = encoder.transform(PIXELS[None])
    mine = TimmEncoder(**SMALL, image_size=32, cache=DiskCache(folder))
    mine.fit_transform(PIXELS[None])
    for path in sorted(folder.rglob("*")):
        if path.is_file() and data.draw(st.booleans()):
            path.write_bytes(data.draw(damaged(path.read_bytes())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CacheWarning)
        # Another process's, which has nothing in memory.
        other = mine.set_params(cache=DiskCache(folder))
        np.testing.assert_allclose(other.transform(PIXELS[None]), right, atol=1e-5)
