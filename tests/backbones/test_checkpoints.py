"""Weights from files."""

import os

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from modal_pretrain import BackboneWeightsError, create_backbone
from tests.backbones.cases import (
    SMALL,
    SMALL_VIT,
    embed,
    save,
    small,
    states_equal,
)


def small_factory(pretrained=False):
    return timm.create_model(SMALL, pretrained=pretrained, num_classes=0)


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


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_networks_that_torch_compile_has_wrapped(tmp_path, prefix):
    original = small_factory().eval()
    state = {f"{prefix}{key}": value for key, value in original.state_dict().items()}
    path = save(state, tmp_path / "weights.pth")
    loaded = create_backbone(
        lambda: torch.compile(small_factory(), backend="eager"), pretrained=path
    )
    assert states_equal(loaded._orig_mod.state_dict(), original.state_dict())


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


FOREIGN = {
    "nothing": {},
    "nothing under state_dict": {"state_dict": {}},
    "None under model": {"model": None},
    "a list": [torch.zeros(2)],
    "a tensor": torch.zeros(2),
    "numbers": {"epoch": 3, "loss": 0.5},
    "keys that are numbers": {0: torch.zeros(2)},
    "some keys that are numbers": {0: torch.zeros(2), "a": torch.zeros(2)},
}


@pytest.fixture
def reachable_hub(monkeypatch):
    """Other sources would serve; none must be asked once a file was named."""

    def serve(*args, **kwargs):
        asked.append(args)
        return small().state_dict()

    asked = []
    for name in ("load_state_dict_from_hf", "load_state_dict_from_url"):
        monkeypatch.setattr(f"timm.models._builder.{name}", serve)
    yield asked
    assert not asked


@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
@pytest.mark.parametrize("content", FOREIGN)
def test_file_without_weights_is_named(tmp_path, content, name, reachable_hub):
    path = save(FOREIGN[content], tmp_path / "w.pth")
    with pytest.raises(
        BackboneWeightsError, match=r"w\.pth holds no weights: expected"
    ):
        create_backbone(name, pretrained=path)


@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
def test_empty_safetensors_are_named(tmp_path, name, reachable_hub):
    path = save({}, tmp_path / "w.safetensors")
    with pytest.raises(BackboneWeightsError, match=r"w\.safetensors holds no weights"):
        create_backbone(name, pretrained=path)


