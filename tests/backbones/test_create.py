"""Names, factories, random initialisation, sizes and stages."""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import BackboneWeightsError, create_backbone
from modal_pretrain.backbones.create import (
    adapt_size,
    data_config,
)
from modal_pretrain.backbones.shared import shared_backbone
from modal_pretrain.backbones.stages import stages
from tests.backbones.cases import (
    DEFAULT,
    SMALL,
    SMALL_VIT,
    save,
    small,
    states_equal,
)


@dataclass
class Recipe:
    """A factory that is told from others by what it holds, so it has no hash."""

    width: int

    def __call__(self):
        return nn.Linear(3, self.width)


def bare_factory():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))


@pytest.mark.parametrize("pretrained", [True, False])
def test_unknown_name_suggests(pretrained):
    with pytest.raises(ValueError, match="Did you mean 'tf_efficientnet_lite0'"):
        create_backbone("tf_efficentnet_lite0", pretrained=pretrained)
    with pytest.raises(ValueError, match="is not a timm model") as info:
        create_backbone("qqqqqqqq", pretrained=pretrained)
    assert "Did you mean" not in str(info.value)
    with pytest.raises(ValueError, match="backbone='mine:net' is not a timm model"):
        create_backbone("mine:net", pretrained=pretrained)


@pytest.mark.parametrize("pretrained", [True, False])
def test_unknown_tag(pretrained):
    with pytest.raises(ValueError, match=r"'nope'.*only 'tf_efficientnet_lite0\.in1k'"):
        create_backbone(f"{DEFAULT}.nope", pretrained=pretrained)


@pytest.mark.parametrize("name", [None, 3, b"resnet18", Path("resnet18")])
def test_name_of_another_type(name):
    with pytest.raises(TypeError, match="must be a timm model name or a factory"):
        create_backbone(name)


def test_module_instance_is_refused():
    with pytest.raises(TypeError, match=r"instance of EfficientNet.*factory"):
        create_backbone(small())


def test_model_params_reach_timm():
    backbone = create_backbone(SMALL, pretrained=False, global_pool="max")
    assert backbone.global_pool.pool_type == "max"


def test_factory_with_random_weights():
    one = create_backbone(bare_factory, pretrained=False, random_state=3)
    two = create_backbone(bare_factory, pretrained=False, random_state=3)
    assert states_equal(one.state_dict(), two.state_dict())
    assert "bare_factory" in one.weights_source
    assert not one.training


@pytest.mark.parametrize("factory", [bare_factory, nn.Identity, lambda: nn.Identity()])
def test_factory_that_cannot_be_asked_for_pretrained_weights(factory):
    with pytest.raises(ValueError, match="takes no argument 'pretrained'"):
        create_backbone(factory, pretrained=True)


def test_factory_is_told_to_load_pretrained_weights():
    asked = []

    def factory(pretrained=False):
        asked.append(pretrained)
        return nn.Identity()

    create_backbone(factory, pretrained=True)
    create_backbone(factory, pretrained=False)
    assert asked == [True, False]


