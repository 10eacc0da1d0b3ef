"""load_csv, given columns or files that are something else than they seem."""

import pytest

from modal_pretrain.datasets import load_csv


@pytest.mark.parametrize("role", ["target", "attribute", "split", "flags"])
def test_csv_input_that_is_something_else_too(tmp_path, role):
    table = tmp_path / "t.csv"
    table.write_text("text,label\ngood,x\nbad,y\n")
    columns = {"text": "text", "target": "label", role: "text"}
    with pytest.raises(ValueError, match="the input is the column 'text', which is"):
        load_csv(table, **columns)


def test_csv_input_as_a_further_column(tmp_path):
    """No model reads `extra`, where a file's name is of use."""
    table = tmp_path / "t.csv"
    table.write_text("text,label\ngood,x\nbad,y\n")
    data = load_csv(table, text="text", target="label", extra=["text"])
    assert data.extra["text"].tolist() == ["good", "bad"]


def test_csv_whose_first_line_names_the_separator(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("sep=;\ntext;label\ngood;x\nbad;y\n")
    columns = {"text": "text", "target": "label"}
    for options in (None, {"sep": ";"}):
        with pytest.raises(ValueError, match=r"for Excel: remove it, .* 'skiprows': 1"):
            load_csv(table, **columns, read_options=options)
    data = load_csv(table, **columns, read_options={"sep": ";", "skiprows": 1})
    assert data.y.tolist() == ["x", "y"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251"])
@pytest.mark.parametrize("header", ["id,text,label", '"id","text","label"'])
def test_csv_whose_first_bytes_contradict_the_encoding(tmp_path, encoding, header):
    """Spreadsheets begin UTF-8 with a mark; without the error "é" is two letters."""
    table = tmp_path / "t.csv"
    table.write_text(f"{header}\n1,bon,thé\n2,mauvais,café\n", "utf-8-sig")
    columns = {"text": "text", "target": "label"}
    with pytest.raises(ValueError, match=r"mark of UTF-8, .* Leave the encoding out"):
        load_csv(table, **columns, read_options={"encoding": encoding})
    for right in ("utf-8", "UTF8", "utf-8-sig"):
        data = load_csv(table, **columns, read_options={"encoding": right})
        assert data.y.tolist() == ["thé", "café"]


def test_csv_splits_without_train(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("text,label,part\ngood,x,val\nbad,y,test\n")
    with pytest.raises(ValueError, match="2 rows are in test and validation"):
        load_csv(table, text="text", target="label", split="part")


@pytest.mark.parametrize(
    "name", ["labels.xlsx", "labels.XLS", "labels.parquet", "renamed.csv"]
)
def test_csv_that_is_no_text_file(tmp_path, name):
    table = tmp_path / name
    table.write_bytes(b"PK\x03\x04\x14\x00\x06\x00\xb5\xd6\xf3")
    with pytest.raises(ValueError, match=r"\w+\.\w+ is no text file\. Save the"):
        load_csv(table, text="text", target="label")
