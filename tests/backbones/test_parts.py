"""Parts of own networks: in lists and closures, and of timm's, with their pictures."""

import warnings

import pytest
import torch
from torch import fx, nn

from modal_pretrain.backbones.create import create_backbone, data_config


def part() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


GLOBAL = part()


class Holds(nn.Module):
    def __init__(self, held):
        super().__init__()
        self.held = held
        self.last = nn.Linear(4, 4)


def listed():
    return Holds([part()])


def in_a_mapping():
    return Holds({"image": [part()]})


def bound():
    return Holds(part().forward)


def closed_over():
    net = part()
    return Holds(lambda x: net(x))


def known_by_name():
    return Holds(lambda x: GLOBAL(x))


def by_default():
    return Holds(lambda x, net=part(): net(x))  # noqa: B008


FACTORIES = [listed, in_a_mapping, bound, closed_over, known_by_name, by_default]


@pytest.mark.parametrize("factory", FACTORIES)
def test_they_are_warned_of(factory):
    with pytest.warns(UserWarning, match=f"{factory.__name__} .*'held' comp.*Seq"):
        create_backbone(factory, pretrained=False)


def registered():
    module = Holds(None)
    module.net = part()
    module.held = [module.net, [module], lambda x: module.net(x), module.net.forward]
    return module


def an_attribute_of_a_variables_name():
    module = Holds(None)
    module.GLOBAL = part()
    module.held = lambda x: module.GLOBAL(x)
    return module


def a_closure_of_a_variables_name():
    GLOBAL = part()
    module = Holds(lambda x: GLOBAL(x))
    module.net = GLOBAL
    return module


def at_rest():
    return Holds([part().eval().requires_grad_(False)])


def without_weights():
    return Holds([nn.ReLU(), nn.Flatten()])


def graph():
    return fx.symbolic_trace(part())


def compiled():
    return torch.compile(part())


@pytest.mark.parametrize(
    "factory",
    [
        registered,
        an_attribute_of_a_variables_name,
        a_closure_of_a_variables_name,
        at_rest,
        without_weights,
        graph,
        compiled,
    ],
)
def test_others_are_not(factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # of PyTorch
        create_backbone(factory, pretrained=False)


def test_a_compiled_network_that_has_no_length():
    def factory(pretrained=True):
        net = create_backbone("tf_efficientnet_lite0", pretrained=False)
        return torch.compile(net, backend="eager")

    backbone = create_backbone(factory)
    assert data_config(backbone)["mean"] == (0.5, 0.5, 0.5)


def wrapped(**given):
    inner = create_backbone("tf_efficientnet_lite0", pretrained=False)  # mean 0.5
    net = nn.Sequential(inner, nn.LayerNorm(1280))
    for name, value in given.items():
        setattr(net, name, value)
    return net


def test_a_part_for_other_pictures_is_warned_of():
    def factory(pretrained=True):
        return wrapped()

    with pytest.warns(UserWarning, match=r"mean=\(0.5, .*gets them with.*0.485"):
        create_backbone(factory)


@pytest.mark.parametrize("says", [(0.5, 0.5, 0.5), (0.485, 0.456, 0.406)])
def test_a_network_may_say_what_it_takes(says):
    def factory(pretrained=True):
        return wrapped(pretrained_cfg={"mean": says})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = create_backbone(factory)
    assert data_config(net)["mean"] == says


def test_random_parts_take_any_pictures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_backbone(wrapped, pretrained=False)
