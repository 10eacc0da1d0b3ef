"""Embedding on the workers of a real dask cluster, and of joblib's own processes."""

import os
import pickle
import signal
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from modal_pretrain import EmbeddingCache, ImageLoadError, TimmEncoder
from modal_pretrain.backbones.create import BackboneWeightsError, create_backbone
from modal_pretrain.embedding import workers as shards
from modal_pretrain.embedding.workers import n_workers, shard_rows
from modal_pretrain.images.accept import as_images
from tests import processes

pytest.importorskip("distributed")

# What dask's and joblib's own threads and sockets leave behind is not ours.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client():
    """Two worker processes, each with one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with processes.dask_client(2) as client:
            yield client


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
        batch_size=4,
    )


class Witness(nn.Module):
    """A backbone that notes which processes used it; some of them it kills."""

    def __init__(self, folder, kills=0):
        super().__init__()
        self.folder = folder
        self.kills = kills

    def forward(self, x):
        folder = Path(self.folder)
        (folder / f"pid-{os.getpid()}").touch()
        for number in range(self.kills):
            try:
                (folder / f"killed-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return x.mean((2, 3))


class WitnessOf:
    """A factory of witnesses."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __call__(self):
        return Witness(self.folder)


def pids(folder):
    return {int(path.name.split("-")[1]) for path in folder.glob("pid-*")}


def test_same_embeddings_as_local_and_the_cache_is_filled(
    client, encoder, pictures, paths, cache
):
    expected = clone(encoder).set_params(cache=None).fit_transform(pictures)
    encoder.fit(pictures)
    for X in (pictures, paths, [Image.fromarray(picture) for picture in pictures]):
        cache.clear()
        with joblib.parallel_config(backend="dask"):
            got = encoder.transform(X)
        # The same batches, and one thread on both sides.
        np.testing.assert_array_equal(got, expected)
        assert cache.info()["misses"] == cache.info()["rows"] == len(pictures)
        with joblib.parallel_config(backend="dask"):
            np.testing.assert_array_equal(encoder.transform(X), expected)
        assert cache.info()["misses"] == len(pictures)


def test_only_missing_rows_are_sent(client, encoder, pictures, cache, monkeypatch):
    encoder.fit(pictures).transform(pictures[:10])
    sent = []
    plain = shards.spread

    def spying(encoder, source, size):
        sent.append(len(source))
        return plain(encoder, source, size)

    monkeypatch.setattr("modal_pretrain.embedding.encoder.spread", spying)
    with joblib.parallel_config(backend="dask"):
        encoder.transform(pictures)
    assert sent == [14]


def test_work_runs_in_the_worker_processes(client, encoder, pictures, tmp_path):
    encoder.set_params(backbone=WitnessOf(tmp_path), cache=None)
    encoder.fit(pictures)  # one row, here
    assert pids(tmp_path) == {os.getpid()}
    for path in tmp_path.glob("pid-*"):
        path.unlink()
    with joblib.parallel_config(backend="dask"):
        got = encoder.transform(pictures)
    workers = set(client.run(os.getpid).values())
    assert len(workers) == 2
    assert pids(tmp_path) and pids(tmp_path) <= workers
    np.testing.assert_array_equal(got, encoder.transform(pictures))


def test_a_lost_worker_does_not_lose_the_result(client, encoder, pictures, tmp_path):
    encoder.set_params(backbone=WitnessOf(tmp_path), cache=None)
    expected = encoder.fit(pictures).transform(pictures)
    one = encoder._encoder()
    one.backbone = Witness(str(tmp_path), kills=1)
    before = set(client.run(os.getpid).values())
    with joblib.parallel_config(backend="dask"):
        got = one.encode(as_images(pictures))
    np.testing.assert_array_equal(got, expected)
    assert (tmp_path / "killed-0").exists()
    client.wait_for_workers(2)
    assert set(client.run(os.getpid).values()) != before


def test_grid_search_on_the_cluster(client, encoder, pictures, labels):
    pipeline = make_pipeline(encoder, LogisticRegression())
    grid = {"logisticregression__C": [0.01, 1.0]}
    local = GridSearchCV(pipeline, grid, cv=2).fit(pictures, labels)
    with joblib.parallel_config(backend="dask"):
        search = GridSearchCV(clone(pipeline), grid, cv=2).fit(pictures, labels)
    for key in ("mean_test_score", "params"):
        assert list(search.cv_results_[key]) == list(local.cv_results_[key])


def test_classifier_and_texts_of_errors(client, make, pictures, paths, labels, cache):
    classifier = make(cache=cache, batch_size=4)
    expected = classifier.fit(pictures, labels).predict_proba(pictures)
    cache.clear()
    with joblib.parallel_config(backend="dask"):
        fitted = clone(classifier).fit(pictures, labels)
    assert cache.info()["misses"] == len(pictures)
    np.testing.assert_allclose(fitted.predict_proba(pictures), expected, atol=1e-6)
    Path(paths[13]).write_bytes(b"no picture")
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises(ImageLoadError, match=r"X\[13\].*13\.png"),
    ):
        classifier.embed(paths)


def test_other_versions_on_a_worker_are_an_error(client, encoder, pictures):
    def change():
        import modal_pretrain.embedding.encoder as module

        before, module._VERSIONS = module._VERSIONS, "other"
        return before

    encoder.fit(pictures)
    before = client.run(change)
    try:
        with (
            joblib.parallel_config(backend="dask"),
            pytest.raises(RuntimeError, match="A worker would compute other embedd"),
        ):
            encoder.transform(pictures)
    finally:
        for worker, versions in before.items():

            def restore(versions=versions):
                import modal_pretrain.embedding.encoder as module

                module._VERSIONS = versions

            client.run(restore, workers=[worker])


