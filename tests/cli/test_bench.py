"""``modal-pretrain bench``: from flags to records."""

import re

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.cli.flags import settings_of
from modal_pretrain.cli.main import main, parser


def given(*arguments):
    return settings_of(parser().parse_args(["bench", *arguments]))


def test_the_csv_command_of_the_docs_runs(tmp_path, capsys):
    rows = ["file,label,place"]
    for i in range(40):
        shade = np.full((16, 16, 3), 40 + 150 * (i % 2) + i, np.uint8)
        Image.fromarray(shade).save(tmp_path / f"{i}.png")
        place = "water" if (i % 2) ^ (i % 10 == 0) else "land"
        rows.append(f"{i}.png,{'ab'[i % 2]},{place}")
    (tmp_path / "data.csv").write_text("\n".join(rows))
    arguments = ["bench", "--dataset", "csv", "--root", str(tmp_path / "data.csv")]
    arguments += ["--data", "image=file", "target=label", "attribute=place"]
    small = "--models random-init --strategies random --seeds 1 --seed-set 4 --batch 4"
    arguments += [*small.split(), "--rounds", "1", "--image-size", "32", "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "random" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, key",
    [
        ("csv", "path"),
        ("folder", "root"),
        ("waterbirds", "root"),
        ("civilcomments", "root"),
        ("snippets", "root"),
    ],
)
def test_root_is_what_the_loader_needs(name, key):
    [table] = given("--dataset", name, "--root", "DIR")["dataset"]
    assert table == {"name": name, key: "DIR"}


def test_pictures_have_the_backbones_own_size_and_shapes_theirs():
    for name in ("waterbirds", "csv", "civilcomments"):
        assert given("--dataset", name, "--root", "DIR")["estimator"] == {}
    assert given()["estimator"] == {"image_size": 64}
    assert given("--dataset", "shapes", "waterbirds")["estimator"] == {}
    assert given("--image-size", "96")["estimator"] == {"image_size": 96}


def test_augment_is_said_where_it_is_wanted():
    chosen = given("--tune", "all", "--augment")["estimator"]
    assert chosen == {"tune": ["all"], "augment": True, "image_size": 64}


@pytest.mark.parametrize("tune", ["\u00b2", "\u0663", 5000 * "9", "1_0", "-1"])
def test_numbers_are_written_in_digits(tune):
    assert given("--tune", "2", tune)["estimator"]["tune"] == [2, tune]


@pytest.mark.parametrize(
    "value", [3000 * "(", 100_000 * "-" + "1", 5000 * "9", "{[1]: 2}"]
)
def test_values_that_python_cannot_read_are_text(value):
    [table] = given("--data", f"n_train={value}")["dataset"]
    assert table == {"name": "shapes", "n_train": value}


