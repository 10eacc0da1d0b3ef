"""What the tests of this folder share."""

from importlib.util import find_spec

import pytest
import tokenizers
import transformers

if not find_spec("transformers"):
    pytest.skip('needs the extra "text"', allow_module_level=True)

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


KINDS = {
    "head": {},
    "dropout": {"module__dropout": 0.3, "max_epochs": 5},
    "all": {"tune": "all"},
    "last": {"tune": 1},
}
