"""The network: what trains, what rests, the scaling and the head."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain.backbones.create import create_backbone
from modal_pretrain.backbones.stages import stages
from modal_pretrain.training.network import PretrainedNetwork, trained_parameters


def conv_net():
    """Three stages with everything that has a mode: batch norm and dropout."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)),
        nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.Dropout(0.5)
        ),
    )


def network(tune="head", factory=conv_net, n_classes=3, **params):
    backbone = create_backbone(factory, pretrained=False, random_state=0)
    net = PretrainedNetwork(backbone, tune=tune, **params)
    net.build_head(5, n_classes)
    return net


def pixels(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 12, 12, generator=generator)


# What trains --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tune, expected",
    [("head", []), ("all", [0, 1, 2]), (1, [2]), (2, [1, 2]), (3, [0, 1, 2])],
)
def test_trained_stages(tune, expected):
    net = network(tune)
    for name, parameter in net.backbone.named_parameters():
        assert parameter.requires_grad == (int(name[0]) in expected), name
    assert net.head.weight.requires_grad
    assert net.frozen == (not expected)


def test_stages_of_the_default_backbone():
    backbone = create_backbone(pretrained=False)
    n_stages = len(stages(backbone))
    everything = {name for name, _ in backbone.named_parameters()}
    before = set()
    for tune in range(1, n_stages + 1):
        trained = trained_parameters(backbone, np.int64(tune))
        assert before < trained <= everything
        before = trained
    assert before == everything == trained_parameters(backbone, "all")
    assert {name.split(".")[0] for name in trained_parameters(backbone, 1)} == {
        "blocks",
        "conv_head",
        "bn2",
    }


@pytest.mark.parametrize(
    "tune", [0, -1, 4, True, False, 1.0, None, "last", "Head", (1,), np.float64(1)]
)
def test_bad_tune_names_the_range(tune):
    with pytest.raises(ValueError, match=r"from 1 to 3 for Sequential; got "):
        network(tune)


def test_stages_without_weights_do_not_count():
    with pytest.raises(ValueError, match="from 1 to 0 for Identity"):
        network(1, nn.Identity)
    assert network("all", nn.Identity).frozen


# What rests ---------------------------------------------------------------------------


def modes(net, kind):
    return [m.training for m in net.backbone.modules() if isinstance(m, kind)]


@pytest.mark.parametrize(
    "tune, dropout",
    [
        ("head", [False, False, False]),
        (1, [False, False, True]),
        (2, [False, True, True]),
        ("all", [True, True, True]),
    ],
)
@pytest.mark.parametrize("train_batch_norm", [False, True])
def test_modes_in_training(tune, dropout, train_batch_norm):
    net = network(tune, train_batch_norm=train_batch_norm).train()
    assert modes(net, nn.Dropout) == dropout
    trained = dropout[:2] if train_batch_norm else [False, False]
    assert modes(net, nn.BatchNorm2d) == trained
    assert net.dropout.training
    assert not any(m.training for m in net.eval().modules())
    assert modes(net.train(), nn.Dropout) == dropout


