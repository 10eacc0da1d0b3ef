"""A third modality, registered from outside: everything works with it."""

import pickle
import types
from unittest import mock

import joblib
import numpy as np
import pytest
import torch
from modAL.dropout import mc_dropout_bald
from modAL.models import ActiveLearner, DeepActiveLearner
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from modal_pretrain import DiskCache, PretrainedClassifier, benchmark, modality
from modal_pretrain._modalities import KNOWN
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.cli.main import main
from modal_pretrain.datasets import registry
from tests.modality import signals
from tests.modality.data import make_signals
from tests.modality.signals import SignalClassifier, SignalEncoder
from tests.project.markdown import FENCE, ROOT
from tests.query.query_cases import STRATEGIES, call

DATASET = "tests.modality.data:make_signals"
KINDS = {
    "head": {"C": 1.0},
    "all": {"tune": "all", "max_steps": 30},
    "last": {"tune": 1, "max_steps": 30},
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def train():
    return make_signals().subset("train")


@pytest.fixture
def classifier(cache):
    def build(**params):
        defaults = {"random_state": 0, "device": "cpu", "precision": "float32"}
        return SignalClassifier(**{**defaults, "cache": cache, **params})

    return build


@kinds
def test_learns_and_repeats(classifier, train, kind):
    test = make_signals().subset("test")
    one = classifier(**KINDS[kind]).fit(train.X, train.y)
    assert one.score(test.X, test.y) > 0.9
    assert one.classes_.tolist() == ["fast", "slow"]
    two = clone(one).fit(train.X, train.y)
    np.testing.assert_array_equal(two.predict_proba(test.X), one.predict_proba(test.X))
    again = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(
        again.predict_proba(test.X), one.predict_proba(test.X)
    )
    before = one.predict_proba(test.X)
    one.partial_fit(train.X[:4], train.y[:4])
    assert (one.predict_proba(test.X) != before).any()


def test_auto_is_what_the_modality_says(classifier, train):
    net = classifier(tune="all", max_steps=3).fit(train.X, train.y)
    assert isinstance(net.optimizer_, torch.optim.Adam)
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01)


def test_its_parameters_belong_to_the_fit(classifier, train):
    net = classifier().fit(train.X, train.y).set_params(scale=2.0)
    with pytest.raises(ValueError, match=r"scale is 2\.0 now, .* or call fit again"):
        net.predict(train.X)
    net.fit(train.X, train.y).predict(train.X)


def test_embeddings_are_those_of_the_network(classifier, train):
    net = classifier(scale=2.0)
    found = net.embed(train.X)
    centred = 2 * (train.X - train.X.mean(axis=1, keepdims=True))
    network = net.fit(train.X, train.y).module_.backbone
    with torch.inference_mode():
        expected = network(torch.from_numpy(centred)[:, None])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_cache(classifier, train, cache, tmp_path):
    classifier().fit(train.X, train.y).predict(train.X)
    assert cache.info()["misses"] == 60
    classifier().embed(train.X[::-1])
    assert cache.info()["misses"] == 60
    changed = train.X.copy()
    changed[3, 5] += 1
    classifier().embed(changed)
    assert cache.info()["misses"] == 61
    classifier(scale=2.0).embed(train.X)  # the modality's own parameter counts
    assert cache.info()["misses"] == 61 + 60
    # All layers are PyTorch's, so what they give may outlive the process.
    disk = DiskCache(tmp_path)
    written = classifier(cache=disk).embed(train.X)
    fresh = DiskCache(tmp_path, memory_bytes=0)
    np.testing.assert_array_equal(classifier(cache=fresh).embed(train.X), written)
    assert fresh.info()["misses"] == 0


def test_workers_compute_the_same(classifier, train):
    here = classifier(cache=None, batch_size=4).embed(train.X)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        there = classifier(cache=None, batch_size=4).embed(train.X)
    np.testing.assert_array_equal(there, here)


def test_transformer(train, tmp_path):
    encoder = SignalEncoder(random_state=0, device="cpu", cache=None)
    pipeline = make_pipeline(encoder, LogisticRegression(C=10))
    search = GridSearchCV(pipeline, {"signalencoder__scale": [1.0, 3.0]}, cv=2)
    assert search.fit(train.X, train.y).best_score_ > 0.8
    encoder.fit(train.X)
    assert encoder.n_features_out_ == 32
    np.testing.assert_array_equal(
        encoder.embed_to(train.X, tmp_path / "x.npy"), encoder.transform(train.X)
    )


@pytest.mark.parametrize(
    "X", [np.zeros((3, 4, 5)), np.full((2, 8), np.nan), [1.0, 2.0], np.zeros((0, 8))]
)
def test_bad_signals(classifier, X):
    with pytest.raises(ValueError, match="X must hold finite signals of one length"):
        classifier().fit(X, [0] * len(X))