def test_only_the_file_is_asked(tmp_path, monkeypatch):
    # Whatever a file's weights become on the way, timm has no other place to go.
    monkeypatch.setattr("modal_pretrain.backbones.create.read_weights", lambda path: {})
    path = save(small().state_dict(), tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"file .*w\.pth cannot be loaded"):
        create_backbone("resnet18", pretrained=path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_garbage_is_an_error(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    match = rf"w{suffix} \({len(content)} bytes\) is no checkpoint.*Error: .*again\."
    with pytest.raises(BackboneWeightsError, match=f"(?s){match}"):
        create_backbone(SMALL, pretrained=path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=r"w\.pth'.* is a FIFO .*not a regu"):
        create_backbone(SMALL, pretrained=tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match="is a directory, not a regular"):
        create_backbone(SMALL, pretrained=tmp_path)
    with pytest.raises(BackboneWeightsError, match=r"null (byte|character)"):
        create_backbone(SMALL, pretrained="a\0b.pth")


@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
def test_missing_file_is_named(tmp_path, name):
    with pytest.raises(BackboneWeightsError, match=r"gone\.pth.*no such file"):
        create_backbone(name, pretrained=tmp_path / "gone.pth")


@pytest.mark.parametrize("pretrained", [None, 1, 0, 2.5, ["w.pth"]])
def test_pretrained_of_another_type(pretrained):
    with pytest.raises(TypeError, match="pretrained must be True, False or the path"):
        create_backbone(SMALL, pretrained=pretrained)


CHANGES = {
    "integers": (
        lambda t: t.int(),
        "holds numbers of torch.int32, expected",
    ),
    "complex": (lambda t: t.to(torch.complex64), "holds numbers of torch.complex64"),
    "NaN": (lambda t: t * float("nan"), "holds NaN or infinity"),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("name", [SMALL, small_factory], ids=["timm", "factory"])
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_values_that_are_no_weights(tmp_path, name, what):
    """PyTorch casts them to floats without a word."""
    change, message = CHANGES[what]
    state = small().state_dict()
    state["conv_stem.weight"] = change(state["conv_stem.weight"])
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match=f"w.pth.*conv_stem.w.* {message}"):
        create_backbone(name, pretrained=path)


class Masked(nn.Module):
    """Keeps the mask of its attention, as transformers of tutorials do."""

    def __init__(self):
        super().__init__()
        self.net = small()
        self.register_buffer("mask", torch.full((4, 4), float("-inf")).triu(1))

    def forward(self, inputs):
        return self.net(inputs)


def test_a_mask_of_infinities_is_no_diverged_training(tmp_path):
    state = Masked().state_dict()
    create_backbone(Masked, save(state, tmp_path / "w.pth"))
    for key, value in [("mask", "nan"), ("net.bn1.running_var", "inf")]:
        broken = state | {key: torch.full_like(state[key], float(value))}
        path = save(broken, tmp_path / f"{value}.pth")
        with pytest.raises(BackboneWeightsError, match=f"{key} holds NaN or infinity"):
            create_backbone(Masked, path)


def test_a_file_of_which_a_part_came(tmp_path):
    """Programs that download keep room for all of a file, which is zeros at first."""
    path = tmp_path / "w.safetensors"
    save_file(small().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    with pytest.raises(BackboneWeightsError, match=r"w\.safe.*zeros alone.*in part"):
        create_backbone(SMALL, pretrained=path)
    state = small().state_dict()
    state["conv_stem.weight"] *= 0  # a small part that was not trained is none
    create_backbone(SMALL, save(state, tmp_path / "w.pth"))


@pytest.mark.parametrize("random_state", ["a", 1.5, True])
def test_seeds_that_are_none(random_state):
    with pytest.raises(ValueError, match="random_state must be None or a whole number"):
        create_backbone(SMALL, False, random_state=random_state)


@pytest.mark.parametrize("wrapper", ["model", "backbone", "net.encoder"])
def test_a_name_before_all_keys_is_found(tmp_path, wrapper):
    state = {f"{wrapper}.{k}": v for k, v in small().state_dict().items()}
    path = save(state, tmp_path / "weights.pth")
    with pytest.raises(BackboneWeightsError, match=f"begin with '{wrapper}\\.'"):
        create_backbone(SMALL, path)


def test_of_two_networks_in_a_file_both_are_named(tmp_path):
    whole = small().state_dict().items()
    state = {f"{of}.{k}": v for of in ("teacher", "student") for k, v in whole}
    path = save(state, tmp_path / "weights.pth")
    with pytest.raises(BackboneWeightsError, match=r"'student\.' or 'teacher\.': save"):
        create_backbone(SMALL, path)


def test_no_head_is_left_random(tmp_path):
    path = save(small(num_classes=7).state_dict(), tmp_path / "weights.pth")
    assert create_backbone(SMALL, path).weights_source == f"file {path}"
    with pytest.raises(BackboneWeightsError, match="leave num_classes out"):
        create_backbone(SMALL, path, num_classes=5)


SAFETENSORS = (2).to_bytes(8, "little") + b'{"a": 0}'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("w.safetensors", b"version https://git-lfs.github.com/v1\n", "git lfs pull"),
        ("w.pth", b"<!doctype html>", "it is a web page"),
        ("w.pth", b"\x1f\x8b\x08rest", "it is compressed"),
        ("w.pth", SAFETENSORS, "name that ends in .safetensors"),
        ("w.safetensors", b"PK\3\4rest", "name that ends in .pth"),
        ("w.onnx", b"\x08\x07\x12\x07pytorch", "it is an ONNX file"),
        ("w.bin", b'{"weight_map": {}}', "it is JSON"),
    ],
)
def test_other_files_are_told_by_how_they_begin(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackboneWeightsError, match=message):
        create_backbone(SMALL, tmp_path / name)


def test_a_network_in_the_place_of_its_weights(tmp_path):
    torch.save(small(), tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match="save the tensors of its state"):
        create_backbone(SMALL, tmp_path / "w.pth")


def test_weights_themselves_are_not_printed_whole():
    with pytest.raises(TypeError, match="of type OrderedDict") as info:
        create_backbone(SMALL, small().state_dict())
    assert len(str(info.value)) < 300


def test_home_of_nobody():
    with pytest.raises(BackboneWeightsError, match="there is no such file"):
        create_backbone(SMALL, "~no such user/weights.pth")


def test_averaged_models_of_pytorch_load(tmp_path):
    original = small()
    averaged = torch.optim.swa_utils.AveragedModel(original)
    path = save(averaged.state_dict(), tmp_path / "w.pth")
    original.reset_classifier(0)
    loaded = create_backbone(SMALL, pretrained=path)
    assert states_equal(loaded.state_dict(), original.state_dict())


def test_weights_under_other_names_are_shown(tmp_path):
    state = small().state_dict()
    nested = {"student": state, "teacher": state, "optimizer": {"lr": 0.1}, "epoch": 3}
    path = save(nested, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match="some under 'student', 'teacher':"):
        create_backbone(SMALL, pretrained=path)


def test_weights_beside_a_loss_are_shown(tmp_path):
    # As PyTorch's tutorial on checkpoints saves them.
    content = {"model_state_dict": small().state_dict(), "loss": torch.tensor(0.3)}
    path = save(content, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match="some under 'model_state_dict':"):
        create_backbone(SMALL, pretrained=path)


def test_tensors_in_the_extra_state_of_a_layer(tmp_path):
    class Scaled(torch.nn.Linear):
        scale = 1.0

        def get_extra_state(self):
            return {"scale": torch.tensor(self.scale)}

        def set_extra_state(self, state):
            self.scale = float(state["scale"])

    trained = torch.nn.Sequential(Scaled(3, 2))
    trained[0].scale = 2.0
    path = save(trained.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone(lambda: torch.nn.Sequential(Scaled(3, 2)), path)
    assert loaded[0].scale == 2


def test_positions_that_do_not_fit_ask_for_the_architecture(tmp_path):
    state = small(SMALL_VIT).state_dict()
    state["pos_embed"] = state["pos_embed"][:, :-3]
    path = save(state, tmp_path / "w.pth")
    with pytest.raises(BackboneWeightsError, match="of this architecture"):
        create_backbone(SMALL_VIT, pretrained=path)


def test_auxiliary_heads_may_be_left_over(tmp_path):
    """As in torchvision's weights of Inception, which timm takes, too."""
    original = small("inception_v3", aux_logits=True, num_classes=5)
    path = save(original.state_dict(), tmp_path / "w.pth")
    loaded = create_backbone("inception_v3", pretrained=path)
    assert torch.equal(
        loaded.Mixed_7c.branch_pool.conv.weight,
        original.Mixed_7c.branch_pool.conv.weight,
    )


def test_a_head_in_the_checkpoint_of_a_factory(tmp_path):
    def factory(**head):
        return timm.create_model("resnet18", **{"num_classes": 0, **head})

    path = tmp_path / "whole.pth"
    state = factory(num_classes=3).state_dict()
    torch.save(state, path)
    with pytest.raises(BackboneWeightsError, match=r"fc\.bias.*without them"):
        create_backbone(factory, path)
    torch.save({k: v for k, v in state.items() if not k.startswith("fc.")}, path)
    create_backbone(factory, path)
