"""Tokens."""

import enum
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from modal_pretrain import TextEncoder
from modal_pretrain.text.backbone import POOLINGS, create_text_backbone
from modal_pretrain.text.stated import position_limit
from modal_pretrain.text.tokens import Tokenization, TruncatedTextWarning
from tests.text.cases import (
    SIZES,
    WORDS,
    tiny_tokenizer,
)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_embedding_does_not_depend_on_its_batch(text_classifier, texts, pooling):
    classifier = text_classifier(pooling=pooling, cache=None)
    together = classifier.embed(texts)
    single = np.concatenate([classifier.embed([text]) for text in texts])
    np.testing.assert_allclose(together, single, atol=1e-5)
    np.testing.assert_allclose(classifier.embed(texts[::-1])[::-1], single, atol=1e-5)
    assert abs(single).mean() > 0.1


class TwoWays(torch.nn.Module):
    """Reads texts from both ends, and the padding with them."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(len(WORDS), 8)
        self.layer = torch.nn.LSTM(8, 8, bidirectional=True, batch_first=True)

    def forward(self, input_ids, attention_mask):
        hidden, _ = self.layer(self.words(input_ids))
        return SimpleNamespace(last_hidden_state=hidden)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("kind", ["FNet", "ConvBERT", "own"])
def test_models_that_read_the_padding_are_refused(kind, pooling):
    sizes = {k: v for k, v in SIZES.items() if "heads" not in k}
    made = {
        "FNet": lambda: transformers.FNetModel(
            transformers.FNetConfig(**sizes, pad_token_id=0)
        ),
        # Its convolutions reach a little into the padding.
        "ConvBERT": lambda: transformers.ConvBertModel(
            transformers.ConvBertConfig(**SIZES, embedding_size=32)
        ),
        "own": TwoWays,
    }[kind]
    with pytest.raises(ValueError, match="the padding counts in it"):
        create_text_backbone(lambda: (made(), tiny_tokenizer()), False, pooling=pooling)


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
    allowed = "None or a whole number of at least 1|an int from 3 to 40"
    with pytest.raises(ValueError, match=f"max_length must be ({allowed})"):
        text_classifier(max_length=max_length).embed(texts)


def test_bad_pooling(text_classifier, texts):
    with pytest.raises(ValueError, match="None or 'mean', 'cls' or 'last', got 'max'"):
        text_classifier(pooling="max").embed(texts)


def test_positions_that_count_from_the_padding_on(tmp_path):
    config = transformers.RobertaConfig(**SIZES, pad_token_id=0)
    model = transformers.RobertaModel(config)
    assert position_limit(model) == 39
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(tmp_path)
    transformers.utils.logging.enable_progress_bar()
    tiny_tokenizer().save_pretrained(tmp_path)
    encoder = TextEncoder(tmp_path, device="cpu", cache=None)
    with pytest.warns(TruncatedTextWarning, match="max_length=39"):
        assert np.isfinite(encoder.fit_transform([" ".join(["film"] * 60)])).all()


class Film(str, enum.Enum):
    GOOD = "a lovely film"


def test_enumerations_are_their_texts(text_classifier):
    classifier = text_classifier()
    np.testing.assert_array_equal(
        classifier.embed([Film.GOOD]), classifier.embed(["a lovely film"])
    )


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_texts_without_a_token(pooling):
    tokenizer = tiny_tokenizer()
    backend = tokenizer.backend_tokenizer
    backend.post_processor = tokenizers.processors.TemplateProcessing("$A", None, [])
    backend.normalizer = tokenizers.normalizers.Replace("?", "")

    def factory():
        return transformers.BertModel(transformers.BertConfig(**SIZES)), tokenizer

    encoder = TextEncoder(factory, pretrained=False, pooling=pooling, cache=None)
    with pytest.raises(ValueError, match=r"the text '\?\?', of which.*makes no token"):
        encoder.fit_transform(["a lovely film", "??"])


def test_no_name_is_no_folder():
    with pytest.raises(ValueError, match="backbone='' is no name"):
        TextEncoder("").fit(["a film"])


class _Rude:
    """A tokenizer that cuts as the last call said, as those of Hugging Face do."""

    pad_token_id = 0

    def __call__(self, texts, max_length=99, **params):
        self.cut_at = max_length
        time.sleep(0.01)
        return {"input_ids": [[1] * min(self.cut_at, len(text)) for text in texts]}


def test_threads_do_not_cut_each_others_texts():
    whole, wrong = Tokenization(_Rude(), 50), []
    whole._rules = ""

    def work(tokenization, expected):
        for _ in range(10):
            (row,), _ = tokenization.tokenise(["x" * 40])
            if len(row) != expected:
                wrong.append((len(row), expected))

    threads = [
        threading.Thread(target=work, args=(tokenization, expected))
        for tokenization, expected in ((whole, 40), (whole.limited(5), 5))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_examples_are_of_words_that_the_tokenizer_knows():
    tokenizer = tiny_tokenizer()
    short, long = Tokenization(tokenizer, 64).examples()
    special = set(tokenizer.all_special_ids)
    for batch in (short, long):
        assert len(set(batch[:, 0].ravel().tolist()) - special) > 1
    assert short.shape[2] < long.shape[2]
