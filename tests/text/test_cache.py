"""Embeddings of texts that are kept."""

import json
import warnings
from functools import partial

import numpy as np
import pytest
import transformers
from safetensors.torch import load_file, save_file
from sklearn.base import clone

from modal_pretrain import (
    DiskCache,
    TextEncoder,
)
from modal_pretrain.backbones.device import seeded
from modal_pretrain.backbones.fingerprint import is_portable
from modal_pretrain.text.backbone import (
    shared_text_backbone,
)
from modal_pretrain.text.tokens import Tokenization, TruncatedTextWarning
from tests import processes
from tests.text.cases import SIZES, tiny_tokenizer


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


@pytest.mark.parametrize(
    "setting", [{"truncation_side": "left"}, {"split_special_tokens": True}]
)
def test_a_tokenizer_set_otherwise_has_other_embeddings(cache, setting):
    def made(**settings):
        tokenizer = tiny_tokenizer()
        for name, value in settings.items():
            setattr(tokenizer, name, value)
        with seeded(0):
            return transformers.BertModel(transformers.BertConfig(**SIZES)), tokenizer

    texts = ["[SEP] dull a lovely film", "[PAD] a clever story"]
    params = {"pretrained": False, "max_length": 5, "device": "cpu", "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncatedTextWarning)
        one = TextEncoder(made, cache=cache, **params).fit_transform(texts)
        other = partial(made, **setting)
        two = TextEncoder(other, cache=cache, **params).fit_transform(texts)
        alone = TextEncoder(other, cache=None, **params).fit_transform(texts)
    np.testing.assert_array_equal(two, alone)
    assert (one != two).any()


def test_switches_of_a_tokenizer_in_python_count():
    class Slow:
        pad_token_id = 0

        def __init__(self, **switches):
            self.init_kwargs = {"vocab_file": "/somewhere", **switches}

        def get_vocab(self):
            return {"a": 0}

    names = {
        Tokenization(Slow(do_lower_case=x), 9).fingerprint() for x in (True, False)
    }
    assert len(names) == 2


def test_merges_of_a_tokenizer_in_python_count(tmp_path):
    def made(name, merges):
        words = ["<unk>", "low@@", "l@@", "o@@", "w@@", "lo@@", "ow@@", "r"]
        folder = tmp_path / name
        folder.mkdir()
        vocabulary = {word: i for i, word in enumerate(words)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("\n".join(["#version", *merges, ""]))
        tokenizer = transformers.CTRLTokenizer.from_pretrained(folder)
        return Tokenization(tokenizer, 9)

    one, two = made("one", ["l o"]), made("two", ["o w"])
    assert (
        one.tokenise(["lowr"])[0][0].tolist() != two.tokenise(["lowr"])[0][0].tolist()
    )
    assert one.fingerprint() != two.fingerprint()
    assert one.fingerprint() == made("copy", ["l o"]).fingerprint()  # elsewhere


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
    with pytest.raises(ValueError, match="has other weights now"):
        encoder.transform(texts)
    assert (encoder.fit(texts).transform(texts) != before).any()


def test_a_folder_under_the_home_directory_is_loaded_anew_too(
    folder, tmp_path, texts, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "m").mkdir()
    for path in folder.iterdir():
        (tmp_path / "m" / path.name).write_bytes(path.read_bytes())
    encoder = TextEncoder("~/m", device="cpu", cache=None).fit(texts)
    before = encoder.transform(texts)
    state = load_file(tmp_path / "m" / "model.safetensors")
    key = next(key for key in state if key.endswith("word_embeddings.weight"))
    state[key] = state[key] * 2
    save_file(state, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    after = encoder.fit(texts).transform(texts)
    assert (after != before).any()
    absolute = TextEncoder(tmp_path / "m", device="cpu", cache=None).fit(texts)
    np.testing.assert_array_equal(absolute.transform(texts), after)


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
    assert processes.run(code, argument).strip() == "0"
