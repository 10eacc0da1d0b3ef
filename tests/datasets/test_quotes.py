"""Quotation marks in CSV files, see `datasets._quotes`."""

import csv
import gzip
import warnings

import pytest

from modal_pretrain.datasets import load_csv
from modal_pretrain.datasets._quotes import warn_of_quotes


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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["label\ttext\tpart", "text\tlabel\tpart"])
def test_rows_between_sentences_with_half_a_pair_of_marks_are_warned_of(
    tmp_path, header, end
):
    path = tmp_path / "sentences.tsv"
    order = [header.split("\t").index(name) for name in ("label", "text", "part")]
    rows = [
        ("good", "Fine.", "train"),
        ("bad", "Broke.", "train"),
        ("good", '"It works, he said.', "train"),
        ("bad", "It broke.", "test"),
        ("good", 'And I like it."', "train"),
        ("bad", "Never again.", "test"),
    ]
    lines = [header]
    for row in rows:
        cells = [""] * 3
        for place, cell in zip(order, row, strict=True):
            cells[place] = cell
        lines.append("\t".join(cells))
    path.write_text(end.join([*lines, ""]), newline="")
    columns = {"text": "text", "target": "label", "split": "part"}
    with pytest.warns(UserWarning, match="line 6 of .* what other rows have in other"):
        data = load_csv(path, **columns, read_options={"sep": "\t"})
    assert len(data.X) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {"sep": "\t", "quoting": 3}
        data = load_csv(path, **columns, read_options=options)
    assert list(data.X) == [text for _, text, _ in rows]


@pytest.mark.parametrize(
    "options",
    [
        {"sep": "\t", "header": None, "names": ["label", "text"]},
        {"delimiter": "\t", "header": None, "names": ["label", "text"]},
        {"sep": "\t", "header": 0, "names": ["label", "text"], "na_values": ["-"]},
    ],
)
def test_marks_are_looked_at_where_columns_are_named_by_hand(tmp_path, options):
    path = tmp_path / "SMSSpamCollection"
    rows = ["ham\tHi.", "spam\tWin!", 'ham\t"Ok, she said', 'ham\t"Yes', "spam\tBuy!"]
    path.write_text("\n".join([*rows, ""]))
    with pytest.warns(UserWarning, match="line 4 of .* goes on behind the mark"):
        load_csv(path, text="text", target="label", read_options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {**options, "quoting": 3}
        data = load_csv(path, text="text", target="label", read_options=options)
    assert data.X[-1] == "Buy!"


def test_long_cells_do_not_end_the_look_at_marks(tmp_path):
    path = tmp_path / "reviews.csv"
    long = "word, " * 30_000
    path.write_text(f'text,label\n"{long}",a\n"He said \\"no\\" to it",b\n')
    with pytest.warns(UserWarning, match="line 3 of .* goes on behind"):
        load_csv(path, text="text", target="label")
    assert csv.field_size_limit() == 131_072


def test_texts_of_several_lines_with_commas_are_no_rows(tmp_path):
    path = tmp_path / "letters.csv"
    texts = ["Dear all,\nthanks", "Dear all,\nyes, a, b\nthanks", "so, a\nb", "c"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, "abab", strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_csv(path, text="text", target="label")
    assert list(data.X) == texts


def test_lines_that_begin_with_the_number_of_another_row_are_no_rows(tmp_path):
    path = tmp_path / "letters.csv"
    texts = ["Dear all,\nthanks", "We were\n3, not more", "b", "c", "d", "e"]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(texts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_quotes(path)
