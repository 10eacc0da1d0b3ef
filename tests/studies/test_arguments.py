"""Arguments of the scripts in `benchmarks/` that cannot be meant."""

import argparse

import pytest


@pytest.fixture(scope="module")
def parser(script_of):
    types = script_of("arguments")
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--n", type=types.count)
    parser.add_argument("--data", type=types.existing_folder)
    parser.add_argument("--file", type=types.existing_file)
    return parser


def test_what_is_there_is_taken(parser, tmp_path):
    file = tmp_path / "a.csv"
    file.touch()
    given = ["--n", "3", "--data", str(tmp_path), "--file", str(file)]
    assert vars(parser.parse_args(given)) == {"n": 3, "data": tmp_path, "file": file}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--n", "0"], "'0' is not a whole number of at least 1"),
        (["--n", "2.5"], "'2.5' is not a whole number"),
        (["--data", "missing"], "there is no folder 'missing'"),
        (["--data", "a.csv"], "there is no folder 'a.csv'"),
        (["--file", "."], "there is no file '.'"),
    ],
)
def test_what_is_not_is_named(parser, tmp_path, monkeypatch, given, message):
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(argparse.ArgumentError, match=message):
        parser.parse_args(given)
