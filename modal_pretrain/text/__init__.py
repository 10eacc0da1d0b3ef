"""Texts: a classifier and an encoder on pretrained language models.

They need the extra: ``pip install "modal_pretrain[text]"``. It takes seconds to import,
so that happens when one of the names is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modal_pretrain.text.classifier import PretrainedTextClassifier
    from modal_pretrain.text.encoder import TextEncoder

__all__ = ["PretrainedTextClassifier", "TextEncoder"]


def __getattr__(name: str) -> Any:
    if name == "PretrainedTextClassifier":
        from modal_pretrain.text.classifier import PretrainedTextClassifier

        return PretrainedTextClassifier
    if name == "TextEncoder":
        from modal_pretrain.text.encoder import TextEncoder

        return TextEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
