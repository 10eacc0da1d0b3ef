"""Texts as a backbone's input: token numbers and where they are padded.

The tokenizer is passed in: nothing here imports transformers.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modal_pretrain._fork import Lock
from modal_pretrain.text.accept import TextSource

# Texts tokenised in one call: enough for the tokenizer's own threads.
_CHUNK = 2048
_WORDS = 12  # of an example
# Texts from which on a conversion to a faster engine pays, see docs/speed.md.
_LONG_PASS = 1000
# A call sets how its tokenizer cuts, for all threads; and a fork may not take along
# what holds it.
_ONE_CALL = Lock(waits=True)


class TruncatedTextWarning(UserWarning):
    """Texts are longer than the backbone reads; what is past its limit is ignored."""


class Tokenization:
    """How texts become numbers.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int
        Tokens of a text that are kept, special ones included.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        # Without a padding token any will do: the mask hides it.
        self.padding = tokenizer.pad_token_id or 0

    def fingerprint(self) -> str:
        """Name everything that the numbers depend on beside the text."""
        return f"{self._rules} {self.max_length}"

    @functools.cached_property
    def _rules(self) -> str:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            # Its vocabulary does not tell merges, switches and languages.
            given = getattr(self.tokenizer, "init_kwargs", {}).items()
            switches = {name: v for name, v in given if isinstance(v, bool)}
            parts = [self.tokenizer.get_vocab(), switches, self._saved()]
            rules = json.dumps(parts, sort_keys=True)
        else:
            # Truncation and padding are set anew in every call.
            parts = json.loads(backend.to_str())
            rules = json.dumps({**parts, "truncation": None, "padding": None})
        return " ".join(
            [
                type(self.tokenizer).__qualname__,
                hashlib.sha256(rules.encode()).hexdigest(),
                str(self.padding),
                version("transformers"),
                version("tokenizers"),
                *self._unusual(),
            ]
        )

    def _saved(self) -> list[str]:
        """Return the files that a tokenizer of transformers consists of."""
        if not hasattr(self.tokenizer, "save_pretrained"):
            return []
        with tempfile.TemporaryDirectory() as folder:
            self.tokenizer.save_pretrained(folder)
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return [path.read_bytes().hex() for path in files]

    def _unusual(self) -> list[str]:
        """Name what a tokenizer says in every call, and its rules do not hold."""
        usual = {"truncation_side": "right", "split_special_tokens": False}
        now = {name: getattr(self.tokenizer, name, usual[name]) for name in usual}
        return [f"{name}={now[name]}" for name in usual if now[name] != usual[name]]

    def limited(self, max_length: int) -> Tokenization:
        """Return the same with another `max_length`."""
        other = Tokenization(self.tokenizer, max_length)
        other._rules = self._rules  # a vocabulary takes a while to hash
        return other

    def tokenise(self, texts: Sequence[str]) -> tuple[list[np.ndarray], int]:
        """Return the tokens of each text, int64 (length,), and how many were cut."""
        rows = self._numbers(list(texts))
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise ValueError(
                    f"X has the text {text!r:.60}, of which the backbone's tokenizer "
                    "makes no token. Drop the row, or have the tokenizer add special "
                    "tokens."
                )
        long = [i for i, row in enumerate(rows) if len(row) > self.max_length]
        if long:
            cut = self._numbers(
                [texts[i] for i in long], truncation=True, max_length=self.max_length
            )
            for i, row in zip(long, cut, strict=True):
                rows[i] = row
        return [np.asarray(row, dtype=np.int64) for row in rows], len(long)

    def _numbers(self, texts: list[str], **params) -> list[list[int]]:
        with _ONE_CALL:
            return self.tokenizer(
                texts,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,  # longer texts than the model reads are counted here
                **params,
            )["input_ids"]

    def pad(self, rows: Sequence[np.ndarray], width: int = 0) -> torch.Tensor:
        """Stack tokens and their mask: int64 (n, 2, length), padded on the right.

        Parameters
        ----------
        rows : sequence of numpy.ndarray
        width : int, default=0
            The least length.
        """
        width = max(width, *map(len, rows))
        batch = np.zeros((len(rows), 2, width), dtype=np.int64)
        batch[:, 0] = self.padding
        for i, row in enumerate(rows):
            batch[i, 0, : len(row)] = row
            batch[i, 1, : len(row)] = 1
        return torch.from_numpy(batch)

    def batches(self, source: TextSource, batch_size: int) -> Iterator[torch.Tensor]:
        """Yield the texts in order as tensors like `pad`'s; warn of what was cut."""
        step = max(_CHUNK // batch_size, 1) * batch_size
        n_cut = 0
        for start in range(0, len(source), step):
            texts = source.take(slice(start, start + step)).texts()
            rows, n = self.tokenise(texts)
            n_cut += n
            for i in range(0, len(rows), batch_size):
                yield self.pad(rows[i : i + batch_size])
        self.warn(n_cut, len(source))

    def prepare(self, batch: torch.Tensor) -> torch.Tensor:
        """Return tokens as they are: the backbone takes numbers."""
        return batch

    row_shape = (2, None)

    def examples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a batch of two texts and one of three, of which two are longer.

        Of words from all over the vocabulary: what a tokenizer does not know is all
        the same token, which hides what becomes of the others.
        """
        special = set(self.tokenizer.all_special_ids)
        known = sorted(set(self.tokenizer.get_vocab().values()) - special)
        n = min(_WORDS, len(known))
        words = self.tokenizer.batch_decode(
            [[known[i * len(known) // n]] for i in range(n)]
        )
        words = [word.strip() for word in words if word.strip()] or ["one"]
        short, long = words[-1], " ".join(words)
        some, _ = self.tokenise([short, f"{short} {words[0]}", long, f"{long} {long}"])
        return self.pad(some[:2]), self.pad(some[1:])

    def traced(self, batch: torch.Tensor) -> torch.Tensor:
        """Return tokens as they are."""
        return batch

    def quicker(self) -> Tokenization:
        """Return itself: tokens are what they are."""
        return self

    def takes_long(self, n: int) -> bool:
        """Say whether n texts of a usual length take longer than a conversion."""
        return n >= _LONG_PASS

    def warn(self, n_cut: int, n: int) -> None:
        """Say how many of n texts were cut, if any."""
        if n_cut:
            warnings.warn(
                f"{n_cut} of {n} texts are longer than max_length={self.max_length} "
                "tokens: the rest of each is ignored. Give a larger max_length if the "
                "backbone reads more.",
                TruncatedTextWarning,
                stacklevel=2,
            )

    def __deepcopy__(self, memo: Any) -> Tokenization:
        return self  # nothing here changes