def test_data_may_be_given_several_times():
    [table] = given("--data", "n_train=40", "a=1", "--data", "n_test=9", "a=2")[
        "dataset"
    ]
    assert table == {"name": "shapes", "n_train": 40, "n_test": 9, "a": 2}


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--backbone", "resnet-18"], "resnet18"),
        (["--tune", "99"], "tune must be"),
        (["--augment"], "tune='head' freezes it"),
        # A point of a grid that cannot be, behind one that can.
        (["--seed-set", "4", "400"], "n=400 is not possible"),
        (["--backbone", "test_resnet", "resnet-18"], "resnet18"),
    ],
)
def test_a_classifier_that_cannot_be_leaves_no_folder(tmp_path, capsys, flags, words):
    """Its runs would be left to do for ever, says status."""
    small = ["n_train=40", "n_test=20", "image_size=32"]
    arguments = ["bench", "--models", "random-init", "--data", *small, *flags]
    assert main([*arguments, "--quiet", "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_more_jobs_than_work(tmp_path, monkeypatch):
    import joblib

    asked = []
    monkeypatch.setattr("joblib.Parallel", lambda n_jobs: asked.append(n_jobs) or list)
    monkeypatch.setattr(joblib, "delayed", lambda work: work)
    arguments = ["--models", "random-init", "--strategies", "random", "--seeds", "2"]
    data = ["--data", "n_train=40", "n_test=20", "image_size=32", "--image-size", "32"]
    out = ["--out", str(tmp_path), "--references", "--quiet", "--rounds", "1"]
    assert main(["bench", *arguments, *data, *out, "--jobs", "999999"]) == 0
    assert asked == [2, 2]


def test_a_data_set_of_a_file_brings_all_its_tables(tmp_path):
    """The last of two with one name stood for both."""
    path = tmp_path / "a.toml"
    path.write_text(
        '[[dataset]]\nname = "csv"\npath = "a.csv"\n'
        '[[dataset]]\nname = "shapes"\n'
        '[[dataset]]\nname = "csv"\npath = "b.csv"\n'
    )
    found = given("--config", str(path), "--dataset", "csv", "--data", "target=y")
    assert found["dataset"] == [
        {"name": "csv", "path": "a.csv", "target": "y"},
        {"name": "csv", "path": "b.csv", "target": "y"},
    ]


def test_a_table_without_a_name_is_not_left_out(tmp_path):
    """--dataset takes the tables of its name, and left others out without a word."""
    path = tmp_path / "a.toml"
    path.write_text("[dataset]\nn_train = 40\n")
    with pytest.raises(ValueError, match="a table of a data set has no name"):
        given("--config", str(path), "--dataset", "shapes")


def test_columns_named_by_numbers(tmp_path, capsys):
    """What the message says to write is what a shell makes the right name of."""
    path = tmp_path / "a.csv"
    path.write_text("text,2020\na,x\nb,y\n")
    bench = ["bench", "--dataset", "csv", "--root", str(path), "--data", "text=text"]
    assert main([*bench, "target=2020", "--out", str(tmp_path / "out")]) == 2
    assert """write '2020', in a shell "'2020'\"""" in capsys.readouterr().err
    [table] = given(*bench[1:], "target='2020'")["dataset"]
    assert table["target"] == "2020"


def test_means_of_different_seeds_are_told(capsys, tmp_path):
    """A strategy added with more seeds stood beside means of fewer."""
    bench = ["bench", "--rounds=0", "--seed-set=4", "--image-size=32", "--quiet"]
    bench += ["--models=random-init", "--data", "n_train=40", "n_test=16"]
    bench += ["--references", "--out", str(tmp_path)]
    assert main([*bench, "--seeds=1", "--strategies=random"]) == 0
    said = capsys.readouterr().out
    assert "not finished" not in said and "| seeds |" not in said
    assert main([*bench, "--seeds=2", "--strategies=margin"]) == 0
    said = capsys.readouterr().out
    assert "1 of 4 runs" in said
    assert "| random-init | random | 1 |" in said
    assert "| random-init | margin | 2 |" in said
    protocol = "At least a single seed set, not the same for every model and strategy"
    assert protocol in (tmp_path / "report.md").read_text()
    assert main([*bench, "--seeds=2", "--strategies=random"]) == 0
    assert "2 seed sets, the same for" in (tmp_path / "report.md").read_text()


def test_settings_of_other_seeds_and_labels_are_told(capsys, tmp_path):
    """Tables of a grid, and the page's overview, compared them without a word."""
    bench = ["bench", "--seed-set=4", "--image-size=32", "--quiet", "--examples=0"]
    bench += ["--models=random-init", "--data", "n_train=40", "n_test=16"]
    bench += ["--rounds=1", "--strategies=margin", "--references"]
    bench += ["--out", str(tmp_path)]

    def page():
        text = (tmp_path / "report.html").read_text()
        found = re.search("All settings</h2>.*?</table>", text, re.DOTALL).group()
        cells = re.findall("<t[hd][^>]*>(.*?)</t[hd]>", found, re.DOTALL)
        return [re.sub("<[^>]*>", "", cell).strip() for cell in cells]

    assert main([*bench, "--seeds=1", "--batch", "2"]) == 0
    assert "| seeds |" not in capsys.readouterr().out
    assert main([*bench, "--seeds=2", "--batch", "3"]) == 0
    said = capsys.readouterr().out
    for text in (said, (tmp_path / "report.md").read_text()):
        assert "| random-init | margin | 1 | 6 |" in text
        assert "| random-init | margin | 2 | 7 |" in text
    cells = page()
    assert cells[3:5] == ["seeds", "labels"]
    n = cells.index("label efficiency") + 1
    assert {tuple(cells[n + 3 : n + 5]), tuple(cells[2 * n + 3 : 2 * n + 5])} == {
        ("1", "6"),
        ("2", "7"),
    }
    assert main([*bench, "--seeds=2", "--batch", "2"]) == 0
    assert "| seeds |" not in capsys.readouterr().out
    assert page()[3:5] == ["labels", "accuracy"]
