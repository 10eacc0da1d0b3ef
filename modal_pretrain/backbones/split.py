"""A backbone cut in two: what is frozen, and what trains on top of it.

The cut follows the flow of data, not the names of children: the network is traced, into
a graph of `torch.fx`, as coarsely as can be (a submodule that trains as a whole, or not
at all, is not looked into), and cut at the last tensor that no trained weight
influences and that everything later depends on. Then both halves are run against the
whole. Where a network cannot be traced, has no such tensor, or disagrees with its
halves, there is no cut.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from modal_pretrain.backbones.copies import copy_of
from modal_pretrain.backbones.traced import (
    generators,
    looked_into,
    settings_of,
    tensors_of,
)

# Of the largest value: another order of summation, no other computation.
_TOLERANCE = 1e-4


class Split:
    """The two halves of a backbone whose last stages train.

    They share the backbone's modules, so that `rest` trains what the backbone trains.

    Parameters
    ----------
    backbone : torch.nn.Module
    front, rest : torch.fx.Graph
        Its halves.
    probe : torch.nn.Module
        The front of a twin, in evaluation mode.
    sample : torch.Tensor of shape (1, ...)
        A prepared input.
    constants : collection of (str, str), default=()
        Modules and settings that were there and that no forward sets itself.

    Attributes
    ----------
    front : torch.fx.GraphModule
        From the backbone's input to the tensor at the cut.
    rest : torch.fx.GraphModule
        From there to the backbone's output.
    shape : tuple of int
        Of a row at the cut.
    """

    def __init__(
        self,
        backbone: nn.Module,
        front: fx.Graph,
        rest: fx.Graph,
        probe: nn.Module,
        sample: torch.Tensor,
        constants: Collection[tuple[str, str]] = (),
    ) -> None:
        self.front = fx.GraphModule(backbone, front)
        self.rest = fx.GraphModule(backbone, rest)
        self._probe, self._sample = probe, sample
        self._dtypes: dict[torch.dtype, torch.dtype] = {}
        self._backbone, self._constants = backbone, constants
        self._parts = looked_into(backbone)
        self._traced = self._settings()
        with torch.no_grad():
            cut = probe(sample)
        self.shape = tuple(cut.shape[1:])
        self._channels_last = cut.ndim == 4 and not cut.is_contiguous()

    def _settings(self) -> dict[tuple[str, str], str | int | None]:
        found = settings_of(self._parts)
        settings = {name: found.get(name) for name in self._constants}
        return {**settings, **tensors_of(self._parts)}

    def is_current(self) -> bool:
        """Say whether no setting has changed since a trace took it as a constant."""
        return self._settings() == self._traced

    def follow(self) -> None:
        """Trace the rest again where a callback, say, changed a setting or a tensor.

        Raises
        ------
        ValueError
            If that changes what the front computes, or there is no cut any longer.
        """
        now = self._settings()
        if now == self._traced:
            return
        with torch.autocast(self._sample.device.type, enabled=False):
            other = split(self._backbone, self._sample)
        if other is None or not _same(other.front, self.front):
            either = {*now.items()} ^ {*self._traced.items()}
            changed = ", ".join(sorted({name for (_, name), _ in either}))
            raise ValueError(
                f"{changed} of the backbone {type(self._backbone).__name__} changed "
                "while its last stages trained, and with it what the frozen stages "
                "gave before. Set it before the fit, or take tune='all' and freeze "
                "stages by skorch.callbacks.Freezer."
            )
        self.rest, self._traced = other.rest, now

    @property
    def row_bytes(self) -> int:
        """Bytes of a row at the cut, in float32."""
        return 4 * int(torch.Size(self.shape).numel())

    def dtype_at_cut(self, dtype: torch.dtype) -> torch.dtype:
        """Return what the front returns where the network computes in `dtype`."""
        if dtype not in self._dtypes:
            device, reduced = self._sample.device.type, dtype != torch.float32
            with torch.no_grad(), torch.autocast(device, dtype=dtype, enabled=reduced):
                self._dtypes[dtype] = self._probe(self._sample).dtype
        return self._dtypes[dtype]

    def restored(self, rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Bring flat float32 rows (n, d) to the form they had at the cut.

        Parameters
        ----------
        rows : torch.Tensor of shape (n, d)
        dtype : torch.dtype
            What the network computes in.

        Returns
        -------
        torch.Tensor
        """
        cut = rows.to(self.dtype_at_cut(dtype)).unflatten(1, self.shape)
        if self._channels_last:
            return cut.contiguous(memory_format=torch.channels_last)
        return cut


