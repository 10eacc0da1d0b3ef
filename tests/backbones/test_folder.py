"""Folders of weights in timm's layout, and checkpoints in parts."""

import json
import os

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from modal_pretrain import BackboneWeightsError, TimmEncoder, create_backbone
from modal_pretrain.backbones.folder import read_weights
from modal_pretrain.backbones.shared import shared_backbone
from tests.backbones.cases import SMALL, save, small, states_equal

pytestmark = pytest.mark.skipif(
    tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 16),
    reason="timm 1.0.16 introduced local-dir:",
)
INDEX = "model.safetensors.index.json"


@pytest.fixture
def model():
    return small()


@pytest.fixture
def folder(tmp_path, model):
    folder = tmp_path / "weights"
    folder.mkdir()
    about = dict(model.pretrained_cfg)
    config = {"architecture": SMALL, "num_classes": 1000, "pretrained_cfg": about}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write_parts(folder, state):
    where = {}
    for i in range(2):
        name = f"model-{i + 1:05d}-of-00002.safetensors"
        part = dict(list(state.items())[i::2])
        safetensors.torch.save_file(part, folder / name)
        where |= dict.fromkeys(part, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return [folder / name for name in sorted({*where.values()})]


def same(backbone, model):
    model.reset_classifier(0)
    return states_equal(backbone.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "own.pth"])
def test_the_file_is_found_and_named(folder, model, name):
    path = save(model.state_dict(), folder / name)
    save({"step": torch.zeros(1)}, folder / "optimizer.pt")
    backbone = create_backbone(f"local-dir:{folder}")
    assert backbone.weights_source == f"file {path}"
    assert same(backbone, model)


@pytest.mark.parametrize("prefix", ["local-dir:", "Local-Dir:"])
def test_home_and_case(folder, model, monkeypatch, prefix):
    path = save(model.state_dict(), folder / "model.safetensors")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    first = shared_backbone(f"{prefix}~/weights", True, 0)
    assert same(first, model)
    other = small(seed=2)
    save(other.state_dict(), path)
    assert same(shared_backbone(f"{prefix}~/weights", True, 0), other)


def test_parts(folder, model):
    first, _ = write_parts(folder, model.state_dict())
    by_folder = create_backbone(f"local-dir:{folder}")
    by_file = create_backbone(SMALL, folder / INDEX)
    assert same(by_folder, model) and same(by_file, model)
    with pytest.raises(BackboneWeightsError, match=r"one of 2 parts.*\.index\.json"):
        create_backbone(SMALL, first)


@pytest.mark.parametrize("name", ["weights", "model.fp16"])
def test_parts_of_other_names(folder, model, name):
    """As huggingface_hub writes them where it is given a name."""
    for path in write_parts(folder, model.state_dict()):
        path.rename(folder / path.name.replace("model", name))
    text = (folder / INDEX).read_text().replace('"model-', f'"{name}-')
    (folder / INDEX).unlink()
    other = folder / INDEX.replace("model", name)
    other.write_text(text)
    assert create_backbone(f"local-dir:{folder}").weights_source == f"file {other}"
    (folder / "a.safetensors.index.json").write_text(text)
    with pytest.raises(BackboneWeightsError, match="the list as pretrained"):
        create_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize("name", ["net-fold-1-of-5.pth", "seed-3-of-3.pth"])
def test_a_fold_is_no_part(tmp_path, model, name):
    torch.save(model.state_dict(), tmp_path / name)
    assert read_weights(tmp_path / name).keys() == model.state_dict().keys()


def test_the_only_part_is_a_checkpoint(folder, model):
    only = folder / "model-00001-of-00001.safetensors"
    safetensors.torch.save_file(model.state_dict(), only)
    loaded = read_weights(only)
    assert loaded.keys() == model.state_dict().keys()


def test_parts_that_change_are_loaded_anew(folder, model):
    write_parts(folder, model.state_dict())
    assert same(shared_backbone(SMALL, folder / INDEX, 0), model)
    other = small(seed=2)
    write_parts(folder.parent, other.state_dict())
    for path in folder.glob("*.safetensors"):
        os.replace(folder.parent / path.name, path)
    assert same(shared_backbone(SMALL, folder / INDEX, 0), other)


@pytest.mark.parametrize("lost", ["part", "list"])
def test_parts_that_are_missing(folder, model, lost):
    _, second = write_parts(folder, model.state_dict())
    (second if lost == "part" else folder / INDEX).unlink()
    match = f"{second.name}, which is not there" if lost == "part" else "not their list"
    with pytest.raises(BackboneWeightsError, match=match):
        create_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": {"a": "../b.pth"}}', '{"weight_map": [1]}']
)
def test_lists_that_are_none(tmp_path, content):
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(BackboneWeightsError, match=r"index\.json (is no list|holds a)"):
        create_backbone(SMALL, tmp_path / INDEX)


def test_another_mean_in_the_configuration_since_the_fit(folder, model):
    save(model.state_dict(), folder / "model.safetensors")
    pictures = np.zeros((2, 32, 32, 3), np.uint8)
    encoder = TimmEncoder(f"local-dir:{folder}", image_size=32).fit(pictures)
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["mean"] = [0.1, 0.2, 0.3]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"another mean now \(\(0.1, 0.2, 0.3\), no"):
        encoder.transform(pictures)
    encoder.fit(pictures).transform(pictures)


def test_several_files(folder, model):
    save(model.state_dict(), folder / "a.safetensors")
    save(small(seed=2).state_dict(), folder / "b.safetensors")
    with pytest.raises(BackboneWeightsError, match="several checkpoints"):
        create_backbone(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "can't be read: Expecting value"),
        ("[]", "holds a list"),
        ('{"model_type": "vit"}', "of transformers"),
        ("{}", "names no architecture of timm's, but None"),
        ('{"architecture": "resnetx"}', "but 'resnetx'"),
    ],
)
@pytest.mark.parametrize("pretrained", [True, False])
def test_configurations(folder, model, content, match, pretrained):
    save(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(content)
    with pytest.raises(BackboneWeightsError, match=rf"config\.json.*{match}"):
        create_backbone(f"local-dir:{folder}", pretrained)


def test_pointers_of_git_lfs_are_told(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"
    (folder / "model.safetensors").write_text(text)
    with pytest.raises(BackboneWeightsError, match="git lfs pull"):
        create_backbone(f"local-dir:{folder}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink("/no", p)])
def test_what_is_no_file(folder, make):
    make(folder / "model.safetensors")
    with pytest.raises(BackboneWeightsError, match=r"model\.safetensors can't be read"):
        create_backbone(f"local-dir:{folder}")