class WithOwnWeights(nn.Module):
    """As in vision transformers, the root has weights of its own, which go first."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3))
        self.last = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5))

    def forward(self, x):
        return self.last(x.mean((2, 3)) + self.token)


def test_frozen_weights_of_the_root_do_not_put_its_children_to_rest():
    net = network(1, WithOwnWeights).train()
    assert not net.backbone.token.requires_grad
    assert modes(net, nn.Dropout) == [True]
    assert len({str(net(pixels(), None)) for _ in range(3)}) == 1  # the head is zero
    net.head.weight.data.fill_(1.0)
    assert len({str(net(pixels(), None)) for _ in range(3)}) == 3


@pytest.mark.parametrize("tune", ["head", 1, "all"])
def test_statistics_of_pretraining_stay(tune):
    net = network(tune).train()
    before = copy.deepcopy(net.backbone.state_dict())
    net(pixels())
    after = net.backbone.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_statistics_are_learnt_where_asked():
    net = network("all", train_batch_norm=True).train()
    before = net.backbone[0][1].running_mean.clone()
    net(pixels())
    assert not torch.equal(before, net.backbone[0][1].running_mean)


@pytest.mark.parametrize("tune", ["head", 1, "all"])
def test_one_picture_can_be_trained_on(tune):
    net = network(tune).train()
    net(pixels(1)).sum().backward()


# The head -----------------------------------------------------------------------------


def test_new_head_says_all_classes_are_equally_likely():
    net = network()
    assert net(pixels()).eq(0).all()
    assert net(pixels()).shape == (6, 3)
    assert net.penalty() == 0


def test_logits_of_embeddings_are_those_of_the_pixels():
    net = network().eval()
    nn.init.normal_(net.head.weight)
    with torch.no_grad():
        embedding = net.backbone(pixels())
        net.fit_scale(embedding)
        expected = net(pixels())
        assert torch.equal(net(embedding=embedding), expected)
        manual = (embedding - net.mean) * net.scale @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(manual, expected)


@pytest.mark.parametrize("n", [1, 2, 5, 100, 10_000])
def test_scale_is_the_shrunk_deviation(n):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, 5)) * [0.1, 1, 2, 5, 0] + [1, 2, 3, 4, 5]).astype("f4")
    net = network()
    net.fit_scale(torch.from_numpy(X))
    variance = X.astype(float).var(axis=0)
    shrunk = (n * variance + 10 * variance.mean()) / (n + 10)
    np.testing.assert_allclose(net.mean, X.mean(axis=0), rtol=1e-4)
    expected = 1 / np.sqrt(shrunk) if n > 1 else np.ones(5)
    np.testing.assert_allclose(net.scale, expected, rtol=1e-4)
    assert net.scale.isfinite().all()


def test_penalty_is_half_the_squared_distance_from_the_anchor():
    net = network()
    net.head.weight.data[0, :2] = torch.tensor([3.0, 4.0])
    net.head.bias.data += 7  # free of charge
    assert net.penalty() == 12.5
    net.set_anchor()
    assert net.penalty() == 0
    net.head.weight.data[1, 0] += 2
    assert net.penalty() == 2
    net.penalty().backward()
    assert net.head.weight.grad[1, 0] == 2


def test_dropout_is_active_in_training_only():
    net = network(dropout=0.5)
    nn.init.normal_(net.head.weight)
    embedding = torch.ones(4, 5)
    with torch.no_grad():
        net.train()
        assert not torch.equal(net(embedding=embedding), net(embedding=embedding))
        net.eval()
        assert torch.equal(net(embedding=embedding), net(embedding=embedding))


def test_output_that_is_no_embedding():
    net = network(factory=nn.Identity)
    with pytest.raises(ValueError, match=r"shape \(n, d\), got shape \(6, 3, 12, 12\)"):
        net(pixels())


def test_reduced_precision_of_the_backbone_ends_at_the_head():
    net = network(factory=nn.Identity)
    embedding = torch.ones(2, 5, dtype=torch.bfloat16)
    assert net(embedding=embedding).dtype == torch.float32


# States -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [nn.Module.half, nn.Module.double])
def test_another_type_leaves_a_shared_backbone_as_it_is(change):
    shared = create_backbone(conv_net, pretrained=False)
    before = shared.state_dict()
    net = PretrainedNetwork(shared)
    assert net.float().to("cpu").backbone is shared  # as nothing changes
    change(net)
    dtypes = {parameter.dtype for parameter in net.parameters()}
    assert len(dtypes) == 1
    assert torch.float32 not in dtypes
    after = shared.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert next(shared.parameters()).dtype == torch.float32


def test_state_builds_a_missing_head():
    net = network(n_classes=4)
    nn.init.normal_(net.head.weight)
    net.fit_scale(torch.rand(9, 5))
    other = PretrainedNetwork(create_backbone(conv_net, pretrained=False))
    assert other.head is None
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.eval()(pixels()), net.eval()(pixels()))
    assert other.penalty() == net.penalty() > 0


def test_state_of_another_head_is_refused():
    with pytest.raises(RuntimeError, match="size mismatch for head"):
        network(n_classes=4).load_state_dict(network(n_classes=3).state_dict())


def test_state_without_a_head_leaves_none():
    fresh = PretrainedNetwork(create_backbone(conv_net, pretrained=False))
    other = PretrainedNetwork(create_backbone(conv_net, pretrained=False))
    other.load_state_dict(fresh.state_dict())
    assert other.head is None
