"""What the files of a model say about its pooling."""

import json
import pickle
import shutil

import numpy as np
import pytest
import transformers

from modal_pretrain import PretrainedTextClassifier, TextEncoder
from modal_pretrain.backbones.weights import BackboneWeightsError
from modal_pretrain.text.backbone import create_text_backbone
from modal_pretrain.text.stated import stated_case
from modal_pretrain.text.tokens import Tokenization

KINDS = {
    "mean": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
    "cls": {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True},
    "last": {"pooling_mode_lasttoken": True, "include_prompt": True},
}
NEWER = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


def state(folder, config):
    """Write what sentence-transformers writes about a pooling."""
    place = folder / "1_Pooling"
    place.mkdir(exist_ok=True)
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": place.name, "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.x.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    config = {"word_embedding_dimension": 32, **config}
    (place / "config.json").write_text(json.dumps(config))


@pytest.fixture
def own(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def embed(folder, texts, **params):
    params = {"cache": None, "precision": "float32", "device": "cpu", **params}
    return TextEncoder(folder, **params).fit_transform(texts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("newer", [False, True])
def test_a_model_is_pooled_as_its_files_say(own, texts, kind, newer):
    state(own, {"pooling_mode": NEWER[kind]} if newer else KINDS[kind])
    np.testing.assert_array_equal(
        embed(own, texts), embed(own, texts, pooling=kind), strict=True
    )
    other = "cls" if kind == "mean" else "mean"
    assert not np.allclose(embed(own, texts), embed(own, texts, pooling=other))


def test_a_network_in_a_folder_of_its_own_is_pooled_as_the_files_beside_it_say(
    folder, texts, tmp_path
):
    network = shutil.copytree(folder, tmp_path / "0_Transformer")
    alone = embed(network, texts)
    state(tmp_path, KINDS["cls"])
    np.testing.assert_array_equal(embed(network, texts), alone)  # none names it
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = network.name  # as older versions wrote it
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    expected = embed(network, texts, pooling="cls")
    np.testing.assert_array_equal(embed(network, texts), expected)
    with pytest.raises(BackboneWeightsError, match=r"give '.*0_Transformer'"):
        embed(tmp_path, texts)


@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_a_network_is_that_of_its_files_also_through_a_link(
    folder, texts, tmp_path, place
):
    network = shutil.copytree(folder, tmp_path / "model" / "0_Transformer")
    state(network.parent, KINDS["cls"])
    modules = network.parent / "modules.json"
    alone = modules.read_text()
    modules.write_text(alone.replace('"path": ""', f'"path": "{network.name}"'))
    parent = network.parent if place == "beside" else tmp_path
    link = parent / "encoder"
    link.symlink_to(network)
    expected = embed(network, texts, pooling="cls")
    np.testing.assert_array_equal(embed(link, texts), expected)
    pooling = network.parent / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps(KINDS["last"]))
    expected = embed(network, texts, pooling="last")
    np.testing.assert_array_equal(embed(link, texts), expected)


def test_the_last_token_is_the_last_of_the_text(own, texts):
    backbone = create_text_backbone(own, pooling="last")
    tokens, _ = backbone.tokenization.tokenise([texts[0]])
    hidden = backbone.model(
        input_ids=backbone.tokenization.pad(tokens)[:, 0]
    ).last_hidden_state
    found = embed(own, texts, pooling="last")[0]
    np.testing.assert_allclose(found, hidden[0, -1].detach(), atol=1e-5)


@pytest.mark.parametrize(
    "config, words",
    [
        ({"pooling_mode_max_tokens": True}, "'max_tokens'"),
        ({"pooling_mode": ["mean", "max"]}, "'mean and max'"),
        ({"pooling_mode_cls_token": True, **KINDS["last"]}, "'cls and last'"),
        ({}, "''"),
    ],
)
def test_a_pooling_that_is_unknown_is_an_error(own, texts, config, words):
    state(own, config)
    with pytest.raises(ValueError, match=f"state the pooling {words}, which is none"):
        embed(own, texts)
    assert embed(own, texts, pooling="mean").shape == (24, 32)


@pytest.mark.parametrize("place", ["before", "instead"])
@pytest.mark.parametrize("kind", ["LSTM", "WeightedLayerPooling", "SpladePooling"])
def test_modules_that_make_another_pooling_are_named(own, texts, kind, place):
    state(own, KINDS["cls"])
    modules = json.loads((own / "modules.json").read_text())
    other = {"idx": 1, "path": f"1_{kind}", "type": f"sentence_transformers.m.{kind}"}
    modules[1 : 2 if place == "instead" else 1] = [other]
    (own / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match=f"state the pooling '{kind} of modules.json'"):
        embed(own, texts)
    assert embed(own, texts, pooling="mean").shape == (24, 32)


@pytest.mark.parametrize("kind", ["Dense", "Dropout", "LayerNorm"])
def test_modules_behind_the_pooling_are_left_out(own, texts, kind):
    state(own, KINDS["cls"])
    modules = json.loads((own / "modules.json").read_text())
    modules.append({"idx": 3, "path": "3", "type": f"sentence_transformers.m.{kind}"})
    (own / "modules.json").write_text(json.dumps(modules))
    expected = embed(own, texts, pooling="cls")
    np.testing.assert_array_equal(embed(own, texts), expected)


def test_two_poolings_are_none_that_is_known(own, texts):
    state(own, KINDS["mean"])
    modules = json.loads((own / "modules.json").read_text())
    (own / "modules.json").write_text(json.dumps([*modules, modules[1]]))
    with pytest.raises(ValueError, match="more than one Pooling"):
        embed(own, texts)


@pytest.mark.parametrize("tokens", [6, 30])
def test_a_stated_length_goes_before_the_tokenizer_s(own, tokens):
    file = own / "tokenizer_config.json"
    config = json.loads(file.read_text()) | {"model_max_length": tokens}
    file.write_text(json.dumps(config))
    assert create_text_backbone(own).tokenization.max_length == tokens
    # The model has 40 positions.
    for stated, expected in [(17, 17), (400, 40), (-1, tokens), (True, tokens)]:
        (own / "sentence_bert_config.json").write_text(
            json.dumps({"max_seq_length": stated})
        )
        assert create_text_backbone(own).tokenization.max_length == expected


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("modules.json", "[{", "modules.json is no JSON"),
        ("modules.json", '{"a": 1}', "modules.json must hold a JSON array"),
        ("1_Pooling/config.json", "[]", "config.json must hold a JSON object"),
        ("sentence_bert_config.json", "{", "sentence_bert_config.json is no JSON"),
    ],
)
def test_files_that_are_damaged_are_named(own, texts, name, text, message):
    state(own, KINDS["cls"])
    (own / name).write_text(text)
    with pytest.raises(BackboneWeightsError, match=message):
        embed(own, texts)