# Without a cluster --------------------------------------------------------------------


def test_nothing_is_spread_without_a_context(encoder, pictures, monkeypatch):
    monkeypatch.setattr("modal_pretrain.embedding.encoder.spread", None)
    assert n_workers() == 1
    encoder.fit(pictures).transform(pictures)
    with joblib.parallel_config(backend="threading", n_jobs=4):
        assert n_workers() == 1
        encoder.transform(pictures[::-1])


def test_nested_tasks_compute_themselves():
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert n_workers() == 2
        inner = joblib.Parallel()(joblib.delayed(n_workers)() for _ in range(2))
    assert inner == [1, 1]


def test_processes_of_this_machine(encoder, pictures, cache):
    expected = clone(encoder).set_params(cache=None).fit_transform(pictures)
    encoder.fit(pictures)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_array_equal(encoder.transform(pictures), expected)
    assert cache.info()["rows"] == len(pictures)


def test_several_threads_use_one_encoder(encoder, pictures):
    expected = encoder.fit(pictures).transform(pictures)
    encoder.set_params(cache=None)
    found = joblib.Parallel(4, backend="threading")(
        joblib.delayed(encoder.transform)(pictures) for _ in range(8)
    )
    for got in found:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("n, workers", [(1, 2), (24, 2), (1000, 3), (10**6, 200)])
def test_shards_are_whole_batches(n, workers):
    rows = shard_rows(n, workers, 64)
    assert rows % 64 == 0 and 64 <= rows <= 1024
    assert rows - 64 < n / (4 * workers) or rows == 64


# What travels -------------------------------------------------------------------------


def test_a_shared_backbone_travels_as_its_name(encoder, pictures):
    one = encoder.fit(pictures)._encoder()
    one.cache = EmbeddingCache()
    small = pickle.dumps(one)
    assert len(small) < 5_000
    other = pickle.loads(pickle.dumps(pickle.loads(small)))  # as dask does
    other.load()
    assert other.cache is None
    assert other.backbone is one.backbone  # loaded once in a process
    assert other.fingerprint() == one.fingerprint()
    one.backbone.conv_stem.weight.data.mul_(1)  # a trained copy has no recipe
    import copy

    one.backbone = copy.deepcopy(one.backbone)
    one.backbone.conv_stem.weight.data.mul_(2)
    other = pickle.loads(pickle.dumps(one))
    other.load()
    assert other.fingerprint() == one.fingerprint()


@pytest.fixture
def of_a_file(encoder, tmp_path, monkeypatch):
    """An encoder whose weights lie under a relative path."""
    monkeypatch.chdir(tmp_path)
    network = create_backbone(encoder.backbone, pretrained=False, random_state=7)
    torch.save(network.state_dict(), "weights.pth")
    return encoder.set_params(pretrained="weights.pth")


def test_relative_weights_are_found_in_other_directories(
    of_a_file, pictures, monkeypatch, tmp_path_factory
):
    one = of_a_file.fit(pictures)._encoder()
    packed = pickle.dumps(one)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    other = pickle.loads(packed)
    other.load()
    assert other.fingerprint() == one.fingerprint()


def test_weights_that_a_worker_lacks_are_an_error(client, of_a_file, pictures):
    one = of_a_file.fit(pictures)._encoder()  # loaded here
    Path("weights.pth").unlink()
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises(BackboneWeightsError, match="there is no such file"),
    ):
        one.encode(as_images(pictures))  # dask waited for ever


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def test_a_pickled_source_carries_its_rows_only(pictures, paths):
    kinds = {
        "array": pictures,
        "floats": pictures.transpose(0, 3, 1, 2) / 255.0,
        "paths": paths,
        "pil": objects([Image.fromarray(picture) for picture in pictures]),
        "list": list(pictures),
        "tensor": torch.tensor(pictures / 255.0).permute(0, 3, 1, 2).bfloat16(),
    }
    for kind, X in kinds.items():
        source = as_images(X)
        some = source.take([7, 3, 20]).take([2, 0])
        restored = pickle.loads(pickle.dumps(some))
        assert len(restored) == 2
        for i in range(2):
            np.testing.assert_array_equal(restored.load(i), some.load(i), err_msg=kind)
            assert restored.describe(i).split()[0] == some.describe(i).split()[0]
        again = pickle.loads(pickle.dumps(restored.take([1])))
        assert again.describe(0).startswith("X[7]")
        if kind in ("array", "floats", "list", "paths"):
            assert len(pickle.dumps(some)) < len(pickle.dumps(source)) / 3


def test_palette_and_orientation_survive_the_pickle(tmp_path):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    images = [Image.open(tmp_path / "a.jpg"), picture.convert("P")]
    source = as_images(images)
    restored = pickle.loads(pickle.dumps(source))
    for i in range(2):
        np.testing.assert_array_equal(restored.load(i), source.load(i))


def test_relative_paths_travel_absolute(paths, monkeypatch):
    folder = Path(paths[0]).parent
    monkeypatch.chdir(folder)
    data = pickle.dumps(as_images([path.name for path in map(Path, paths)]))
    monkeypatch.chdir("/" if sys.platform != "win32" else Path.home().anchor)
    assert pickle.loads(data).load(2).shape == (32, 32, 3)
