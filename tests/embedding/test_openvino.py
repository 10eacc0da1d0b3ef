"""OpenVINO computes what PyTorch does; what is kept, damaged, not convertible."""

import os
import pickle
import warnings

import joblib
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from modal_pretrain import DiskCache, PretrainedClassifier, TimmEncoder
from modal_pretrain.cache.sqlite import CacheWarning
from modal_pretrain.embedding import engine as rule
from modal_pretrain.embedding import kept_model, openvino, openvino_network
from modal_pretrain.embedding.engine import EngineWarning
from tests import processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not openvino.is_installed(), reason="OpenVINO is not installed"),
]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process in which nothing was converted."""
    monkeypatch.setattr(rule, "_SETTLED", {})
    monkeypatch.setattr(openvino, "_NETWORKS", type(openvino._NETWORKS)())


@pytest.fixture
def conversions(monkeypatch):
    """Count the conversions."""
    seen = []
    plain = openvino._convert

    def counting(*args):
        seen.append(args)
        return plain(*args)

    monkeypatch.setattr(openvino, "_convert", counting)
    return seen


def make(backbone="test_efficientnet", **params):
    defaults = {
        "pretrained": False,
        "random_state": 0,
        "image_size": 32,
        "precision": "float32",
        "device": "cpu",
        "cache": None,
        "engine": "openvino",
    }
    return TimmEncoder(backbone, **{**defaults, **params})


def both(X, *args, **params):
    found = make(*args, **params).fit(X).transform(X)
    params["engine"] = "torch"
    return found, make(*args, **params).fit(X).transform(X)


def assert_near(found, expected, tolerance=1e-5):
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    "backbone", ["test_efficientnet", "test_vit", "test_resnet", "test_convnext"]
)
def test_float32_equals_pytorch(backbone, pictures):
    if not timm.is_model(backbone):
        pytest.skip(f"timm {timm.__version__} has no {backbone}")
    size = None if backbone == "test_vit" else 32
    assert_near(*both(pictures[:9], backbone, image_size=size))


def test_the_default_backbone_and_its_queries(pictures, labels):
    assert_near(*both(pictures, "tf_efficientnet_lite0", pretrained=True))
    found = []
    for engine in ("torch", "openvino"):
        net = PretrainedClassifier(
            image_size=32,
            precision="float32",
            device="cpu",
            engine=engine,
            cache=None,
            random_state=0,
        )
        net.fit(pictures[:10], labels[:10])
        found.append(net.predict_proba(pictures))
    # A head in float32 is as near to its optimum as that.
    np.testing.assert_allclose(*found, atol=1e-3)
    sure, order = found[0].max(axis=1), np.argsort(found[1].max(axis=1))
    assert np.diff(sure[order]).min() > -1e-3


def test_weights_that_require_gradients_do_so_afterwards(pictures):
    whole = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).eval()
    preprocessing = make().fit(pictures)._encoder().preprocessing
    model = openvino._convert(whole, preprocessing)
    openvino._check(model, whole, preprocessing, 1)
    assert all(p.requires_grad for p in whole.parameters())


def test_bfloat16_is_as_near_as_pytorchs(pictures):
    found, expected = both(pictures, "tf_efficientnet_lite0", pretrained=True)
    for engine in ("torch", "openvino"):
        params = {"precision": "bfloat16", "engine": engine, "pretrained": True}
        rough = make("tf_efficientnet_lite0", **params).fit_transform(pictures)
        error = np.linalg.norm(rough - expected, axis=1)
        assert (error <= 0.25 * np.linalg.norm(expected, axis=1)).all()
    assert np.abs(rough - found).max() > 0  # it does compute in less


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 23])
def test_a_row_does_not_depend_on_the_others(pictures, rows):
    encoder = make(batch_size=10).fit(pictures)
    expected = encoder.transform(pictures)
    np.testing.assert_array_equal(encoder.transform(pictures[:rows]), expected[:rows])
    mixed = np.random.default_rng(0).permutation(24)[:rows]
    np.testing.assert_array_equal(encoder.transform(pictures[mixed]), expected[mixed])


def test_every_kind_of_x(pictures, paths):
    encoder = make().fit(pictures)
    expected = encoder.transform(pictures)
    floats = pictures.transpose(0, 3, 1, 2) / np.float32(255)
    pil = [Image.fromarray(picture) for picture in pictures]
    for X in (floats, paths, pil, pictures[::-1][::-1], torch.tensor(pictures)):
        np.testing.assert_array_equal(encoder.transform(X), expected)


def test_several_threads_and_processes(pictures):
    encoder = make(batch_size=4).fit(pictures)
    expected = encoder.transform(pictures)
    for got in joblib.Parallel(4, backend="threading")(
        joblib.delayed(encoder.transform)(pictures) for _ in range(6)
    ):
        np.testing.assert_array_equal(got, expected)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(encoder.transform(pictures), expected)


def test_an_error_of_a_picture_passes_and_the_network_goes_on(pictures, paths):
    encoder = make(batch_size=4).fit(pictures)
    expected = encoder.transform(pictures)
    with open(paths[13], "wb") as file:
        file.write(b"no picture")
    with pytest.raises(ValueError, match=r"X\[13\]"):
        encoder.transform(paths)
    np.testing.assert_array_equal(encoder.transform(pictures), expected)


# What is kept -------------------------------------------------------------------------


def test_a_process_converts_once(pictures, conversions):
    for params in ({}, {"batch_size": 7}, {"random_state": 0}):
        make(**params).fit(pictures).transform(pictures)
    assert len(conversions) == 1
    make(image_size=40).fit(pictures)
    make(random_state=1).fit(pictures)
    assert len(conversions) == 3


def test_pytorch_keeps_no_trace_with_the_weights(pictures, conversions):
    kept = torch.jit._state._python_cu.get_functions
    n_before = len(kept())
    make().fit(pictures).transform(pictures)
    assert len(conversions) == 1 and len(kept()) == n_before


def test_an_interrupted_conversion_is_no_failed_one(pictures, monkeypatch):
    # OpenVINO makes an error of its own of what its questions to Python raise.
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(TorchScriptPythonDecoder, "visit_subgraph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make().fit(pictures).transform(pictures)


def test_a_directory_keeps_the_network(pictures, tmp_path, conversions, monkeypatch):
    expected = make(cache=tmp_path).fit_transform(pictures)
    (file,) = (tmp_path / "networks").iterdir()
    monkeypatch.setattr(openvino, "_NETWORKS", type(openvino._NETWORKS)())
    monkeypatch.setattr(rule, "_SETTLED", {})
    encoder = make(cache=DiskCache(tmp_path))
    encoder.cache.clear()
    np.testing.assert_array_equal(encoder.fit_transform(pictures), expected)
    assert len(conversions) == 1
    # Precision is chosen when it is compiled: one file serves both.
    make(cache=tmp_path, precision="bfloat16").fit_transform(pictures)
    assert len(conversions) == 1
    make(cache=tmp_path, image_size=40).fit_transform(pictures)
    assert len(list(file.parent.iterdir())) == 2


@pytest.mark.parametrize("damage", ["byte", "short", "empty", "other"])
def test_a_damaged_network_is_made_again(
    pictures, tmp_path, damage, conversions, monkeypatch
):
    encoder = make(cache=tmp_path)
    expected = encoder.fit_transform(pictures)
    (file,) = (tmp_path / "networks").iterdir()
    good = file.read_bytes()
    byte = bytes([good[len(good) // 2] ^ 1])
    bad = {
        "byte": good[: len(good) // 2] + byte + good[len(good) // 2 + 1 :],
        "short": good[:-5],
        "empty": b"",
        "other": b"something else altogether, of another program",
    }
    file.write_bytes(bad[damage])
    monkeypatch.setattr(openvino, "_NETWORKS", type(openvino._NETWORKS)())
    with pytest.warns(CacheWarning, match="network .* is damaged: it is made again"):
        encoder._encoder().network()
    assert len(conversions) == 2
    assert file.read_bytes() == good or kept_model.read_model(file) is not None
    np.testing.assert_array_equal(encoder.transform(pictures), expected)


def test_a_full_disk_is_one_warning(pictures, tmp_path, monkeypatch):
    def full(*args, **params):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_model, "write_whole", full)
    monkeypatch.setattr(kept_model, "_WARNED", set())
    encoder = make(cache=tmp_path)
    with pytest.warns(CacheWarning, match="can't be kept .* No space left") as caught:
        encoder.fit(pictures)
        make(cache=tmp_path, image_size=40).fit(pictures)
    assert len(caught) == 1
    assert encoder.transform(pictures).shape == (24, 256)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a FIFO")
def test_a_kept_network_that_would_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "network.bin")
    assert kept_model.read_model(tmp_path / "network.bin") is None


def test_a_worker_finds_the_kept_network(pictures, tmp_path):
    one = make(cache=tmp_path).fit(pictures)._encoder()
    other = pickle.loads(pickle.dumps(one))
    assert other.cache is None
    assert other._networks_folder() == one._networks_folder() == tmp_path


# What cannot be converted -------------------------------------------------------------


class Erf(nn.Module):
    """Uses what OpenVINO has no operation for."""

    def forward(self, x):
        return torch.special.i0e(x).mean((2, 3))


class Branches(nn.Module):
    """A trace keeps one of its branches, so converted it gives something else."""

    def forward(self, x):
        if float(x.sum()) > 0:
            return x.mean((2, 3))
        return x.amax((2, 3))


class Counts(nn.Module):
    """A trace keeps the number of rows that it saw."""

    def forward(self, x):
        return x.mean((2, 3))[torch.arange(len(x))]


@pytest.mark.parametrize(
    "backbone, reason",
    [(Erf, "i0e"), (Branches, "gives other embeddings"), (Counts, "2 rows of 3")],
)
def test_what_cannot_be_converted_stays_with_pytorch(
    pictures, monkeypatch, backbone, reason
):
    if backbone is Branches:  # the two examples take different branches
        light = torch.full((2, 32, 32, 3), 255, dtype=torch.uint8)
        noise = torch.tensor(pictures[:2]) // 8
        monkeypatch.setattr(
            "modal_pretrain.images.preprocessing.Preprocessing.examples",
            lambda self: (light, noise),
        )
    encoder = make(backbone)
    with pytest.warns(EngineWarning, match=f"cannot compute.*{reason}") as caught:
        found = encoder.fit(pictures).transform(pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = encoder.transform(pictures)
    assert len(caught) == 1
    expected = make(backbone, engine="torch").fit(pictures).transform(pictures)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(again, expected)


def test_what_does_not_compile_stays_with_pytorch(pictures, monkeypatch):
    class Plugin:
        def __getattr__(self, name):
            return getattr(core, name)

        def compile_model(self, model, device, settings):
            if settings["INFERENCE_PRECISION_HINT"] == "bf16":
                raise RuntimeError("object is not initialized")
            return core.compile_model(model, device, settings)

    core = openvino.core()
    monkeypatch.setattr(openvino_network, "core", Plugin)
    encoder = make(precision="bfloat16")
    with pytest.warns(EngineWarning, match="does not compile .*not initialized"):
        found = encoder.fit(pictures).transform(pictures)
    expected = make(precision="bfloat16", engine="torch").fit_transform(pictures)
    np.testing.assert_array_equal(found, expected)


class Overflow(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1e30))

    def forward(self, x):
        return (x * self.scale * self.scale).mean((2, 3))


def test_embeddings_that_are_not_finite_are_an_error(pictures):
    encoder = make(Overflow)
    with (
        pytest.raises(ValueError, match="NaN or infinite"),
        pytest.warns(EngineWarning),
    ):
        encoder.fit(pictures)


# What importing does ------------------------------------------------------------------

CODE = """
import socket, sys, warnings
warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)
seen = []
def refuse(*args, **kwargs):
    seen.append(args)
    raise OSError("no network in this test")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import numpy as np
