"""What files beside the weights of a text model say about its use.

Length limits are in the model's configuration, the tokenizer's, and that of
sentence-transformers, which alone says how tokens become one embedding, and whether
texts are lowered.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from modal_pretrain.backbones.folder import may_be_of
from modal_pretrain.backbones.weights import BackboneWeightsError

# Where neither tokenizer nor model says how much they read.
_USUAL_LENGTH = 512
# In the configuration of sentence-transformers' pooling, one switch for each kind.
_SWITCH = "pooling_mode_"
_KINDS = {"cls_token": "cls", "mean_tokens": "mean", "lasttoken": "last"}
# Its modules that are not applied; others in the way of the pooling make it another.
_LEFT_OUT = ("Dense", "Normalize", "LayerNorm", "Dropout")


def position_limit(model: nn.Module) -> int | None:
    """Return how many positions a model has, or None where there is no limit."""
    config = getattr(model, "config", None)
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    for module in model.modules():
        # RoBERTa and its kin count positions from the padding's number on.
        if isinstance(module, nn.Embedding) and module.num_embeddings == limit:
            return limit - (0 if module.padding_idx is None else module.padding_idx + 1)
    return limit


def stated_length(model: nn.Module, tokenizer: Any, where: Any = None) -> int:
    """Return the number of tokens that a model was made for."""
    stated = _read(where, "sentence_bert_config.json") or {}
    # What is stated for the model takes the place of what its tokenizer says.
    given = stated.get("max_seq_length"), getattr(tokenizer, "model_max_length", None)
    # Tokenizers that have no limit state a number beyond all texts.
    own = [n for n in given if type(n) is int and 0 < n < 10**6][:1]
    limit = position_limit(model)
    known = own if limit is None else [limit, *own]
    return min(known, default=_USUAL_LENGTH)


def stated_case(tokenizer: Any, where: Any) -> None:
    """Have a tokenizer lower what it reads, if sentence-transformers' files say so.

    The tokenizer's own files need not: those of cased models do not.
    """
    stated = _read(where, "sentence_bert_config.json") or {}
    if not stated.get("do_lower_case"):
        return
    tokenizer.lowered = True  # for `is_lowered`
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        tokenizer.do_lower_case = True
        tokenizer.init_kwargs["do_lower_case"] = True  # by which caches tell it
        return
    from tokenizers.normalizers import Lowercase, Sequence

    own = backend.normalizer
    backend.normalizer = Sequence([Lowercase(), *([] if own is None else [own])])


def is_lowered(tokenizer: Any) -> bool:
    """Say whether sentence-transformers' files had a tokenizer lower what it reads."""
    return getattr(tokenizer, "lowered", False)


def stated_pooling(where: Any) -> str:
    """Return the pooling that a model was made for.

    Parameters
    ----------
    where : Path or str
        A folder, or a name on the hub.

    Returns
    -------
    str
        "mean", where nothing is stated, "cls", "last", or the words of
        sentence-transformers for a kind that is not among these, for a module that
        computes what is pooled, or pools itself, or for several that pool.
    """
    where = _whole(where)
    parts = _read(where, "modules.json", list) or ()
    if [_kind(part) for part in parts].count("Pooling") > 1:
        return "more than one Pooling of modules.json"
    for part in parts:
        kind = _kind(part)
        if kind.endswith("Transformer") or kind in _LEFT_OUT:
            continue
        if kind != "Pooling":
            return f"{kind} of modules.json"
        name = f"{part.get('path')}/config.json"
        config = _read(where, name)
        if config is None:
            return f"{name} is not there"
        kinds = config.get("pooling_mode")
        if kinds is None:
            kinds = [
                _KINDS.get(key.removeprefix(_SWITCH), key.removeprefix(_SWITCH))
                for key, on in config.items()
                if key.startswith(_SWITCH) and on
            ]
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " and ".join("last" if k == "lasttoken" else str(k) for k in kinds)
    return "mean"


def _kind(part: Any) -> str:
    """Return the name of a module's class, without the package's."""
    kind = part.get("type") if isinstance(part, dict) else None
    return str(kind or _LEFT_OUT[0]).rpartition(".")[2]


def _whole(where: Any) -> Any:
    """Return the folder of which this is the network alone, if it is, or itself.

    Older versions of sentence-transformers put it beside the pooling's folder.
    """
    if isinstance(where, Path) and not (where / "modules.json").exists():
        for whole, name in may_be_of(where):
            for part in _read(whole, "modules.json", list):
                if isinstance(part, dict) and part.get("path") == name:
                    return whole
    return where


def network_apart(folder: Path) -> Path | None:
    """Return the folder in this one that holds its network, if it is not itself."""
    if (folder / "config.json").exists() or not (folder / "modules.json").is_file():
        return None
    for part in _read(folder, "modules.json", list):
        path = part.get("path") if isinstance(part, dict) else None
        if path and (folder / str(path) / "tokenizer_config.json").is_file():
            return folder / str(path)
    return None


def models_in(folder: Path) -> list[Path]:
    """Return the folders in this one that hold models, newest last, if it holds none.

    A training writes its checkpoints so. Their tokenizer may be elsewhere.
    """
    if (folder / "config.json").exists():
        return []
    configs = [path for path in folder.glob("*/config.json") if path.is_file()]
    # Others are of poolings and the like.
    models = [p.parent for p in configs if b'"model_type"' in p.read_bytes()]
    return sorted(models, key=lambda path: (path.stat().st_mtime, path.name))


def _read(where: Any, name: str, kind: type = dict) -> Any:
    """Return what a JSON file beside a model holds, None where there is none."""
    if not where:
        return None
    # After the model was found there: on the hub most have none, and say so again.
    from transformers.utils import cached_file

    found = cached_file(
        where,
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if not found:
        return None
    try:
        value = json.loads(Path(found).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise BackboneWeightsError(
            f"{found} is no JSON ({error}). Restore it: it says how the model reads "
            "texts."
        ) from error
    if not isinstance(value, kind):
        raise BackboneWeightsError(
            f"{found} must hold a JSON {'array' if kind is list else 'object'}, got "
            f"{value!r:.60}. Restore it: it says how the model reads texts."
        )
    return value
