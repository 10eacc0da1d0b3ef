"""Configurations, grids, files and the names in them."""

import builtins
import datetime
import importlib
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from modal_pretrain.benchmark import BenchmarkConfig, expand, run
from modal_pretrain.benchmark.call import Call
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.registry import strategy, strategy_names
from modal_pretrain.benchmark.settings import read_settings
from modal_pretrain.benchmark.unit import load_data
from modal_pretrain.datasets import make_shapes


def test_digest_ignores_the_axes_and_nothing_else(small):
    base = small()
    same = [
        small(seeds=(5,), strategies=("random",)),
        small(references=("full",)),
        small(estimator_params={**base.estimator_params, "cache": "folder"}),
        small(estimator_params={**base.estimator_params, "augment": False}),
    ]
    assert {config.digest() for config in same} == {base.digest()}
    changed = [
        small(batch=5),
        small(rounds=3),
        small(pool_sample=30),
        small(estimator_params={"image_size": 64}),
        small(estimator_params={**base.estimator_params, "augment": True}),
        small(dataset_params={"n_train": 61}),
        small(seed_set_atypical=0),
    ]
    assert len({base.digest(), *(config.digest() for config in changed)}) == 8


def test_json_there_and_back(small):
    config = small(seed_set_atypical=2)
    again = BenchmarkConfig.from_json(config.to_json())
    assert again == config
    assert again.digest() == config.digest()


def network(width=8):
    """A factory that a module defines; its text holds where it lies in memory."""


def test_functions_are_known_by_their_names(small):
    """The hash is that of any process, so that runs go on and grow."""
    factories = [network, partial(network, width=4), partial(network, width=8)]
    configs = [small(estimator_params={"backbone": f}) for f in factories]
    assert [config.nameless() for config in configs] == [[], [], []]
    assert len({config.digest() for config in configs}) == 3
    for config in configs:
        assert "0x" not in config.to_json()
        assert "test_settings:network" in config.to_json()
        assert BenchmarkConfig.from_json(config.to_json()).digest() == config.digest()


def test_a_function_that_was_edited_is_another(small, tmp_path, monkeypatch):
    """Its runs must not go on from those of the code before."""
    monkeypatch.syspath_prepend(tmp_path)
    digests = set()
    for width in (8, 16, 8):
        (tmp_path / "own_nets.py").write_text(f"def net():\n    return {width}\n")
        monkeypatch.delitem(sys.modules, "own_nets", raising=False)
        importlib.invalidate_caches()
        factory = importlib.import_module("own_nets").net
        digests.add(small(estimator_params={"backbone": factory}).digest())
    assert len(digests) == 2


def test_functions_without_names_are_told_apart_with_a_warning(small, tmp_path):
    factories = [lambda n=n: network(n) for n in (4, 8)]
    first, second = (
        small(seed_set=1000, estimator_params={"backbone": f}) for f in factories
    )
    assert first.digest() != second.digest()
    with (
        pytest.warns(UserWarning, match="backbone: a function without a name"),
        pytest.raises(ValueError, match="a seed set of n=1000 is not possible"),
    ):
        run(first, tmp_path)


@pytest.mark.parametrize("names", [{2: "b", 10: "a"}, {"x": "b", 1: "a", None: "c"}])
def test_names_that_are_no_text_there_and_back(small, names):
    """JSON makes texts of them, in another order: "10" is before "2"."""
    config = small(dataset_params={"classes": names})
    again = BenchmarkConfig.from_json(config.to_json())
    assert again.digest() == config.digest()
    assert again.to_json() == config.to_json()


def test_units(small):
    config = small(models=("pretrained",), references=("oracle", "full"))
    assert config.units() == [
        Unit("pretrained", "uncertainty", 0),
        Unit("pretrained", "random", 0),
        Unit("pretrained", "group_balanced", 0),
        Unit("pretrained", "uncertainty", 1),
        Unit("pretrained", "random", 1),
        Unit("pretrained", "group_balanced", 1),
        Unit("pretrained", "full", 0),
    ]
    assert [config.n_records(unit) for unit in config.units()] == [3] * 6 + [1]
    assert str(Unit("pretrained", "my.module:ask", 3)) == "pretrained--my.module.ask--3"


