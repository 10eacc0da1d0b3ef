"""Networks that a factory only holds: their owner may train on."""

from functools import partial
from types import SimpleNamespace

import torch

from modal_pretrain import create_backbone
from modal_pretrain.backbones.parts import free_of
from modal_pretrain.backbones.shared import shared_backbone


def test_a_network_that_a_factory_holds_stays_its_owner_s(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    before = net[0].weight.detach().clone()
    path = tmp_path / "weights.pt"
    torch.save({key: 2 * value for key, value in net.state_dict().items()}, path)
    for held in (net, torch.nn.ModuleList([net])):
        factory = (lambda: net) if held is net else (lambda held=held: held[0])
        loaded = create_backbone(factory, path)
        loaded.requires_grad_(False)
        assert torch.equal(loaded[0].weight, 2 * before)
    assert torch.equal(net[0].weight, before)
    assert net.training and net[0].weight.requires_grad


class Wrapped(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def test_parts_of_a_network_that_a_factory_holds_stay_its_owner_s(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    trainer = SimpleNamespace(model=net)

    def inner():
        return Wrapped(net)

    factories = [
        lambda: torch.nn.Sequential(*net.children()),  # as to leave out a head
        lambda: inner(),
        partial(Wrapped, net),
        lambda: trainer.model,
        lambda: Wrapped(trainer.model),
    ]
    before = net[0].weight.detach().clone()
    for factory in factories:
        path = tmp_path / "weights.pt"
        state = factory().state_dict()
        torch.save({key: 2 * value for key, value in state.items()}, path)
        loaded = create_backbone(factory, path).requires_grad_(False)
        assert torch.equal(next(loaded.parameters()), 2 * before)
        assert torch.equal(net[0].weight, before)
        assert net.training and net[0].weight.requires_grad
    new = Wrapped(torch.nn.Conv2d(3, 4, 3))
    assert free_of(new, lambda: Wrapped(torch.nn.Conv2d(3, 4, 3))) is new


def test_a_network_of_an_object_that_trains_on_is_another_one():
    trainer = type("Trainer", (), {})()
    trainer.model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    factory = lambda: torch.nn.Sequential(*trainer.model)  # noqa: E731
    first = shared_backbone(factory, False, 0)
    assert shared_backbone(factory, False, 0) is first
    with torch.no_grad():
        trainer.model[0].weight += 1
    second = shared_backbone(factory, False, 0)
    assert torch.equal(second[0].weight, trainer.model[0].weight)
    assert torch.equal(first[0].weight + 1, trainer.model[0].weight)
