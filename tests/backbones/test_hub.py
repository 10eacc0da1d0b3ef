"""Weights from the hub, with no network."""

import json
import os
import subprocess
import sys

import pytest
import safetensors.torch
import timm
import torch

from modal_pretrain import BackboneWeightsError, create_backbone
from modal_pretrain.backbones.create import (
    data_config,
)
from modal_pretrain.backbones.shared import shared_backbone
from tests.backbones.cases import (
    DEFAULT,
    SMALL,
    SMALL_VIT,
    embed,
    save,
    small,
)

OLD_TIMM = tuple(map(int, timm.__version__.split(".")[:3])) < (1, 0, 16)


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
def test_local_folder_that_changes_is_loaded_anew(tmp_path):
    snapshot, model = write_hub(tmp_path, SMALL)
    name = f"local-dir:{snapshot}"
    first = shared_backbone(name, True, 0)
    assert torch.equal(first.conv_stem.weight, model.conv_stem.weight)
    assert shared_backbone(name, True, 0) is first
    path = snapshot / "model.safetensors"
    state = safetensors.torch.load_file(path)
    state["conv_stem.weight"] *= 2
    safetensors.torch.save_file(state, path)
    again = shared_backbone(name, True, 0)
    assert torch.equal(again.conv_stem.weight, 2 * model.conv_stem.weight)


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


@pytest.mark.skipif(OLD_TIMM, reason="timm 1.0.16 introduced local-dir:")
@pytest.mark.parametrize("name", ["local-dir:/nowhere", "hf-hub:"])
def test_names_of_nothing(name):
    with pytest.raises(BackboneWeightsError, match=f"backbone='{name}' cannot be made"):
        create_backbone(name, False)


@pytest.mark.parametrize("name", ["a:b", "file:x.pth"])
def test_names_of_no_source(name):
    with pytest.raises(ValueError, match=f"backbone='{name}' is not a timm model"):
        create_backbone(name, False)