@pytest.mark.parametrize(
    "change, match",
    [
        ({"batch": 0}, "batch"),
        ({"rounds": -1}, "rounds"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"models": ("pretrained", "pretrained")}, "models"),
        ({"strategies": ["m:" + "é" * 100]}, "'m:é.* is longer than 200 bytes"),
        ({"strategies": "random"}, r"write \['random'\]"),
        ({"strategies": "random, badge"}, r"write \['random', 'badge'\]"),
        ({"seeds": (1.5,)}, "each of seeds must be a whole number"),
        ({"seeds": (True,)}, "each of seeds must be a whole number"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"strategies": [3]}, "each of strategies must be a name, .* got 3"),
        ({"dataset": 3}, "dataset must be a name, .* got 3"),
        ({"estimator_params": 3}, "estimator_params must be names and values"),
        ({"dataset_params": {3: 4}}, "dataset_params must be names and values"),
        ({"batch": True}, "batch must be a whole number"),
        ({"batch": "4"}, "Write 4 without quotes"),
        ({"seed_set_atypical": -1}, "seed_set_atypical"),
        ({"references": ("all",)}, "references may be oracle and full"),
        ({"references": ("none",)}, "An empty list .* leaves them out"),
        (
            {"pool_sample": 3},
            "pool_sample must be None or a whole number of at least 4",
        ),
    ],
)
def test_bad_settings_are_refused(small, change, match):
    with pytest.raises(ValueError, match=match):
        small(**change)


def own_data(names, since=None):
    """Return shapes, if the parameters came as text."""
    assert names == {"0": "train", "1": "test"}
    assert since == "2020-01-31"
    return make_shapes(20, 20, image_size=32)


def test_parameters_of_the_data_set_have_one_text():
    since = datetime.date(2020, 1, 31)  # as TOML and YAML have it
    for names in ({0: "train", "1": "test"}, {"1": "test", 0: "train"}):
        settings = {"name": f"{__name__}:own_data", "names": names, "since": since}
        (config,) = expand({"dataset": settings})
        assert len(load_data(config, Call.now())) == 40
        assert '"0": "train", "1": "test"' in config.to_json()


@pytest.mark.parametrize("value", [re.compile("(a)"), [len], {1}, np.int64(3)])
def test_what_a_data_set_cannot_be_given(value):
    settings = {"name": "folder", "root": Path("x"), "attribute": value}
    with pytest.raises(ValueError, match=r"attribute=.* cannot be kept with the rec"):
        expand({"dataset": settings})


def test_data_are_the_same_in_every_process():
    with pytest.raises(ValueError, match="random_state=None draws other data in every"):
        expand({"dataset": {"name": "shapes", "random_state": None}})