def test_factory_with_a_checkpoint(tmp_path):
    original = bare_factory()
    path = save(original.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(bare_factory, pretrained=path)
    assert states_equal(loaded.state_dict(), original.state_dict())
    state = original.state_dict()
    state["2.weight"] = state.pop("1.weight")
    save(state, path)
    with pytest.raises(BackboneWeightsError, match=r"missing: 1\.weight; .*2\.weight"):
        create_backbone(bare_factory, pretrained=path)


@pytest.mark.parametrize("result", [None, 3, nn.Identity])
def test_factory_that_makes_no_module(result):
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module"):
        create_backbone(lambda: result, pretrained=False)


def test_errors_do_not_print_the_network_that_a_partial_holds():
    network = nn.Sequential(*[nn.Linear(3, 3) for _ in range(50)])
    with pytest.raises(ValueError, match="takes no argument 'pretrained'") as error:
        create_backbone(partial(own_copy, network), pretrained=True)
    assert len(str(error.value)) < 600


def own_copy(network):
    return network


def test_partial_as_factory():
    backbone = create_backbone(partial(nn.Linear, 4, 2), pretrained=False)
    assert backbone.weight.shape == (2, 4)


@pytest.mark.parametrize("name", [SMALL, SMALL_VIT, bare_factory])
def test_random_initialisation_follows_the_seed_alone(name):
    torch.manual_seed(5)
    one = create_backbone(name, pretrained=False, random_state=0).state_dict()
    torch.rand(3)
    two = create_backbone(name, pretrained=False, random_state=0).state_dict()
    other = create_backbone(name, pretrained=False, random_state=1).state_dict()
    unseeded = create_backbone(name, pretrained=False).state_dict()
    assert states_equal(one, two)
    assert not states_equal(one, other)
    assert not states_equal(one, unseeded)


@pytest.fixture
def default_dtype():
    """PyTorch's setting, which is put back."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("name", "pretrained"), [(DEFAULT, True), (SMALL, False), (SMALL_VIT, False)]
)
def test_pytorchs_default_type_changes_nothing(name, pretrained, dtype, default_dtype):
    params = {"pretrained": pretrained, "image_size": 32, "random_state": 0}
    expected = create_backbone(name, **params).state_dict()
    default_dtype(dtype)
    found = create_backbone(name, **params).state_dict()
    assert states_equal(found, expected)
    assert all(expected[k].dtype == found[k].dtype for k in expected)
    assert torch.get_default_dtype() == dtype


def global_states():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize(
    "create",
    [
        partial(create_backbone),
        partial(create_backbone, SMALL, pretrained=False),
        partial(create_backbone, SMALL, pretrained=False, random_state=0),
        partial(create_backbone, bare_factory, pretrained=False, random_state=0),
    ],
)
def test_global_generators_are_left_alone(create):
    before = global_states()
    create()
    assert global_states() == before


def test_generator_is_restored_after_a_failure():
    before = global_states()

    def fail():
        torch.rand(3)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        create_backbone(fail, pretrained=False, random_state=0)
    assert global_states() == before


@pytest.mark.parametrize("size", [64, (64, 96), (48, 32)])
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", SMALL_VIT])
def test_vision_transformer_takes_another_size(name, size):
    backbone = create_backbone(name, pretrained=False, image_size=size, random_state=0)
    shape = (size, size) if isinstance(size, int) else size
    assert backbone(torch.zeros(1, 3, *shape)).shape == (1, backbone.num_features)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", SMALL_VIT])
def test_size_that_does_not_divide_into_patches(name):
    # Depends on the model: patches at the edge are cropped or refused.
    try:
        backbone = create_backbone(name, pretrained=False, image_size=70)
    except ValueError as error:
        assert "image_size=70" in str(error)
        assert "divisible by patch size" in str(error)
    else:
        assert backbone(torch.zeros(1, 3, 70, 70)).ndim == 2


def test_position_embeddings_are_resampled_not_drawn():
    own = create_backbone(SMALL_VIT, pretrained=False, random_state=0)
    smaller = create_backbone(
        SMALL_VIT, pretrained=False, image_size=80, random_state=0
    )
    same = create_backbone(SMALL_VIT, pretrained=False, image_size=160, random_state=0)
    assert states_equal(own.state_dict(), same.state_dict())
    differing = {
        key
        for key, value in own.state_dict().items()
        if not torch.equal(value, smaller.state_dict().get(key))
        if value.shape == smaller.state_dict()[key].shape
    }
    assert not differing
    assert smaller.pos_embed.shape[1] < own.pos_embed.shape[1]


@pytest.mark.parametrize("name", [SMALL, "resnet18"])
def test_convolutions_take_any_size_as_they_are(name):
    backbone = create_backbone(name, pretrained=False, image_size=64, random_state=0)
    plain = create_backbone(name, pretrained=False, random_state=0)
    assert states_equal(backbone.state_dict(), plain.state_dict())
    assert backbone(torch.zeros(1, 3, 64, 64)).ndim == 2


def test_network_of_one_size():
    assert create_backbone("mixer_s16_224", pretrained=False, image_size=224)
    with pytest.raises(ValueError, match="takes pictures of 224 x 224 only"):
        create_backbone("mixer_s16_224", pretrained=False, image_size=64)


@pytest.mark.parametrize("size", [0, -3, "x", "64", True, (64,), (64, 0), (1, 2, 3)])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match="image_size must be a positive whole"):
        create_backbone(SMALL_VIT, pretrained=False, image_size=size)


def test_failure_of_timm_to_adapt_is_named(monkeypatch):
    backbone = small(SMALL_VIT)

    def fail(img_size):
        raise AssertionError

    monkeypatch.setattr(backbone, "set_input_size", fail)
    with pytest.raises(ValueError, match=r"cannot be adapted to image_size=64: Asser"):
        adapt_size(backbone, 64)


@pytest.mark.parametrize(
    "name", [DEFAULT, SMALL_VIT, "resnet18", "test_byobnet", "pit_ti_224", "rdnet_tiny"]
)
def test_stages_hold_every_parameter_once_in_order(name):
    backbone = create_backbone(name, pretrained=False)
    found = stages(backbone)
    names = [name for name, _ in backbone.named_parameters()]
    assert sorted(name for stage in found for name in stage) == sorted(names)
    assert all(found)
    assert len(found) > 1
    first = {DEFAULT: "conv_stem.weight", "resnet18": "conv1.weight"}
    last = {DEFAULT: "conv_head.weight", "resnet18": "layer4.1.conv2.weight"}
    if name in first:
        assert first[name] in found[0]
        assert last[name] in found[-1]


@pytest.mark.parametrize(
    "name, last",
    [
        ("convnext_atto", "stages.3.blocks.1.mlp.fc2.weight"),
        ("swin_tiny_patch4_window7_224", "layers.3.blocks.1.mlp.fc2.weight"),
        ("densenet121", "features.denseblock4.denselayer16.conv2.weight"),
    ],
)
def test_a_norm_behind_the_last_stage_is_none_of_its_own(name, last):
    """To train one stage trained the norm alone."""
    assert last in stages(create_backbone(name, pretrained=False))[-1]


def test_stages_of_other_modules_are_their_children():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    assert stages(module) == [["0.weight", "0.bias"], ["2.weight", "2.bias"]]
    assert stages(nn.Identity()) == []
    module.append(nn.LayerNorm(4))
    assert stages(module)[1:] == [["2.weight", "2.bias", "3.weight", "3.bias"]]


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize(
    "param", ["features_only", "checkpoint_path", "pretrained_cfg_overlay"]
)
def test_what_would_go_past_the_checks(pretrained, param):
    with pytest.raises(ValueError, match=f"{param}=.* is no parameter here"):
        create_backbone(SMALL, pretrained, **{param: "x"})


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, of lazy modules
def test_factory_of_lazy_layers():
    with pytest.raises(ValueError, match=r"lazy layers.*Let it run a batch"):
        create_backbone(lambda: nn.LazyLinear(3), False)


def test_factories_of_what_cannot_be_frozen():
    with pytest.raises(ValueError, match="on the device 'meta'"):
        create_backbone(lambda: nn.Linear(3, 2, device="meta"), False)
    traced = torch.jit.trace(nn.Flatten(), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="a network of TorchScript"):
        create_backbone(lambda: traced, False)


def test_factory_of_a_network_that_goes_by_the_batch():
    def network(keeps):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4, track_running_stats=keeps),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    with pytest.warns(UserWarning, match="whose 1 keeps no statistics"):
        create_backbone(lambda: network(False), pretrained=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_backbone(lambda: network(True), pretrained=False)


def test_factory_without_a_hash():
    with pytest.raises(TypeError, match=r"backbone=.*has no hash"):
        shared_backbone(Recipe(5), False, 0)


def test_a_path_that_is_too_long():
    with pytest.raises(BackboneWeightsError, match="File name too long"):
        shared_backbone(SMALL, "a" * 300, 0)


def test_a_network_of_length_0():
    # Python takes it for false.
    assert data_config(nn.Sequential()) == data_config(nn.Identity())
