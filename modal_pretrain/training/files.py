"""Files that skorch saves a net to and loads it from: named where they do not serve."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from skorch.exceptions import SkorchException

from modal_pretrain._identity import file_identity
from modal_pretrain.backbones.weights import BackboneWeightsError, recorded_loads


@contextlib.contextmanager
def loading(given: Mapping[str, Any]) -> Iterator[None]:
    """Name the files if skorch fails to load them, and check what they hold.

    Parameters
    ----------
    given : mapping of str to path, file or None
        By the names that `load_params` has for them.

    Raises
    ------
    OSError
        If there is no regular file: a FIFO would keep its reader waiting for ever.
    BackboneWeightsError
        If a file is damaged, is of another net, or holds NaN or no floats.
    """
    for file in given.values():
        if isinstance(file, str | os.PathLike):
            with contextlib.suppress(FileNotFoundError):  # which skorch names
                file_identity(file)
    question = "Was it saved by save_params of such a net?"
    with _named(given, "can't be loaded", question), recorded_loads():
        yield


@contextlib.contextmanager
def saving(given: Mapping[str, Any]) -> Iterator[None]:
    """Name the files if skorch fails to save to them.

    Parameters
    ----------
    given : mapping of str to path, file or None
        By the names that `save_params` has for them.

    Raises
    ------
    BackboneWeightsError
        If that fails for other reasons than those an OSError names.
    """
    with _named(given, "can't be saved", "Is there a folder, and room on the disk?"):
        yield


@contextlib.contextmanager
def _named(given: Mapping[str, Any], problem: str, question: str) -> Iterator[None]:
    try:
        yield
    except SkorchException:
        raise
    except Exception as error:  # of pickle, zipfile, json, PyTorch, safetensors
        if isinstance(error, OSError) and error.filename is not None:
            raise
        files = {name: file for name, file in given.items() if file is not None}
        shown = ", ".join(f"{name}={file!r:.200}" for name, file in files.items())
        if "_orig_mod." in str(error):  # torch.compile's prefix
            apart = 'Missing key(s) in state_dict: "_orig_mod.' in str(error)
            question = (
                f"It was saved with compile={not apart}: load it with that, too, "
                f"net.set_params(compile={not apart}).initialize()."
            )
        raise BackboneWeightsError(
            f"{shown} {problem}: {type(error).__name__}: {error}. {question}"
        ) from error
