"""Which engine computes: the rule, the errors, and what rows are served as."""

import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from modal_pretrain import DiskCache, TimmEncoder
from modal_pretrain.embedding import engine as rule
from modal_pretrain.embedding import openvino
from modal_pretrain.embedding.engine import EngineWarning, check_engine
from modal_pretrain.images.preprocessing import Preprocessing

CPU = torch.device("cpu")
needs_openvino = pytest.mark.skipif(
    not openvino.is_installed(), reason="OpenVINO is not installed"
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process in which nothing was chosen, and passes of 20 pictures are long."""
    monkeypatch.setattr(rule, "_SETTLED", {})
    monkeypatch.setattr(rule, "_RECOMMENDED", type(rule._RECOMMENDED)())
    monkeypatch.setattr(Preprocessing, "takes_long", lambda self, n: n >= 20)


@pytest.fixture
def encoder(cache):
    return TimmEncoder(
        "test_efficientnet",
        pretrained=False,
        random_state=0,
        image_size=32,
        precision="float32",
        device="cpu",
        cache=cache,
    )


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)


def engine_of(encoder, X):
    """What a pass over X computes with, by the name that its rows are kept under."""
    seen = []
    plain = encoder.cache.get

    def spying(name, keys, compute):
        seen.append("openvino" if openvino.version() in name else "torch")
        return plain(name, keys, compute)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder.cache, "get", spying)
        encoder.transform(X)
    (engine,) = seen
    return engine


# The rule -----------------------------------------------------------------------------


@needs_openvino
def test_long_passes_take_openvino_and_later_ones_stay_with_it(encoder, pictures):
    encoder.fit(pictures)
    assert engine_of(encoder, pictures[:4]) == "torch"
    assert engine_of(encoder, pictures) == "openvino"
    assert engine_of(encoder, pictures[:3]) == "openvino"
    assert engine_of(clone(encoder).fit(pictures), 255 - pictures[:3]) == "openvino"


@needs_openvino
def test_rows_that_are_kept_cost_nothing_so_their_engine_stays(
    encoder, pictures, monkeypatch
):
    encoder.set_params(engine="torch").fit_transform(pictures)
    encoder.set_params(engine="auto").fit(pictures)
    assert engine_of(encoder, pictures) == "torch"
    more = np.concatenate([pictures, 255 - pictures])
    assert engine_of(encoder, more) == "openvino"
    # In another process with the same rows on disk, say.
    monkeypatch.setattr(rule, "_SETTLED", {})
    assert engine_of(encoder, more[:3]) == "openvino"
    assert encoder.cache.info()["misses"] == 24 + 48


@needs_openvino
def test_a_run_of_the_benchmark_chooses_by_its_own_rows(encoder, pictures, monkeypatch):
    encoder.fit(pictures)
    assert engine_of(encoder, pictures) == "openvino"
    rule._SETTLED["what failed"] = "torch"
    rule.choose_afresh()
    assert engine_of(encoder, 255 - pictures[:4]) == "torch"
    assert engine_of(encoder, pictures[:4]) == "openvino"  # they are kept
    assert rule._SETTLED["what failed"] == "torch"


@needs_openvino
def test_nothing_of_one_engine_is_served_as_the_others(encoder, pictures, cache):
    found = {}
    for engine in ("torch", "openvino", "torch", "openvino"):
        got = encoder.set_params(engine=engine).fit_transform(pictures)
        np.testing.assert_array_equal(found.setdefault(engine, got), got)
    assert cache.info()["encoders"] == 2
    assert cache.info()["misses"] == 2 * len(pictures)


def test_pytorchs_rows_keep_the_name_they_had(encoder, pictures):
    # Embeddings on disk from before there were engines are found.
    one = encoder.set_params(engine="torch").fit(pictures)._encoder()
    with one.one_pass(encoder._source(pictures)):
        assert one.fingerprint() == one.name("torch")
    assert "openvino" not in one.name("torch") and "torch " in one.name("torch")
    assert one.name("openvino") == f"{one.name('torch')} {openvino.version()}"


@pytest.mark.parametrize("params", [{"compile": True}, {"precision": "float16"}])
def test_what_openvino_cannot_do_stays_with_pytorch(
    encoder, pictures, monkeypatch, params
):
    one = encoder.fit(pictures).set_params(**params)._encoder()
    source = encoder._source(pictures)
    assert rule.choose_engine(one, source, None) == "torch"


@needs_openvino
def test_networks_that_train_stay_with_pytorch(make, pictures, labels, monkeypatch):
    monkeypatch.setattr(openvino, "network", None)
    net = make(backbone="test_efficientnet", pretrained=False, engine="openvino")
    net.set_params(tune="all", max_steps=1)
    assert net.embed(pictures).shape[0] == 24
    net.fit(pictures, labels).predict(pictures)
    assert net.embed(pictures).shape[0] == 24


@needs_openvino
def test_a_pass_in_blocks_has_one_engine(encoder, pictures, tmp_path, monkeypatch):
    encoder.set_params(cache=None).fit(pictures)
    whole = encoder.transform(pictures)
    monkeypatch.setattr(rule, "_SETTLED", {})
    from modal_pretrain.embedding import npy_file

    monkeypatch.setattr(
        npy_file.write_rows, "__kwdefaults__", {"identity": None, "block_rows": 7}
    )
    blocks = encoder.embed_to(pictures, tmp_path / "pool.npy")
    np.testing.assert_array_equal(blocks, whole)


# Absent -------------------------------------------------------------------------------


def test_a_long_pass_without_openvino_recommends_it_once(encoder, pictures, absent):
    encoder.set_params(cache=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.fit(pictures).transform(pictures[:19])
    with pytest.warns(EngineWarning, match=r'pip install "modal_pretrain\[openvino\]"'):
        encoder.transform(pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.transform(pictures)


def test_engine_torch_recommends_nothing(encoder, pictures, absent):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.set_params(engine="torch").fit_transform(pictures)


def test_openvino_is_not_imported_before_it_computes():
    # What other tests imported is not asked: a module that only names it.
    assert not [
        name for name, value in vars(rule).items() if value is sys.modules.get("ov")
    ]


# Errors -------------------------------------------------------------------------------


def test_unknown_engine(encoder, pictures):
    with pytest.raises(ValueError, match=r"engine must be .*Did you mean 'openvino'\?"):
        encoder.set_params(engine="openvin").fit(pictures)


def test_openvino_without_the_package(encoder, pictures, absent):
    with pytest.raises(ImportError, match=r'pip install "modal_pretrain\[openvino\]"'):
        encoder.set_params(engine="openvino").fit(pictures)


@pytest.mark.parametrize(
    "device, dtype, compile, message",
    [
        ("cuda", torch.float32, False, r"the device is cuda: pass device='cpu'"),
        ("cpu", torch.float16, False, r"got precision='float16'"),
        ("cpu", torch.float32, True, r"pass compile=False"),
    ],
)
def test_openvino_for_what_it_cannot_do(device, dtype, compile, message):
    with pytest.raises(ValueError, match=f"engine='openvino' .*{message}.*'auto'"):
        check_engine("openvino", torch.device(device), dtype, compile)
    assert check_engine("auto", torch.device(device), dtype, compile) == "auto"


# What the caches tell -----------------------------------------------------------------


def test_caches_count_what_they_hold(cache, tmp_path):
    def rows(missing):
        return np.float32(missing)[:, None]

    for some in (cache, DiskCache(tmp_path)):
        assert some.holds("one", [b"a"]) == 0
        some.get("one", [b"a", b"b"], rows)
        assert some.holds("one", [b"a", b"c", b"b", b"a"]) == 3
        assert some.holds("other", [b"a"]) == 0
    later = DiskCache(tmp_path)
    later.memory.clear()
    assert later.holds("one", [b"a", b"c"]) == 1
    assert later.folder == tmp_path and cache.folder is None