from modal_pretrain import TimmEncoder
assert "openvino" not in sys.modules
X = np.zeros((2, 32, 32, 3), np.uint8)
TimmEncoder(image_size=32, device="cpu").fit_transform(X)
assert "openvino" not in sys.modules
TimmEncoder(image_size=32, device="cpu", engine="openvino").fit_transform(X)
assert "openvino" in sys.modules
assert "openvino_telemetry" not in sys.modules
assert not seen, seen
"""


def test_openvino_comes_late_and_reports_nothing_over_the_network(tmp_path):
    process = processes.start(CODE, cwd=tmp_path)
    assert process.communicate() == ("", "")
    assert process.returncode == 0


def test_without_a_temporary_folder(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.warns(EngineWarning, match=r"so PyTorch does: .*TMPDIR"):
        found = make().fit_transform(pictures)
    np.testing.assert_array_equal(found, make(engine="torch").fit_transform(pictures))


def test_a_network_kept_under_the_name_of_another_is_not_taken(tmp_path):
    files = [kept_model.model_file(tmp_path, key) for key in ("one", "two")]
    for file in files:
        kept_model.write_model(file, (b"structure", file.name.encode()))
    assert kept_model.read_model(files[0]) == (b"structure", b"one.bin")
    files[1].write_bytes(files[0].read_bytes())
    with pytest.warns(CacheWarning, match="two.bin is damaged"):
        assert kept_model.read_model(files[1]) is None


def test_a_network_kept_in_the_older_layout_is_made_again_without_a_word(tmp_path):
    file = tmp_path / "network.bin"
    file.write_bytes(b"modal_pretrain network 1\n" + b"0" * 99)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kept_model.read_model(file) is None
