"""Checkpoints of networks that take one size, and of other sizes than asked for."""

import numpy as np
import pytest
import torch

from modal_pretrain import (
    BackboneWeightsError,
    PretrainedClassifier,
    TimmEncoder,
    create_backbone,
)
from modal_pretrain.backbones.create import data_config
from modal_pretrain.backbones.shared import recipe, shared_backbone
from tests.backbones.cases import SMALL_VIT, embed, save, small, states_equal


def trained_at(size, path, name=SMALL_VIT, **params):
    original = small(name, img_size=size, **params)
    with torch.no_grad():  # drawn ones are next to nothing
        original.pos_embed.normal_(generator=torch.Generator().manual_seed(0))
    save(original.state_dict(), path)
    original.reset_classifier(0)
    return original


@pytest.mark.parametrize("size", [80, 240])
@pytest.mark.parametrize(
    "make",
    [
        lambda path, size: create_backbone(SMALL_VIT, path, image_size=size),
        lambda path, size: shared_backbone(SMALL_VIT, path, 0, image_size=size),
    ],
    ids=["create", "shared"],
)
def test_positions_of_a_checkpoint_are_kept_at_its_own_size(tmp_path, size, make):
    original = trained_at(size, tmp_path / "w.pth", num_classes=3)
    loaded = make(tmp_path / "w.pth", size)
    assert states_equal(loaded.state_dict(), original.state_dict())
    assert loaded.weights_source == f"file {tmp_path / 'w.pth'}"


def test_an_estimator_embeds_as_the_network_that_was_trained(tmp_path):
    original = trained_at(80, tmp_path / "w.pth")
    X = np.random.default_rng(0).integers(0, 256, (4, 80, 80, 3), np.uint8)
    classifier = PretrainedClassifier(
        SMALL_VIT,
        pretrained=tmp_path / "w.pth",
        image_size=80,
        precision="float32",
        cache=None,
    ).fit(X, [0, 1, 0, 1])
    mean, std = (
        torch.tensor(original.pretrained_cfg[key]).view(3, 1, 1)
        for key in ("mean", "std")
    )
    with torch.inference_mode():
        batch = (torch.from_numpy(X).permute(0, 3, 1, 2) / 255 - mean) / std
        expected = original(batch).numpy()
    np.testing.assert_allclose(classifier.embed(X), expected, atol=1e-4)


def test_positions_of_the_own_size_are_resampled_as_ever(tmp_path):
    original = trained_at(160, tmp_path / "w.pth")
    loaded = create_backbone(SMALL_VIT, tmp_path / "w.pth", image_size=80)
    original.set_input_size(80)
    assert states_equal(loaded.state_dict(), original.state_dict())
    assert torch.equal(embed(loaded, 80), embed(original, 80))


def test_patches_of_another_size(tmp_path):
    path = save(small(SMALL_VIT, patch_size=32).state_dict(), tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"32 x 32 .* 16 x 16.*architecture"):
        create_backbone(SMALL_VIT, path)
    assert create_backbone(SMALL_VIT, path, patch_size=32)


def test_head_trained_on_weights_that_are_published_without_one(tmp_path):
    name = "vit_small_patch14_dinov2"
    original = small(name, num_classes=5, img_size=28, depth=1)
    path = save(original.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(name, path, img_size=28, depth=1)
    original.reset_classifier(0)
    assert states_equal(loaded.state_dict(), original.state_dict())
    bad = {**original.state_dict(), "projector.weight": torch.ones(2, 2)}
    with pytest.raises(BackboneWeightsError, match="1 unexpected: projector"):
        create_backbone(name, save(bad, path), img_size=28, depth=1)


@pytest.mark.parametrize("size", [(96, 80), (48, 80)])
def test_rectangle_that_a_checkpoint_was_trained_at(tmp_path, size):
    original = trained_at(size, tmp_path / "w.pth", num_classes=3)
    loaded = create_backbone(SMALL_VIT, tmp_path / "w.pth", image_size=size)
    assert states_equal(loaded.state_dict(), original.state_dict())
    with pytest.raises(BackboneWeightsError, match="cannot be loaded"):
        create_backbone(SMALL_VIT, tmp_path / "w.pth", image_size=(80, 112))


def test_rectangle_that_a_checkpoint_was_trained_at_in_estimators(tmp_path):
    path, size = tmp_path / "w.pth", (48, 80)
    original = trained_at(size, path, num_classes=3)
    X = np.zeros((2, 48, 80, 3), np.uint8)
    settings = {"pretrained": path, "image_size": size, "device": "cpu"}
    assert TimmEncoder(SMALL_VIT, **settings).fit_transform(X).shape == (2, 64)
    classifier = PretrainedClassifier(SMALL_VIT, tune="all", max_steps=1, **settings)
    assert classifier.fit(X, [0, 1]).predict(X).shape == (2,)
    one = shared_backbone(SMALL_VIT, path, 0, image_size=size)
    assert states_equal(one.state_dict(), original.state_dict())
    assert shared_backbone(SMALL_VIT, path, 0, image_size=size) is one
    function, arguments = recipe(one)
    assert function(*arguments) is not None


def test_keys_with_a_prefix_that_timm_takes_off(tmp_path):
    original = trained_at(80, tmp_path / "w.pth")
    wrapped = {f"visual.trunk.{k}": v for k, v in original.state_dict().items()}
    path = save(wrapped, tmp_path / "w.pth")
    loaded = create_backbone(SMALL_VIT, path, image_size=80)
    assert states_equal(loaded.state_dict(), original.state_dict())
    other = small(SMALL_VIT, patch_size=32).state_dict()
    save({f"visual.trunk.{key}": tensor for key, tensor in other.items()}, path)
    with pytest.raises(BackboneWeightsError, match=r"32 x 32 .* 16 x 16.*architecture"):
        create_backbone(SMALL_VIT, path)


def test_patches_of_a_size_that_was_named(tmp_path):
    path = save(small(SMALL_VIT).state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(SMALL_VIT, path, patch_size=32)
    assert loaded.patch_embed.patch_size == (32, 32)


def test_own_size_is_that_of_the_network_not_of_its_published_weights():
    X = np.random.default_rng(0).integers(0, 256, (2, 90, 90, 3), np.uint8)
    encoder = TimmEncoder(
        lambda: small("vit_tiny_patch16_224", img_size=96, depth=1, num_classes=0),
        pretrained=False,
    )
    assert encoder.fit_transform(X).shape == (2, 192)
    backbone = small("vit_tiny_patch16_224", img_size=(96, 64), depth=1)
    assert data_config(backbone)["input_size"] == (3, 96, 64)


def test_network_of_a_fixed_size_takes_the_size_that_it_was_made_for():
    def cait():
        return small("cait_xxs24_224", img_size=96, depth=1)

    assert create_backbone(cait, False, image_size=96)
    with pytest.raises(ValueError, match="pictures of 96 x 96 only"):
        create_backbone(cait, False, image_size=224)
