"""Names of backbones: timm's, the hub's and those of folders."""

from __future__ import annotations

import difflib
from pathlib import Path

import timm

from modal_pretrain._identity import expanded


def local_folder(name: str) -> Path | None:
    """Return the folder of a name such as "local-dir:~/weights", None for others."""
    source, _, path = name.partition(":")
    return expanded(path) if source.lower() == "local-dir" and path else None


def check_name(name: str) -> None:
    """Raise ValueError if a name is none of timm's, with the nearest that are.

    Names of the hub and of folders, which have a colon, are not looked up.
    """
    if name.lower().startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        return
    if timm.models.is_model(name):
        architecture, _, tag = name.partition(".")
        tagged = timm.list_pretrained(f"{architecture}.*")
        if tag and name not in tagged:
            raise ValueError(
                f"backbone={name!r}: timm knows no weights {tag!r} of "
                f"{architecture!r}, only {', '.join(map(repr, tagged)) or 'none'}."
            )
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise ValueError(
        f"backbone={name!r} is not a timm model.{hint} timm.list_models() lists them; "
        "models on the Hugging Face hub are written 'hf-hub:owner/model', those in a "
        "folder 'local-dir:path'."
    )