def test_unknown_parameters(classifier, train):
    for wrong, right in {"scael": "scale", "tnue": "tune"}.items():
        with pytest.raises(TypeError, match=f"no parameter '{wrong}'.*'{right}'"):
            classifier(**{wrong: 1}).fit(train.X, train.y)
    for other in ("image_size", "n_threads", "pooling"):
        with pytest.raises(TypeError, match=f"has no parameter '{other}'"):
            classifier(**{other: 1}).fit(train.X, train.y)


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies(classifier, train, name):
    learner = ActiveLearner(
        classifier(module__dropout=0.3, max_epochs=5),
        lambda *args, **kwargs: call(name, *args, **kwargs),
        train.X[:8],
        train.y[:8],
    )
    rows, queried = learner.query(train.X[8:], n_instances=3)
    assert len(set(np.asarray(rows).tolist())) == 3
    np.testing.assert_array_equal(queried, train.X[8:][rows])
    learner.teach(queried, train.y[8:][rows])
    assert learner.X_training.shape == (11, 64)


def test_dropout_strategy_of_modal(classifier, train):
    net = classifier(module__dropout=0.4, max_epochs=5, classes=["fast", "slow"])
    learner = DeepActiveLearner(net, query_strategy=mc_dropout_bald)
    learner.teach(train.X[:8], train.y[:8])
    torch.manual_seed(0)
    found = learner.query(torch.tensor(train.X[8:]), n_instances=4, num_cycles=3)
    assert len(set(np.asarray(found[0]).tolist())) == 4


def settings(**more):
    return {
        "dataset": DATASET,
        "models": ["random-init"],
        "strategies": ["uncertainty", "random"],
        "seeds": 1,
        "seed_set": 4,
        "batch": 4,
        "rounds": 2,
        "estimator": {"device": "cpu", "C": 1.0, **more},
    }


def test_benchmark_and_report(tmp_path):
    benchmark.run(settings(), tmp_path, examples=3, verbose=False)
    records = benchmark.load(tmp_path)
    assert set(records["strategy"]) >= {"uncertainty", "random"}
    assert records.groupby("strategy")["accuracy"].last().min() > 0.6
    pictures = list(tmp_path.glob("*/examples/*.jpg"))
    assert len(pictures) > 0
    with Image.open(pictures[0]) as picture:
        assert picture.size == (96, 64)
    html = write_report(tmp_path, tmp_path).html.read_text()
    assert "data:image/jpeg" in html
    with pytest.raises(ValueError, match=r"no parameter of the classifier 'scael'.*"):
        benchmark.run(settings(scael=2), tmp_path / "other", verbose=False)


def test_command_line(tmp_path):
    flags = "--models random-init --strategies random --seeds 1 --seed-set 4 --batch 4"
    given = ["bench", "--dataset", DATASET, *flags.split(), "--rounds", "1", "--quiet"]
    assert main([*given, "--references", "--out", str(tmp_path)]) in (None, 0)
    (data,) = tmp_path.glob("*/data.json")
    assert '"modality": "signal"' in data.read_text()
    assert registry.modality_of(DATASET, {}) == "signal"
    assert main([*given, "--image-size", "64", "--out", str(tmp_path)]) != 0


def test_the_page_shows_this_modality():
    source = (ROOT / "tests" / "modality" / "signals.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    code = source.partition('"""\n\n')[2]
    assert code in [match["code"] for match in FENCE.finditer(page)]


def test_the_package_does_not_know_it():
    for path in (ROOT / "modal_pretrain").rglob("*.py"):
        assert "SIGNALS" not in path.read_text(encoding="utf-8")


@pytest.fixture
def registry_alone():
    with mock.patch.dict(KNOWN):
        yield


def test_names_are_taken_once(registry_alone):
    class Other(signals.Signals):
        pass

    assert modality.register(signals.Signals()).name == "signal"  # a cell ran again
    with pytest.raises(ValueError, match="a modality 'signal' already"):
        modality.register(Other())
    Other.name = "image"
    with pytest.raises(ValueError, match="a modality 'image' already"):
        modality.register(Other())
    Other.name = "text"
    with pytest.raises(ValueError, match="a modality 'text' already"):
        modality.register(Other())


def test_what_a_modality_must_have(registry_alone):
    class Half(modality.Modality):
        name = "half"

        def read(self, X, estimator, *, reset=False):
            return X

    with pytest.raises(TypeError, match="abstract"):
        Half()
    for wrong in (signals.Signals, types.SimpleNamespace(name="half", read=len)):
        with pytest.raises(TypeError, match="must be an instance of a subclass of"):
            modality.register(wrong)


def test_lookup():
    assert modality.lookup("signal") is signals.SIGNALS
    assert modality.lookup("image").classifier() is PretrainedClassifier
    assert {"image", "text", "signal"} <= set(modality.names())
    with pytest.raises(ValueError, match=r"got 'signl'\. Did you mean 'signal'\?"):
        modality.lookup("signl")
