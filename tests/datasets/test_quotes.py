"""Quotation marks in CSV files, see `datasets._quotes`."""

import gzip
import warnings

import pytest

from modal_pretrain.datasets import load_csv


@pytest.mark.parametrize(
    ("rows", "options", "texts"),
    [
        (
            ['"he said \\"hi\\" there",good', '"so, so",bad'],
            {"escapechar": "\\"},
            ['he said "hi" there', "so, so"],
        ),
        (
            ['"Best film ever,good', "Poor.,bad", '"Worst film ever,bad'],
            {"quoting": 3},
            ['"Best film ever', "Poor.", '"Worst film ever'],
        ),
    ],
)
def test_marks_that_pandas_misreads_are_warned_of(tmp_path, rows, options, texts):
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *rows, ""]))
    columns = {"text": "text", "target": "label"}
    with pytest.warns(UserWarning, match="line [24] of .* quoted cell that goes on"):
        assert list(load_csv(path, **columns).X) != texts
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(load_csv(path, **columns, read_options=options).X) == texts


def test_marks_as_they_should_be_are_not_warned_of(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text('text;label\n"a ""b""; c";x\na 5" screen;y\n"two\nlines";"x"\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_csv(path, text="text", target="label", read_options={"sep": ";"})
    assert list(data.X) == ['a "b"; c', 'a 5" screen', "two\nlines"]


def test_compressed_files_are_not_looked_at(tmp_path):
    path = tmp_path / "reviews.csv.gz"
    # Stored as it is, with bytes behind the last mark.
    path.write_bytes(gzip.compress(b'text,label\ngood,a\nbad,"b"', compresslevel=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load = {"text": "text", "target": "label"}
        data = load_csv(path, **load, read_options={"encoding": "latin-1"})
    assert list(data.X) == ["good", "bad"]