def test_grid():
    configs = expand(
        {
            "dataset": ["shapes", {"name": "shapes", "difficulty": 0.0}],
            "seed_set": [4, 10],
            "batch": [5, 10],
            "budget": 40,
            "seeds": 3,
            "estimator": {
                "tune": ["all", 1],
                "augment": [False, True],
                "image_size": 32,
            },
        }
    )
    assert len(configs) == len({config.digest() for config in configs}) == 32
    assert {(c.batch, c.rounds) for c in configs} == {(5, 8), (10, 4)}
    for key, values in {"tune": {"all", 1}, "augment": {False, True}}.items():
        assert {c.estimator_params[key] for c in configs} == values
    assert [bool(c.dataset_params) for c in configs] == [False] * 16 + [True] * 16
    assert all(config.seeds == (0, 1, 2) for config in configs)


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"bach": 3}, "no setting 'bach'. Did you mean 'batch'"),
        ({"dataset": "shaps"}, "no dataset 'shaps'. Did you mean 'shapes'"),
        ({"models": ["pretraind"]}, "no model 'pretraind'. Did you mean 'pretrained'"),
        ({"strategies": ["margn"]}, "no strategy 'margn'. Did you mean 'margin'"),
        ({"strategies": ["uncertainty_sampling"]}, "Did you mean 'uncertainty'?"),
        ({"estimator": {"imgsize": 3}}, "'imgsize'. Did you mean 'image_size'"),
        ({"estimator": {"random_state": 3}}, "'random_state' is set by the benchmark"),
        ({"dataset": {"name": "shapes", "n_trian": 3}}, "Did you mean 'n_train'"),
        ({"dataset": {"root": "x"}}, "dataset must be a name"),
        ({"dataset": "waterbirds"}, r"missing: 'root' \(--root DIR\)"),
        (
            {"dataset": {"name": "csv", "path": "a.csv"}},
            r"missing: 'target' \(--data target=VALUE\)",
        ),
        ({"dataset": "builtins:dict"}, "parameter of builtins:dict cannot be checked"),
        ({"dataset": "no.such.module:load"}, "no dataset 'no.such.module:load'"),
        ({"rounds": 3, "budget": 30}, "rounds or budget"),
        ({"seeds": 1.5}, r"seeds must be a whole number .* Or give a list of seeds"),
        ({"seeds": True}, "seeds must be a whole number"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"strategies": [3]}, "each of strategies must be a name"),
        ({"dataset": 3}, "dataset must be a name, .* got 3"),
        ({"estimator": 3}, "estimator must be a table"),
        ({"budget": True}, "budget must be a whole number"),
        ({"budget": 30, "batch": "5"}, "batch must be a whole number"),
        ({"budget": 5}, "budget=5 is less than one batch of 10"),
        ({"batch": []}, "batch is an empty list"),
    ],
)
def test_what_is_wrong_is_named(settings, match):
    with pytest.raises(ValueError, match=match):
        expand(settings)


def test_unknown_names_fail_before_the_work(tmp_path, small):
    with pytest.raises(ValueError, match="no strategy 'nonsense'"):
        run(small(strategies=("nonsense",)), tmp_path, verbose=0)
    with pytest.raises(ValueError, match="no dataset"):
        run(small(dataset="nonsense"), tmp_path, verbose=0)
    assert list(tmp_path.iterdir()) == []


def test_every_listed_name_can_be_had():
    assert {"random", "uncertainty", "margin", "entropy"} <= set(strategy_names())
    assert all(callable(strategy(name)) for name in strategy_names())


TOML = 'strategies = ["random"]\nseeds = 2\n[estimator]\ntune = "head"\n'
YAML = "strategies: [random]\nseeds: 2\nestimator: {tune: head}\n"


def test_files(tmp_path):
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "a.yaml").write_text(YAML)
    settings = read_settings(tmp_path / "a.toml")
    assert settings == {
        "strategies": ["random"],
        "seeds": 2,
        "estimator": {"tune": "head"},
    }
    pytest.importorskip("yaml")
    assert read_settings(tmp_path / "a.yaml") == settings


@pytest.mark.parametrize(
    "name, text, match",
    [
        ("a.toml", "stratgies = []", "setting in a.toml 'stratgies'. Did you mean"),
        ("a.toml", "x = ", "not valid TOML"),
        (
            "a.toml",
            "x = " + "[" * 5000,
            r"a\.toml is not valid TOML: .*(recurs|nested)",
        ),
        ("a.toml", "x = " + "1" * 5000, r"a\.toml is not valid TOML: .*limit"),
        ("a.json", "{}", r"ends in .toml, .yaml or .yml"),
        ("a.yaml", "- 1\n- 2\n", "must hold keys and values"),
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.yaml", "a: 2020-13-45", r"a\.yaml is not valid YAML: month"),
    ],
)
def test_files_that_are_wrong(tmp_path, name, text, match):
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        read_settings(tmp_path / name)
    with pytest.raises(ValueError, match="cannot read"):
        read_settings(tmp_path / "missing.toml")


