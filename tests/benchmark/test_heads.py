"""Heads that learn from the exceptions, as part of a strategy's name."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from modal_pretrain import PretrainedClassifier
from modal_pretrain.benchmark import expand, load, run, run_unit
from modal_pretrain.benchmark.auditing import Auditor
from modal_pretrain.benchmark.heads import join, split
from modal_pretrain.benchmark.registry import strategy
from modal_pretrain.benchmark.report.page import write_report
from modal_pretrain.cli.main import main
from modal_pretrain.query import (
    least_confidence_sampling,
    margin_sampling,
    tag_exception_sampling,
)


@pytest.mark.parametrize(
    "head", ["plain", "errors", "errors:2", "errors:0.5", "tags:all", "tags:30"]
)
@pytest.mark.parametrize("name", ["uncertainty", "my.module:function"])
def test_names(name, head):
    assert split(join(name, head)) == (name, head)
    assert (join(name, head) == name) == (head == "plain")


@pytest.mark.parametrize(
    "head",
    [
        "error",
        "errors:",
        "errors:x",
        "errors:-1",
        "tags",
        "tags:0",
        "tags:-1",
        "tags:x",
        3,
    ],
)
def test_no_head(head):
    with pytest.raises(ValueError, match=r"heads may be 'plain', 'errors'"):
        expand({"heads": [head]})
    with pytest.raises(ValueError, match=r"heads may be 'plain', 'errors'"):
        strategy(f"random+{head}")


def test_expand_makes_strategies_of_them_and_leaves_the_hash():
    (plain,) = expand({"strategies": ["random", "badge"], "seeds": 2})
    (both,) = expand(
        {"strategies": ["random", "badge"], "heads": ["plain", "errors"], "seeds": 2}
    )
    assert both.strategies == ("random", "random+errors", "badge", "badge+errors")
    assert both.digest() == plain.digest()
    assert expand({"heads": ["plain"]}) == expand({})
    assert strategy("margin+tags:5") is strategy("margin")


def records(data, head, strategy=margin_sampling, **settings):
    classifier = PretrainedClassifier(
        nn.Identity, pretrained=False, device="cpu", random_state=0, C=0.05
    )
    return [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in run_unit(
            data,
            classifier,
            strategy,
            head=head,
            **{"seed_set": np.arange(6), "batch": 12, "rounds": 3, **settings},
        )
    ]


def test_a_strategy_has_one_head():
    named = {"strategies": ["uncertainty+errors:2", "random"], "heads": ["tags:3"]}
    with pytest.raises(ValueError, match=r"errors:2' names a head, and heads would"):
        expand(named)
    assert "uncertainty+errors:2" in expand(named | {"heads": "plain"})[0].strategies


def test_heads_do_what_they_say(tabular):
    every = {head: records(tabular, head) for head in ("plain", "errors", "tags:all")}
    assert every["plain"] == records(tabular, "plain")
    assert every["errors"][-1]["log_loss"] != every["plain"][-1]["log_loss"]
    assert every["tags:all"][-1]["log_loss"] != every["plain"][-1]["log_loss"]
    assert records(tabular, "errors:4") == every["errors"]
    assert records(tabular, "errors:2") not in every.values()
    # Three tags are too few to say that an attribute misleads.
    assert records(tabular, "tags:3") == every["plain"]
    assert records(tabular, "tags:999") == every["tags:all"]


def test_a_strategy_that_goes_by_tags_finds_those_of_the_head(tabular):
    tagged = records(tabular, "tags:all", tag_exception_sampling)
    assert tagged != records(tabular, "tags:all", least_confidence_sampling)
    plain = records(tabular, "plain", tag_exception_sampling)
    assert plain == records(tabular, "plain", least_confidence_sampling)
    again = records(tabular, "tags:all", tag_exception_sampling, done=tagged[:2])
    assert again == tagged[2:]


@pytest.mark.parametrize("head", ["errors", "tags:20", "tags:all"])
def test_a_run_that_is_taken_up_again(tabular, head):
    whole = records(tabular, head)
    for n_done in (1, 2, 3):
        assert records(tabular, head, done=whole[:n_done]) == whole[n_done:]


@pytest.mark.parametrize("head", ["errors", "tags:20", "tags:all"])
def test_a_run_with_an_audit_apart_that_is_taken_up_again(tabular, head):
    """What an audit is worth depends on the model that drew it, and on its tags."""

    def audited(**settings):
        auditor = Auditor(tabular, 12, apart=True, seed=0)
        # In the first round already, tags say that the attribute misleads.
        start = np.arange(30)
        return records(tabular, head, auditor=auditor, seed_set=start, **settings)

    whole = audited(batch=5)
    for n_done in (1, 2, 3):
        assert audited(batch=5, done=whole[:n_done]) == whole[n_done:]


def test_attributes_that_are_fractions_are_tags(tabular):
    measured = replace(tabular, attribute=tabular.attribute * 0.5, attributes=[0, 0.5])
    assert records(measured, "tags:all") == records(tabular, "tags:all")


def test_a_benchmark_grows_by_heads(small, tmp_path):
    config = small(strategies=("random",), models=("pretrained",), seeds=(0,))
    run(config, tmp_path, verbose=0, examples=2)
    folder = tmp_path / f"shapes-{config.digest()}"
    before = {p: p.read_bytes() for p in folder.glob("records/*.jsonl")}
    assert len(before) == 1
    names = ("random", "random+errors", "random+tags:all")
    more = small(strategies=names, models=("pretrained",), seeds=(0,))
    table = run(more, tmp_path, verbose=0, examples=2)
    assert set(table["strategy"]) == set(load(tmp_path)["strategy"]) == {*names}
    for path, content in before.items():
        assert path.read_bytes() == content
    report = write_report(tmp_path, tmp_path)
    assert "random+errors" in report.html.read_text(encoding="utf-8")


def test_the_command_line_names_them(capsys):
    assert main(["bench", "--heads", "tag:3", "--quiet"]) != 0
    assert "heads may be 'plain', 'errors'" in capsys.readouterr().err