class FrozenStages(nn.Module):
    """A front whose rows are flat, as caches of embeddings take them."""

    def __init__(self, front: nn.Module) -> None:
        super().__init__()
        self.front = front

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the rows at the cut, (n, d)."""
        return self.front(inputs).flatten(1)


def split(backbone: nn.Module, sample: torch.Tensor) -> Split | None:
    """Cut a backbone before the first thing that depends on a trained weight.

    Parameters
    ----------
    backbone : torch.nn.Module
        Those of its parameters train that require gradients.
    sample : torch.Tensor of shape (1, ...)
        A prepared input, on the backbone's device.

    Returns
    -------
    Split or None
        None if all or nothing trains, or the network cannot be cut, see the module.
    """
    trains = [parameter.requires_grad for parameter in backbone.parameters()]
    if all(trains) or not any(trains) or _watched(backbone):
        return None
    try:
        drawn = generators()
        twin = twin_of(backbone).eval()
        parts = looked_into(twin)
        before = settings_of(parts)
        graph = _trace(twin)
        after = settings_of(parts)
        constants = [name for name in before if after.get(name) == before[name]]
        # What a forward does by its own `training` flag would be frozen into it, and
        # so would a layer that it drops at random, or by luck did not.
        if _code(graph) != _code(_trace(twin_of(backbone).train())):
            return None
        if generators() != drawn:
            return None
        twin = twin_of(backbone).eval()
        graphs = _cut(twin, graph, sample)
        if graphs is None:
            return None
        front, rest = (fx.GraphModule(twin, half) for half in graphs)
        if _draws(front) or not _agree(twin, front, rest, sample):
            return None
        return Split(backbone, *graphs, front, sample, constants)
    # Tracing runs code of others on stand-ins, which may fail in any way.
    except Exception:
        return None


def twin_of(module: nn.Module) -> nn.Module:
    """Return a copy with the same tensors, whose modes may be changed.

    Those of the module itself may not, while other threads predict with it.
    """
    return copy_of(module, {id(tensor): tensor for tensor in _tensors(module)})


def _watched(backbone: nn.Module) -> bool:
    """Say whether hooks wait for a forward pass, which the halves may not make."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in backbone.modules())


def _draws(front: nn.Module) -> bool:
    """Say whether the front holds dropout, which Monte Carlo strategies switch on."""
    return any(
        getattr(module, "p", 0)
        for module in front.modules()
        if type(module).__name__.startswith("Dropout")
    )


class _Recorder(fx.proxy.GraphAppendingTracer):
    """Takes no constant tensors: a graph's code has no place for them."""

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, torch.Tensor):
            raise TypeError("a tensor that is neither a parameter nor a buffer")
        if isinstance(a, np.generic):
            a = a.item()  # a graph's code knows no NumPy either
        return super().create_arg(a)


def _trace(twin: nn.Module) -> fx.Graph:
    """Record what a module does with its input; the module is spoilt by it.

    Notes
    -----
    `torch.fx.symbolic_trace` would patch `torch.nn.Module` itself, which breaks what
    other threads compute meanwhile. Here the submodules of a twin record their calls.
    """
    graph = fx.Graph()
    tracer = _Recorder(graph)
    first = next(iter(inspect.signature(twin.forward).parameters.values()))
    given = fx.Proxy(graph.placeholder(first.name), tracer)
    attributes = []
    parts = looked_into(twin)
    for path, module in list(twin.named_modules()):
        if path not in parts:
            module.__class__ = _recording(type(module), path, tracer)
            continue
        for tensors in (module._parameters, module._buffers):
            for name in [
                name for name, tensor in tensors.items() if tensor is not None
            ]:
                del tensors[name]
                node = graph.get_attr(f"{path}.{name}" if path else name)
                attributes.append(node)
                vars(module)[name] = fx.Proxy(node, tracer)
    output = twin(given)
    graph.output(tracer.create_arg(output))
    for node in attributes:
        if not node.users:
            graph.erase_node(node)
    return graph


