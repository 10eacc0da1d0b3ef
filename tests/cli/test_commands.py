"""The command line, from end to end."""

import errno
import os

import pytest

from modal_pretrain import CacheWarning
from modal_pretrain.benchmark import open_stores
from modal_pretrain.cache.sqlite import DiskStore
from modal_pretrain.cli.main import main

SMALL = ["--seeds", "1", "--rounds", "1", "--quiet", "--image-size", "32"]
SMALL += ["--data", "n_train=60", "n_test=40", "image_size=32", "--seed-set", "4"]
SMALL += ["--models", "pretrained"]
SIZE = ["--image-size", "32"]


def test_command_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["bench", *SMALL, "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert "| pretrained | uncertainty |" in output.out
    assert str(out / "report.html") in output.out
    assert output.err == ""
    first = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert main(["report", str(out), "--figure", "figure.jpg"]) == 2
    assert "figure.jpg" in capsys.readouterr().err
    assert not (out / "report.html").exists()
    figure = tmp_path / "figure.png"
    assert main(["report", str(out), "--figure", str(figure)]) == 0
    assert (out / "report.html").read_text() == first
    assert figure.stat().st_size > 10_000


def test_tables_of_a_grid_say_which_is_which(tmp_path, capsys):
    """They come in the order of their folders' hashes, under the data's name."""
    out = tmp_path / "out"
    grid = ["--batch", "2", "3", "5", "--strategies", "random", "--references"]
    assert main(["bench", *SMALL, *grid, "--out", str(out)]) == 0
    parts = capsys.readouterr().out.split("\nshapes, seed set 4, batch ")[1:]
    labels = {p[0]: p.split("| pretrained | random | ")[1].split(" ")[0] for p in parts}
    assert labels == {"2": "6", "3": "7", "5": "9"}
    first = parts[0].splitlines()[0]
    assert main(["report", str(out), "--figure", str(tmp_path / "f.svg")]) == 0
    said = capsys.readouterr().out
    assert f"f.svg (shapes, seed set 4, batch {first})\n" in said


def test_flags_win_over_the_file(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(
        "strategies = ['margin']\nseeds = 7\nbudget = 90\n"
        "[dataset]\nname = 'shapes'\nn_train = 50\n[estimator]\nimage_size = 48\n"
    )
    arguments = ["bench", "--config", str(tmp_path / "a.toml"), *SMALL]
    assert main([*arguments, "--batch", "3", "--out", str(tmp_path / "out")]) == 0
    (store,) = open_stores(tmp_path / "out")
    config = store.config
    assert config.strategies == ("margin",)
    assert config.seeds == (0,)
    assert (config.batch, config.rounds) == (3, 1)
    assert config.dataset_params["n_train"] == 60
    assert config.estimator_params["image_size"] == 32


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["bench", "--strategies", "nonsense"], "no strategy 'nonsense'"),
        (["bench", "--dataset", "waterbirds"], "missing: 'root' (--root DIR)"),
        (["bench", "--config", "nowhere.toml"], "cannot read"),
        (["bench", "--rounds", "3", "--budget", "30"], "not both"),
        (["bench", "--data", "n_train"], "--data needs KEY=VALUE"),
        (["bench", "--data", "name=toy"], "--data name=toy: the name of a data set is"),
        (["bench", "--data", "random_state=None"], "draws other data in every process"),
        (
            ["bench", "--dataset", "csv", "--data", "image=a", "target=b"],
            "missing: 'path' (--root FILE)",
        ),
        (
            ["bench", "--dataset", "csv", "--root", "pictures", "--data", "path=a.csv"],
            "give one of them. The folder of a list's pictures is --data root=DIR",
        ),
        (["report", "."], "no benchmark records"),
        (["bench", "--out", ""], "out (or --out) is empty"),
        (["bench", "--models", "pretrained", ""], "models (or --models) is empty"),
        (["bench", "--out", "o\udcff"], "Rename that file or folder"),
        (["bench", "--dataset", "folder", "--root", "r\udcff"], "no letter, which"),
        (["bench", "--seeds", "99999999999"], "seeds must be a whole number from 1 to"),
        (["bench", "--jobs", "0"], "n_jobs must be a whole number but 0"),
        (["bench", "--examples", "-1"], "examples must be a whole number"),
        (["embed", ".", "--cache", "memory"], "--cache must be a folder"),
        (["embed", ".", "--cache", "x", "--root", "y"], "go with --dataset"),
        (["report", ""], "folder (or --folder) is empty"),
        (["embed", "--cache", "cache"], "name a folder of pictures"),
        (["embed", ".", "--cache", "cache"], "there are no pictures"),
    ],
)
def test_command_line_names_what_is_wrong(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_embed_a_folder(paths, tmp_path, capsys):
    arguments = ["embed", str(tmp_path), "--cache", str(tmp_path / "cache")]
    arguments += ["--image-size", "32"]
    for name in ("of_a_phone.heic", "old.JPE", "bilevel.pbm"):
        (tmp_path / name).touch()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"{len(paths)} x 1280 embeddings" in out
    left_out = "3 pictures of kinds that are not read (.heic, .jpe, .pbm)"
    assert f"left out: {left_out}" in out

    from modal_pretrain import PretrainedClassifier
    from modal_pretrain.cache.disk import DiskCache

    cache = DiskCache(tmp_path / "cache")
    PretrainedClassifier(image_size=32, cache=cache).embed(paths)
    assert cache.info()["misses"] == 0


def test_embed_keeps_what_was_done_when_it_is_stopped(
    paths, tmp_path, capsys, monkeypatch
):
    write, blocks = DiskStore._write, []

    def stopped(store, file, encoder, keys, rows):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        blocks.append(len(keys))
        return write(store, file, encoder, keys, rows)

    monkeypatch.setattr("modal_pretrain.cli.embed._BLOCK", 4)
    monkeypatch.setattr(DiskStore, "_write", stopped)
    cache = str(tmp_path / "cache")
    assert main(["embed", str(tmp_path), "--cache", cache, *SIZE]) == 130
    assert "The same command goes on from here" in capsys.readouterr().err
    assert blocks == [4, 4]
    assert len(paths) > 8


def test_list(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    for name in ("waterbirds", "random-init", "badge", "tf_efficientnet_lite0"):
        assert f"  {name}" in output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("estimator = [1]", "estimator must be a table"),
        ("dataset = 5", "dataset must be a name or a table with a name"),
        ("dataset = ['shapes', 5]", "dataset must be a name or a table with a name"),
        ("seeds = [99999999999]", "each of seeds must be a whole number from 0 to"),
        ("[estimator]\npretrained = false", "Name the model 'random-init' instead"),
    ],
)
def test_settings_of_the_wrong_type(content, message, tmp_path, capsys):
    (tmp_path / "odd.toml").write_text(content)
    arguments = ["--config", str(tmp_path / "odd.toml"), "--out", str(tmp_path / "out")]
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_is_no_file(tmp_path, capsys):
    os.mkfifo(tmp_path / "fifo.toml")
    assert main(["bench", "--config", str(tmp_path / "fifo.toml")]) == 2
    assert "it is a FIFO" in capsys.readouterr().err


def test_embed_says_first_that_nothing_can_be_kept(paths, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(["embed", str(tmp_path), "--cache", str(cache), *SIZE]) == 2
        said = capsys.readouterr()
        assert f"{tmp_path / 'file'} is none" in said.err
        assert "embeddings" not in said.err + said.out


def test_embed_says_when_nothing_is_kept(paths, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DiskStore, "_write", full)
    cache = str(tmp_path / "cache")
    with pytest.warns(CacheWarning):
        assert main(["embed", str(tmp_path), "--cache", cache, *SIZE]) == 2
    assert "does not keep the embeddings" in capsys.readouterr().err


def test_a_run_without_acquisitions_has_a_report(tmp_path, capsys):
    arguments = ["--rounds", "0", "--seeds", "1", "--seed-set", "4", "--references"]
    arguments += ["--models", "random-init", "--strategies", "random", "--quiet", *SIZE]
    data = ["--data", "n_train=20", "n_test=20", "image_size=32"]
    assert main(["bench", *arguments, *data, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()
