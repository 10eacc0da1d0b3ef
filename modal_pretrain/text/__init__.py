"""Texts: a classifier and an encoder on pretrained language models.

They need the extra: ``pip install "modal_pretrain[text]"``. It takes seconds to import,
so that happens when one of the names is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modal_pretrain.text.estimators import PretrainedTextClassifier, TextEncoder

__all__ = ["PretrainedTextClassifier", "TextEncoder"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from modal_pretrain.text import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