def _recording(kind: type, path: str, tracer: fx.proxy.TracerBase) -> type:
    """Return a class of modules that record a call and make none."""

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> fx.Proxy:
        return tracer.create_proxy("call_module", path, args, kwargs)

    return type(kind.__name__, (kind,), {"__call__": call})


def _code(graph: fx.Graph) -> str:
    return graph.python_code("self").src


def _same(one: fx.GraphModule, other: fx.GraphModule) -> bool:
    """Say whether two fronts do the same with the same values."""
    if _code(one.graph) != _code(other.graph):
        return False
    pairs = zip(_tensors(one), _tensors(other), strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


def _tensors(module: nn.Module) -> Iterable[torch.Tensor]:
    return itertools.chain(module.parameters(), module.buffers())


class _Runner(fx.Interpreter):
    """Runs a graph and keeps which nodes are tensors."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.tensors: set[str] = set()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.tensors.add(n.name)
        return result


def _cut(
    backbone: nn.Module, graph: fx.Graph, sample: torch.Tensor
) -> tuple[fx.Graph, fx.Graph] | None:
    modules = dict(backbone.named_modules())
    parameters = dict(backbone.named_parameters())

    def trains(node: fx.Node) -> bool:
        target = str(node.target)
        if node.op == "call_module":
            return any(p.requires_grad for p in modules[target].parameters())
        known = parameters.get(target) if node.op == "get_attr" else None
        return known is not None and known.requires_grad

    # Of the input or of trained weights; the others are constants.
    varies: set[fx.Node] = set()
    late: set[fx.Node] = set()
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for node in graph.nodes:
        before = node.all_input_nodes
        if node in inputs or any(n in varies for n in before):
            varies.add(node)
        if node.op == "output" or trains(node) or any(n in late for n in before):
            late.add(node)
    runner = _Runner(fx.GraphModule(backbone, graph))
    with torch.no_grad():
        runner.run(sample)
    # The last tensor of the front through which all that varies reaches the rest; what
    # lies between, such as a shape or a shortcut, is computed again behind it.
    for cut in reversed([n for n in graph.nodes if n in varies - late]):
        behind = _needed(late, stop=cut) - {cut}
        if cut.name in runner.tensors and not behind & set(inputs):
            break
    else:
        return None
    if cut in inputs:
        return None
    early = _needed([cut])
    front = fx.Graph()
    copied = _copy(front, (node for node in graph.nodes if node in early))
    front.output(copied[cut])
    rest = fx.Graph()
    features = {cut: rest.placeholder("features")}
    _copy(rest, (node for node in graph.nodes if node in behind), features)
    return front, rest


def _needed(nodes: Iterable[fx.Node], stop: fx.Node | None = None) -> set[fx.Node]:
    """Return nodes and all that they are computed from, up to one."""
    found: set[fx.Node] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += [] if node is stop else node.all_input_nodes
    return found


def _copy(
    graph: fx.Graph,
    nodes: Iterable[fx.Node],
    copied: dict[fx.Node, fx.Node] | None = None,
) -> dict[fx.Node, fx.Node]:
    copied = {} if copied is None else copied
    for node in nodes:
        copied[node] = graph.node_copy(node, copied.__getitem__)
    return copied


def _agree(
    backbone: nn.Module, front: nn.Module, rest: nn.Module, sample: torch.Tensor
) -> bool:
    """Compare the halves with the whole, and a row in company with the row alone."""
    batch = torch.cat([sample, 0.8 * sample, 0.6 * sample])
    with torch.no_grad():
        cut, alone = front(batch), front(sample)
        if cut.ndim < 2 or cut.shape != (3, *alone.shape[1:]):
            return False
        return (
            cut.is_floating_point()
            and _near(cut[:1], alone)
            and _near(rest(cut), backbone(batch))
            and _near(rest(alone), backbone(sample))
        )


def _near(found: torch.Tensor, expected: torch.Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    difference, largest = (found - expected).abs().max(), expected.abs().max()
    return bool(difference <= _TOLERANCE * largest)
