"""Frozen stages computed once: what trains sees their output, not the pictures.

With ``tune=k`` most of the network is the same in every step, fit and query. Its
output is kept in memory, by the content of the rows, and only the stages that train
run on it. `modal_pretrain.backbones.split` says where a network is cut, and whether.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.fx import GraphModule

from modal_pretrain.backbones.split import FrozenStages, Split, split, twin_of
from modal_pretrain.cache.memory import EmbeddingCache
from modal_pretrain.embedding.encoder import Encoder
from modal_pretrain.embedding.source import Source
from modal_pretrain.modality import Examples
from modal_pretrain.training.examples import ExampleSet, RawSet
from modal_pretrain.training.network import PretrainedNetwork

# Of all networks together. Labelled rows may take a quarter of it and a pool the rest;
# rows of a pool beyond that pass the whole network every time.
MAX_BYTES = 1024**3
_ROWS = EmbeddingCache(MAX_BYTES)
_OF_POOL = 0.75
# Rows that are looked up at a time.
_BLOCK = 1024


class Front(NamedTuple):
    """How frozen stages are computed.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"}
        By what, see docs/speed.md. What trains stays with PyTorch.
    keep : bool, default=True
        Whether rows stay in memory when the examples are gone.
    folder : Path or None, default=None
        Where the converted stages are kept for other processes.
    """

    engine: str
    keep: bool = True
    folder: Path | None = None


class _FrontEncoder(Encoder):
    """The frozen stages as an encoder; a row at the cut is its embedding.

    It computes in this process: traced networks do not travel.
    """

    def __init__(self, encoder: StagedEncoder, cut: Split, dtype: torch.dtype) -> None:
        engine, keep, folder = encoder.front
        super().__init__(
            FrozenStages(cut.front),
            encoder.preprocessing,
            device=encoder.device,
            dtype=dtype,
            cache=_ROWS if keep else None,
            batch_size=encoder.batch_size,
            n_threads=encoder.n_threads,
            engine=engine,
            verbose=encoder.verbose,
        )
        self._folder = folder

    def _networks_folder(self) -> Path | None:
        return self._folder

    def _spread(self, source: Source) -> np.ndarray:
        return self.compute(source)


class StagedSet(ExampleSet):
    """Examples whose backbone trains in part: rows at the cut.

    Parameters
    ----------
    raw : RawSet
        The same examples as the backbone takes them; it has a `StagedEncoder`.
    cut : Split
    number : int
        Of the cut among the network's.
    dtype : torch.dtype
        What the network is going to compute in.
    """

    def __init__(
        self, raw: RawSet, cut: Split, number: int, dtype: torch.dtype
    ) -> None:
        super().__init__(len(raw), raw.y)
        self.raw, self.cut, self.number, self.dtype = raw, cut, number, dtype
        assert isinstance(raw.encoder, StagedEncoder)
        self._front = _FrontEncoder(raw.encoder, cut, dtype)
        self._loaded: torch.Tensor | None = None
        self._n_kept = len(raw) if raw.encoder.front.keep else 0
        self._n_kept = min(self._n_kept, int(_OF_POOL * MAX_BYTES) // cut.row_bytes)

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Return ``features`` and their ``cut``, or the raw inputs of too many."""
        if len(self) * self.cut.row_bytes > (1 - _OF_POOL) * MAX_BYTES:
            return self.raw.inputs(indices)
        if self._loaded is None:
            self._loaded = self._features(self.raw.source)
        return self._batch(self._loaded[torch.from_numpy(indices)])

    def stream(self, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the inputs of all examples in order, features first."""
        source, n_kept = self.raw.source, self._n_kept // batch_size * batch_size
        if self._n_kept == len(self):
            n_kept = len(self)
        if n_kept:
            yield from self._stream_kept(source.take(np.arange(n_kept)), batch_size)
        if n_kept < len(self):
            rest = source.take(np.arange(n_kept, len(self)))
            yield from RawSet(rest, self.raw.encoder).stream(batch_size)

    def _stream_kept(
        self, source: Source, batch_size: int
    ) -> Iterator[dict[str, torch.Tensor]]:
        block = max(_BLOCK // batch_size, 1) * batch_size
        with self._front.one_pass(source):  # of all blocks, which one engine computes
            for start in range(0, len(source), block):
                rows = source.take(np.arange(start, min(start + block, len(source))))
                for features in self._features(rows).split(batch_size):
                    yield self._batch(features)

    def _batch(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": features, "cut": torch.full((len(features),), self.number)}

    def _features(self, source: Source) -> torch.Tensor:
        rows = torch.from_numpy(self._front.encode(source))
        return self.cut.restored(rows.to(self._front.device), self.dtype)


class StagedEncoder(Encoder):
    """The encoder of a backbone that trains in part, for embeddings on its way.

    Parameters
    ----------
    encoder : Encoder
        Of the whole backbone. Its engine and cache are for the frozen stages; the
        others have weights that move on.
    network : PretrainedNetwork
    """

    def __init__(self, encoder: Encoder, network: PretrainedNetwork) -> None:
        self.__dict__.update(encoder.__dict__)
        keep = encoder.cache is not None
        self.front = Front(encoder.engine, keep, encoder._networks_folder())
        self.engine, self.cache = "torch", None
        self._network = network

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_network": None}  # workers do not cut

    def _spread(self, source: Source) -> np.ndarray:
        found = staged(RawSet(source, self), self._network, self.dtype)
        if not isinstance(found, StagedSet):
            return super()._spread(source)
        return self._gather(self._staged_blocks(found), len(source))

    def _staged_blocks(self, examples: StagedSet) -> Iterator[np.ndarray]:
        late = copy(self)
        late.backbone = examples.cut.rest
        self.backbone.eval()
        with torch.no_grad():
            for batch in examples.stream(self._rows_a_batch(examples.raw.source)):
                at_cut = "features" in batch
                encoder = late if at_cut else self
                inputs = batch["features" if at_cut else "inputs"]
                yield encoder._fetch(inputs, encoder._apply(inputs, self.dtype))


def staged(
    examples: Examples, network: PretrainedNetwork, dtype: torch.dtype
) -> Examples:
    """Return the examples at the cut of the network, if it has one.

    Parameters
    ----------
    examples : Examples
        A modality's, made with a `StagedEncoder`.
    network : PretrainedNetwork
    dtype : torch.dtype
        What the network is going to compute in.

    Returns
    -------
    StagedSet or Examples
        The same examples where there is no cut, or more to a row than a `RawSet` has.
    """
    plain = type(network).forward is PretrainedNetwork.forward
    if type(examples) is not RawSet or not plain or examples.encoder.compile:
        return examples
    if not examples.source.cacheable:
        return examples
    cut = _cut_of(network, examples)
    if cut is None:
        return examples
    return StagedSet(examples, cut, [*network.cuts.values()].index(cut), dtype)


def _cut_of(network: PretrainedNetwork, examples: RawSet) -> Split | None:
    """Cut the network once for each form of its input."""
    encoder = examples.encoder
    first = examples.source.take(np.arange(1))
    batches = first.batches(encoder.preprocessing, 1, 1)
    sample = encoder.prepare(next(iter(batches)))
    trains = tuple(p.requires_grad for p in network.backbone.parameters())
    form: tuple[Any, ...] = (tuple(sample.shape), trains)
    while (known := network.cuts.get(form)) is not None and not known.is_current():
        form = *form, "again"  # somebody changed a setting, which a trace freezes
    if form not in network.cuts:
        cut = split(network.backbone, sample)
        if cut is not None and not _steady(network, cut, sample):
            cut = None
        network.cuts.setdefault(form, cut)  # another thread's that was sooner stays
    return network.cuts[form]


def _steady(network: PretrainedNetwork, cut: Split, sample: torch.Tensor) -> bool:
    """Say whether the frozen stages compute the same while the network trains."""
    twin = twin_of(network)
    assert isinstance(twin, PretrainedNetwork)
    front = GraphModule(twin.backbone, cut.front.graph)
    with torch.no_grad():
        twin.eval()
        expected = front(sample)
        twin.train()
        norms = (nn.modules.batchnorm._BatchNorm,)
        if any(isinstance(m, norms) and m.training for m in front.modules()):
            return False
        return torch.equal(front(sample), expected)