@pytest.mark.parametrize("name", ["A.TOML", "a.Toml", "A.YML", "a.YAML"])
def test_endings_in_capitals(tmp_path, name):
    toml = name.lower().endswith("toml")
    if not toml:
        pytest.importorskip("yaml")
    (tmp_path / name).write_text("seeds = 2\n" if toml else "seeds: 2\n")
    assert read_settings(tmp_path / name) == {"seeds": 2}


def test_yaml_without_pyyaml(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(YAML)
    real = builtins.__import__

    def no_yaml(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_yaml)
    with pytest.raises(ImportError, match="pip install pyyaml"):
        read_settings(tmp_path / "a.yaml")


def test_numbers_of_numpy_are_those_of_python(small):
    config = small(seeds=np.arange(2).tolist(), batch=np.int64(4))
    assert config.to_json() == small().to_json()
    assert small(seeds=tuple(np.arange(2))) == small()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("batch: 1\nbatch: 2\n", "it names 'batch' twice"),
        ("estimator:\n  tune: head\n  tune: all\n", "it names 'tune' twice"),
        ("estimator: {1: a, 0x1: b}\n", "it names 1 twice"),
        ('estimator: {"<<": a, "<<": b}\n', "it names '<<' twice"),
        ("estimator: &a {tune: *a}\n", "a value holds itself"),
        ("batch: &a [*a]\n", "a value holds itself"),
    ],
)
def test_yaml_takes_no_key_twice_and_no_circle(tmp_path, text, match):
    pytest.importorskip("yaml")
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"a.yaml is not valid YAML: {match}"):
        read_settings(path)
    path.write_text("batch: &a [5, 10]\nseed_set: *a\n")
    assert read_settings(path) == {"batch": [5, 10], "seed_set": [5, 10]}


def test_yaml_keys_that_only_look_alike(tmp_path):
    pytest.importorskip("yaml")
    path = tmp_path / "a.yaml"
    path.write_text('estimator: {1: a, "1": b, =: c}\n')
    assert read_settings(path) == {"estimator": {1: "a", "1": "b", "=": "c"}}
    path.write_text("estimator: {<<: {tune: head}, <<: {cache: folder}, tune: all}\n")
    assert read_settings(path) == {"estimator": {"tune": "all", "cache": "folder"}}


@pytest.mark.parametrize(
    "settings",
    [{"batch": [5, 5]}, {"dataset": ["shapes"] * 2}, {"seed_set": [4, 8, 4]}],
)
def test_a_grid_names_each_value_once(settings):
    """Or all records of its configuration would come twice."""
    with pytest.raises(ValueError, match=f"{next(iter(settings))} names .* twice"):
        expand(settings)


@pytest.mark.parametrize("name", ["builtins:max", "builtins:len", "numpy:sort"])
def test_strategies_that_cannot_be_called_so(name):
    with pytest.raises(ValueError, match=f"strategies: '{name}' must be a function"):
        expand({"strategies": [name]})


@pytest.mark.parametrize(
    "names",
    [
        ("random", "random+plain"),
        ("random+errors", "random+errors:4"),
        ("random+tags:30", "random+tags:030"),
        ("random", "modal_pretrain.query:random_sampling"),
    ],
)
def test_a_strategy_that_has_two_names_runs_once(names):
    with pytest.raises(ValueError, match=r"strategies: 'random.*' are the same"):
        expand({"strategies": list(names)})
    assert expand({"strategies": [names[1], "margin", "random+errors:2"]})


@pytest.mark.parametrize("key", ["seeds", "rounds", "strategies", "budget", "heads"])
def test_settings_that_slipped_below_a_table(key):
    with pytest.raises(ValueError, match=rf"'{key}' is a setting .* above \[estimator"):
        expand({"estimator": {"image_size": 32, key: 1}})
    with pytest.raises(ValueError, match=rf"'{key}' is a setting .* above \[dataset"):
        expand({"dataset": {"name": "shapes", key: 1}})


@pytest.mark.parametrize("key", ["__", "__x", "module__", "foo__bar"])
def test_parts_that_the_classifier_has_not(key):
    with pytest.raises(ValueError, match=r"no parameter of the classifier '\w*'\."):
        expand({"estimator": {key: 1}})
