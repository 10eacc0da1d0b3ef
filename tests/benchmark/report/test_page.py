"""The page: whole, safe, and made from records alone."""

import html.parser
import json
import re
import shutil

import numpy as np
import pytest

from modal_pretrain.benchmark import RecordStore, open_stores, run
from modal_pretrain.benchmark.config import Unit
from modal_pretrain.benchmark.description import keep_description
from modal_pretrain.benchmark.report.examples import keep_examples
from modal_pretrain.benchmark.report.page import page, write_report
from modal_pretrain.benchmark.report.summary import summary
from modal_pretrain.datasets import GroupedDataset


class Page(html.parser.HTMLParser):
    """Collect tags, what they load, and check that they close."""

    VOID = ("meta", "img", "polygon", "wbr", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_from_records_alone(small, tmp_path, monkeypatch):
    config = small(references=("oracle", "full"), strategies=("random", "margin"))
    run(config, tmp_path / "made", verbose=0, examples=3)
    shutil.copytree(tmp_path / "made", tmp_path / "moved")
    shutil.rmtree(tmp_path / "made")

    def nothing(*args, **kwargs):
        raise AssertionError("a report must not load data")

    monkeypatch.setattr("modal_pretrain.datasets.GroupedDataset.__init__", nothing)
    report = write_report(tmp_path / "moved", tmp_path / "report")
    text = report.html.read_text()
    parsed = Page(text)
    # Nothing is fetched: pictures are inside, links stay on the page.
    inside = ("data:image/jpeg;base64,", "#")
    assert all(link.startswith(inside) for link in parsed.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert parsed.tags.count("script") == 0
    # Two models: accuracy, atypical, worst group, four groups, enrichment, calibration.
    assert parsed.tags.count("svg") == 2 * (3 + 4 + 1 + 1)
    assert parsed.tags.count("img") >= 2 * 3 * 3
    for part in ("All settings", "torch", "Time per run", "Labels saved", "arXiv"):
        assert part in text
    assert config.digest() in text
    markdown = report.markdown.read_text()
    assert "| pretrained | margin |" in markdown
    assert "```sh" in markdown


def test_report_of_texts(small, tmp_path):
    config = small(models=("pretrained",), seeds=(0,), rounds=1, seed_set=2, batch=2)
    store = RecordStore(tmp_path, config)
    words = [f"sentence {i} <tag>" for i in range(12)]
    data = GroupedDataset(
        X=words,
        y=np.tile([0, 1], 6),
        attribute=np.tile([0, 1, 1, 1], 3),
        split=["train"] * 8 + ["test"] * 4,
        modality="text",
    )
    store.create()
    keep_description(store, data)
    groups = dict.fromkeys(("0/0", "0/1", "1/1"), 0.5)
    record = {
        **{"round": 1, "n_labels": 4, "acquired": [2, 5], "acquired_atypical": 1},
        **{"accuracy": 0.5, "worst_group_accuracy": 0.5, "atypical_accuracy": None},
        **{"calibration_error": 0.1, "group_accuracy": groups, "seconds": {"fit": 1.0}},
    }
    for name in ("uncertainty", "random"):
        with store.working_on(Unit("pretrained", name, 0)) as writer:
            writer.append({**record, "round": 0, "n_labels": 2, "acquired": [0, 1]})
            writer.append(record)
            writer.finish()
    keep_examples(store, data, 2)
    text = write_report(tmp_path, tmp_path).html.read_text()
    Page(text)
    assert "sentence 2 &lt;tag&gt;" in text
    assert "sentence 7" not in text
    assert "In colour: atypical." in text
    assert "Framed" not in text  # as pictures are


def test_several_settings_on_one_page(tmp_path):
    settings = {
        "dataset": {"name": "shapes", "n_train": 40, "n_test": 20, "image_size": 32},
        "models": ["pretrained"],
        "seeds": 1,
        "seed_set": 4,
        "batch": [2, 4],
        "budget": 4,
        "estimator": {"image_size": 32},
        "references": [],
    }
    records = run(settings, tmp_path, verbose=0, examples=0)
    assert records.groupby("batch").size().to_dict() == {2: 6, 4: 4}
    parsed = Page(write_report(tmp_path, tmp_path).html.read_text())
    anchors = {f"#{store.folder.name}" for store in open_stores(tmp_path)}
    assert {link for link in parsed.links if link[0] == "#"} == anchors
    # A third attempt that failed in its first run took all reports away.
    without_dropout = {"strategies": ["bald"], "estimator": {"image_size": 48}}
    with pytest.raises(ValueError, match="no dropout layer"):
        run({**settings, **without_dropout}, tmp_path)
    report = write_report(tmp_path, tmp_path)
    parsed = Page(report.html.read_text())
    assert {link for link in parsed.links if link[0] == "#"} == anchors
    assert len(report.without_runs) == 2
    with pytest.raises(ValueError, match="no finished run"):
        write_report(report.without_runs[0], tmp_path)


def test_names_cannot_bring_markup(store):
    path = store.folder / "data.json"
    data = json.loads(path.read_text())
    data["attribute_name"] = data["name"] = "<script>alert(1)</script>"
    name = '"><img src=x onerror=alert(1)>'
    for split in data["splits"].values():
        split["groups"][name] = split["groups"].pop("0/0")
    path.write_text(json.dumps(data))
    for records in (store.folder / "records").iterdir():
        text = records.read_text().replace('"0/0"', json.dumps(name))
        records.write_text(text)
    command = {"command": "</pre><script>", "started": "", "seconds": 1}
    run = {**command, "hardware": {"</pre>": "<b>"}, "versions": {}}
    (store.folder / "runs" / "a.json").write_text(json.dumps(run))
    text = page([summary(store)])
    tags = Page(text).tags
    assert "script" not in tags
    assert "img" not in tags
    assert "&lt;script&gt;alert(1)" in text


def test_names_that_are_no_text(store, tmp_path):
    path = store.folder / "data.json"  # a name of a file in Latin-1, as Linux gives it
    data = {**json.loads(path.read_text()), "attribute_name": "caf\udce9"}
    path.write_text(json.dumps(data))
    report = write_report(store.folder, tmp_path / "out")
    assert "caf?" in report.html.read_text(encoding="utf-8")
    assert "caf?" in report.markdown.read_text(encoding="utf-8")


def test_runs_that_the_configuration_does_not_name(store):
    assert "Left out" not in page([summary(store)])
    records = store.folder / "records"
    one = next(records.glob("*random--1.jsonl"))
    (records / one.name.replace("random", "my_own")).write_bytes(one.read_bytes())
    text = page([summary(store)])
    assert "does not name them:\npretrained--my_own--1.jsonl.</p>" in text


@pytest.mark.parametrize("name", ["file", "file/under"])
def test_out_must_be_a_folder(store, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"out must be a folder .* Name another"):
        write_report(store.folder, tmp_path / name)