def test_a_pooling_whose_file_was_not_copied_is_named(own, texts):
    state(own, KINDS["cls"])
    (own / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"1_Pooling/config\.json is not there"):
        embed(own, texts)


def test_files_that_change_change_the_pooling(own, texts):
    state(own, KINDS["mean"])
    before = embed(own, texts)
    state(own, KINDS["cls"])
    np.testing.assert_array_equal(embed(own, texts), embed(own, texts, pooling="cls"))
    assert not np.allclose(embed(own, texts), before)


def test_where_nothing_is_stated_it_is_the_mean(folder, texts):
    np.testing.assert_array_equal(
        embed(folder, texts), embed(folder, texts, pooling="mean")
    )


def test_texts_are_lowered_where_the_files_say_so(own, texts):
    shouted, lowered = (
        [getattr(t, case)() for t in texts] for case in ("upper", "lower")
    )
    as_it_is = embed(own, shouted)
    (own / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    np.testing.assert_array_equal(embed(own, shouted), embed(own, lowered))
    assert not np.allclose(embed(own, shouted), as_it_is)


@pytest.mark.parametrize("gone", ["modules.json", "sentence_bert_config.json"])
def test_a_fitted_encoder_knows_what_its_files_said(own, texts, gone):
    state(own, KINDS["cls"])
    (own / "sentence_bert_config.json").write_text('{"max_seq_length": 17}')
    fitted = TextEncoder(own, cache=None, precision="float32", device="cpu").fit(texts)
    before = fitted.transform(texts)
    (own / gone).rename(own.parent / gone)  # a copy without it
    name, now, then = {
        "modules.json": ("pooling", "'mean'", "'cls'"),
        "sentence_bert_config.json": ("max_length", 40, 17),
    }[gone]
    with pytest.raises(ValueError, match=f"{name} now \\({now}, no longer {then}\\)"):
        pickle.loads(pickle.dumps(fitted)).transform(texts)
    (own.parent / gone).rename(own / gone)
    np.testing.assert_array_equal(fitted.transform(texts), before)


def test_a_fitted_encoder_knows_whether_its_files_lowered(own, texts):
    file = own / "sentence_bert_config.json"
    fits = {}
    for value in ("true", "false"):
        file.write_text(f'{{"do_lower_case": {value}}}')
        encoder = TextEncoder(own, cache=None, precision="float32", device="cpu")
        fits[value] = pickle.dumps(encoder.fit(texts))
    pickle.loads(fits["false"]).transform(texts)
    with pytest.raises(ValueError, match=r"do_lower_case now \(None, no longer True\)"):
        pickle.loads(fits["true"]).transform(texts)
    file.write_text('{"do_lower_case": true}')
    pickle.loads(fits["true"]).transform(texts)
    # So it is of one from before such files were heeded.
    with pytest.raises(ValueError, match=r"do_lower_case now \(True, no longer None\)"):
        pickle.loads(fits["false"]).transform(texts)


def test_a_tokenizer_in_python_that_lowers_is_another(own):
    class Slow(transformers.PreTrainedTokenizer):
        vocab_size = 1

        def get_vocab(self):
            return {"a": 0}

        def _convert_token_to_id(self, token):
            return 0

        def save_vocabulary(self, *args, **kwargs):
            return ()

    one, two = Slow(), Slow()
    (own / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    stated_case(two, own)
    one, two = (Tokenization(each, 8).fingerprint() for each in (one, two))
    assert one != two


def test_a_fitted_classifier_keeps_its_pooling(own, texts, names):
    state(own, KINDS["cls"])
    params = {"device": "cpu", "cache": None, "random_state": 0}
    fitted = PretrainedTextClassifier(own, **params).fit(texts, names)
    there = pickle.loads(pickle.dumps(fitted))
    assert there.module_.backbone.pooling == "cls"
    np.testing.assert_array_equal(
        there.predict_proba(texts), fitted.predict_proba(texts)
    )
