"""load_csv."""

import io
import os
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import load_csv
from tests.datasets.tables import COLUMNS, CSV

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_csv_of_images(table):
    data = load_csv(table, **COLUMNS, extra=["user"])
    assert data.name == "pets"
    assert data.X.tolist() == [
        str(table.parent / name)
        for name in ("a.png", "b.png", "c, d.png", "e.png", "f.png")
    ]
    assert data.y.tolist() == ["cat", "cat", "dog", "dog", "cat"]
    assert data.attribute_name == "place"
    assert data.split.tolist() == ["train", "train", "train", "validation", "test"]
    assert data.disambiguating.tolist() == [False, False, False, True, True]
    assert data.extra["user"].tolist() == [7, 8, 7, 9, 9]
    assert data.modality == "image"


@pytest.mark.parametrize("listed", ["E\u0301.JPG", " \u00e9.jpg", "sub\\\u00e9.jpg"])
def test_names_that_are_spelt_otherwise_on_the_disk_are_shown(tmp_path, listed):
    # As tables from Windows and macOS list them.
    folder = tmp_path / "sub" if "\\" in listed else tmp_path
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "\u00e9.jpg")
    path = tmp_path / "t.csv"
    path.write_text(f"file,kind\n{listed},cat\n", encoding="utf-8")
    found = re.escape(ascii(str(folder / "\u00e9.jpg")))
    with pytest.raises(FileNotFoundError, match=f"There is {found}, which differs"):
        load_csv(path, image="file", target="kind")


def test_csv_flags_names_and_another_root(table, tmp_path):
    other = tmp_path / "labels.csv"
    table.rename(other)
    with pytest.raises(FileNotFoundError, match="5 of 5 images"):
        load_csv(other, **COLUMNS)
    data = load_csv(other, **COLUMNS, root=tmp_path / "pets", flags="odd")
    assert data.name == "labels"
    assert data.disambiguating.tolist() == [False, False, False, True, True]
    other.write_text(CSV.replace("TRUE", "perhaps"))
    with pytest.raises(ValueError, match=r"'odd' of .* holds 'perhaps' in 1 rows"):
        load_csv(other, **COLUMNS, root=tmp_path / "pets", flags="odd")


def test_csv_without_attribute_and_split(table):
    names = "".join(f"{i}.png,{'cat' if i % 2 else 'dog'},,,,\n" for i in range(100))
    table.write_text("file,kind,place,part,user,odd\n" + names)
    kwargs = {"image": "file", "target": "kind", "missing": "ignore"}
    data = load_csv(table, **kwargs, test_size=0.3, validation_size=0.1)
    assert set(data.attribute) == {"all"}
    assert not data.disambiguating.any()
    for label in ("cat", "dog"):
        of_label = data.split[data.y == label]
        counts = dict(zip(*np.unique(of_label, return_counts=True), strict=True))
        assert counts == {"train": 30, "validation": 5, "test": 15}
    again = load_csv(table, **kwargs, test_size=0.3, validation_size=0.1)
    np.testing.assert_array_equal(again.split, data.split)
    other = load_csv(table, **kwargs, test_size=0.3, random_state=1)
    assert (other.split != data.split).any()
    with pytest.raises(ValueError, match=r"together less than 1, got 0\.9 and 0\.2"):
        load_csv(table, **kwargs, test_size=0.9, validation_size=0.2)


def test_csv_of_texts_with_other_separator_and_encoding(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_bytes('text;stars\n"Très; bien";5\nNA;1\nnull;1\n'.encode("latin-1"))
    kwargs = {"text": "text", "target": "stars", "test_size": 0}
    with pytest.raises(
        ValueError, match=r"columns are 'text;stars'\. .* load_csv .*'sep': ';'\}"
    ):
        load_csv(path, **kwargs, read_options={"encoding": "latin-1"})
    with pytest.raises(ValueError, match=r"not in utf-8-sig: .* load_csv.*cp1252"):
        load_csv(path, **kwargs, read_options={"sep": ";"})
    options = {"sep": ";", "encoding": "latin-1"}
    data = load_csv(path, **kwargs, read_options=options)
    assert data.X.tolist() == ["Très; bien", "NA", "null"]
    assert data.X.dtype == object
    assert data.y.tolist() == [5, 1, 1]
    assert data.modality == "text"


def test_csv_with_byte_order_mark(table):
    table.write_bytes(b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode())
    assert len(load_csv(table, **COLUMNS)) == 5


@pytest.mark.parametrize(
    "rows",
    ["Fine.,good,1\nGood, really.,good,2\n", "Good, really.,good,1\nFine.,good,2\n"],
)
def test_rows_with_more_cells_are_seen_with_usecols(tmp_path, rows):
    path = tmp_path / "texts.csv"
    path.write_text("text,label,user\n" + rows)
    kwargs = {"text": "text", "target": "label"}
    kwargs["read_options"] = {"usecols": ["text", "label"]}
    with pytest.raises(ValueError, match=r"Expected 3 fields|more cells than"):
        load_csv(path, **kwargs)
    kwargs["read_options"]["on_bad_lines"] = "skip"  # not done with usecols
    with pytest.raises(ValueError, match=r"Expected 3 fields|more cells than"):
        load_csv(path, **kwargs)
    # What is empty at the end of all rows is no other column's.
    path.write_text("text,label\nFine.,good,\nBad.,bad,\n")
    assert load_csv(path, **kwargs).y.tolist() == ["good", "bad"]


@pytest.mark.parametrize(
    ("old", "new", "kwargs", "match"),
    [
        ("file,kind", "path,kind", {}, "has no column 'file'; its columns are 'path'"),
        ("", "", {"attribute": False}, "has no column False; its columns are"),
        ("", "", {"split": ""}, "has no column ''; its columns are"),
        ("val,9", "holdout,9", {}, r"'part' of .* holds 'holdout' in 1 rows; known"),
        ("val,9", "tets,9", {}, r"holds 'tets' in 1 .*\{'tets': 'test', \.\.\.\}"),
        (
            "file,",
            "fi\u0301le,",
            {"image": "f\xedle"},
            r"Write 'fi\\u0301le', not 'f\\xed",
        ),
        ("a.png,cat", "a.png,1", {}, r"'kind' of .* mixes numbers and texts, such as"),
        ("a.png,cat", "a.png,", {}, r"1 of 5 rows .* empty cell, in kind \(1\); the"),
        (
            "b.png,cat",
            "a.png,cat",
            {},
            r"1 of 5 rows .* repeat the 'file'.*'a.png'; in 0",
        ),
        ("b.png", "b", {}, r"There is 'b\.png' in that folder.* lacks the endings"),
        ("b.png", "gone.png", {}, r"1 of 5 images .* missing, first .*gone\.png"),
        ("a.png,cat,in", "a.png,cat,in,x", {}, "Expected 6 fields|more cells than"),
        ("e.png,dog,in", "e.png,dog,in,x", {}, "can't be read as a table"),
        (",odd\n", "\n", {}, "more cells .*first column of row names"),
        ("", "", {"text": "kind"}, "one of image and text"),
        ("", "", {"image": None}, "one of image and text"),
        ("", "", {"labels": "int"}, "labels must be one of auto, text"),
        ("", "", {"duplicates": "no"}, "duplicates must be one of error, drop, keep"),
        (
            "",
            "",
            {"split_names": {"train": "pool"}},
            "maps to 'pool'; the known splits",
        ),
    ],
)
def test_csv_refuses(table, old, new, kwargs, match):
    table.write_text(CSV.replace(old, new, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        load_csv(table, **{**COLUMNS, **kwargs})


def test_csv_tells_of_names_with_a_mark_of_direction(table):
    """The properties of a file in Windows put one before its path."""
    table.write_text(CSV.replace("a.png", "\u202aa.png"), "utf-8")
    with pytest.raises(FileNotFoundError, match=r"There is .* what can't be seen"):
        load_csv(table, **COLUMNS)


def test_csv_tells_of_folders_in_another_spelling(tmp_path):
    (tmp_path / "Gema\u0308lde" / "alt").mkdir(parents=True)  # as macOS writes it
    (tmp_path / "Gema\u0308lde" / "alt" / "1.png").touch()
    table = tmp_path / "list.csv"
    for listed in ("Gem\u00e4lde/alt/1.png", "gem\u00c4lde\\\\ALT\\1.PNG"):
        table.write_text(f"file,kind\n{listed},oil\n", encoding="utf-8")
        with pytest.raises(
            FileNotFoundError, match=r"There is .*a\\u0308lde/alt/1.png"
        ):
            load_csv(table, image="file", target="kind")
    # Not that there is what is not there, behind a folder that is.
    (tmp_path / "Train").mkdir()
    for listed in ("nowhere/1.png", "train/1.png", "gem\u00e4lde/alt/2.png"):
        table.write_text(f"file,kind\n{listed},oil\n", encoding="utf-8")
        with pytest.raises(FileNotFoundError, match=r"missing, first .*.png\. Check"):
            load_csv(table, image="file", target="kind")


def test_csv_numbers_of_splits_must_be_explained(table):
    text = CSV
    for code, word in enumerate((",train", ",Training", ",val", ",test")):
        text = text.replace(word, f",{code}")
    table.write_text(text)
    with pytest.raises(ValueError, match=r"holds '0' in 2 rows.*split_names="):
        load_csv(table, **COLUMNS)
    names = {0: "train", "1": "train", 2: "validation", 3: "test"}
    assert load_csv(table, **COLUMNS, split_names=names).split[3] == "validation"


def test_csv_drops_only_what_is_asked_and_says_so(table):
    table.write_text(
        CSV.replace("b.png,cat,in", "b.png,cat,")
        .replace("f.png", "gone.png")
        .replace("e.png,dog,in,val,9,TRUE", "a.png,cat,in,train,7,0")
    )
    with pytest.warns(UserWarning, match=" of ") as caught:
        data = load_csv(table, **COLUMNS, missing="drop", duplicates="drop")
    texts = [str(warning.message) for warning in caught]
    assert [text.split(" of ")[0] for text in texts] == ["1", "1", "1"]
    assert "empty cell, in place (1)" in texts[0]
    assert "missing" in texts[1]
    assert "repeat" in texts[2]
    assert {warning.filename for warning in caught} == {__file__}
    assert [Path(path).name for path in data.X] == ["a.png", "c, d.png"]


@pytest.mark.parametrize("more", ["NA", ["NA", "?"], {"label": ["NA"]}])
def test_csv_empty_cells_are_missing_where_more_is(tmp_path, more):
    path = tmp_path / "t.csv"
    path.write_text("text,label\na,cat\nb,NA\nc,\nd,dog\n,dog\n")
    with pytest.warns(UserWarning, match=r"3 of 5 rows .* text \(1\), label \(2\)"):
        data = load_csv(
            path,
            text="text",
            target="label",
            missing="drop",
            read_options={"na_values": more},
        )
    assert data.y.tolist() == ["cat", "dog"]


def test_csv_contradictions_are_not_dropped(table):
    table.write_text(CSV.replace("b.png,cat", "a.png,dog"))
    for duplicates in ("error", "drop"):
        with pytest.raises(ValueError, match="in 1 of them other columns differ"):
            load_csv(table, **COLUMNS, duplicates=duplicates)
    assert len(load_csv(table, **COLUMNS, duplicates="keep")) == 5


def test_csv_says_where_splits_share_what_is_kept(table):
    # One line for each animal on a picture, as exports of bounding boxes have it.
    table.write_text(CSV + CSV.split("\n", 1)[1].replace("test", "train"))
    with pytest.warns(UserWarning, match=r"1 of 3 rows.*f\.png.*split") as one:
        data = load_csv(table, **COLUMNS, duplicates="keep")
    assert one[0].filename == __file__
    assert len(data) == 10
    drawn = {key: value for key, value in COLUMNS.items() if key != "split"}
    with pytest.warns(UserWarning, match="rows .* repeat an input") as one:
        data = load_csv(table, **drawn, duplicates="keep")
    train, test = data.subset("train").X, data.subset("test").X
    assert str(one[0].message).startswith(
        f"{np.isin(test, train).sum()} of {len(test)}"
    )


def test_csv_two_columns_of_one_name(table):
    table.write_text(CSV.replace("file,kind", "kind,kind"))
    with pytest.raises(ValueError, match="has 2 columns 'kind'"):
        load_csv(table, **{**COLUMNS, "image": "kind"})
    # Not pandas' own name for the second, and no matter where nobody asks for it.
    table.write_text(CSV.replace("\n", ",x\n").replace("part,user,x", "part,user,user"))
    assert len(load_csv(table, **COLUMNS)) == 5
    with pytest.raises(ValueError, match=r"has no column 'user\.1'"):
        load_csv(table, **COLUMNS, extra=["user.1"])
    # Nor below the title that a spreadsheet puts above.
    table.write_text("A title\n" + CSV.replace("file,kind", "kind,kind"))
    with pytest.raises(ValueError, match="has 2 columns 'kind'"):
        load_csv(table, **{**COLUMNS, "image": "kind"}, read_options={"skiprows": 1})


def test_csv_one_picture_under_two_spellings(table):
    table.write_text(CSV.replace("b.png,cat", "./a.png,cat"))
    with pytest.raises(ValueError, match=r"1 of 5 rows .* repeat the 'file'"):
        load_csv(table, **COLUMNS)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"test_size": "a"}, "test_size must be a finite number of at least 0 .* 'a'"),
        ({"test_size": 1.5}, "test_size must be"),
        ({"validation_size": None}, "validation_size must be"),
        ({"test_size": 0.6, "validation_size": 0.5}, "together less than 1"),
        ({"read_options": {"sepp": ";"}}, "read_options has 'sepp'.* mean 'sep'"),
        ({"read_options": {"dtype": int}}, "read_options may not have 'dtype'"),
        ({"read_options": "sep"}, "read_options must be names and values"),
        ({"extra": "user"}, r"extra must be a list .* \['user'\]"),
    ],
)
def test_csv_parameters_are_named(table, kwargs, match):
    given = {key: value for key, value in COLUMNS.items() if key != "split"}
    given.pop("split_names", None)
    with pytest.raises(ValueError, match=match):
        load_csv(table, **{**given, **kwargs})


def test_csv_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_csv(tmp_path / "no.csv", text="a", target="b")


@pytest.mark.slow
def test_csv_of_a_million_rows_takes_seconds(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("file,kind,place,part\n")
        file.writelines(
            f"pictures/{i:07}.jpg,{i % 9},{i % 5},{'test' if i % 10 else 'train'}\n"
            for i in range(1_000_000)
        )
    start = time.process_time()
    data = load_csv(path, **COLUMNS, missing="ignore")
    seconds = time.process_time() - start
    assert len(data) == 1_000_000
    assert seconds < 15  # 3.5 s of processor time: docs/data-sets.md


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_csv_of_snippets():
    data = load_csv(
        SHARED / "snippets" / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        disambiguating="rare",
    )
    flagged = load_csv(
        SHARED / "snippets" / "metadata.csv",
        text="text",
        target="target",
        attribute="domain",
        split="split",
        flags="rare",
    )
    np.testing.assert_array_equal(data.disambiguating, flagged.disambiguating)
    assert (data.split == "train").sum() == 3120
    assert data.subset("train").disambiguating.sum() == 120
    assert len(data) == 4720


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_csv_of_rare_subclasses():
    data = load_csv(
        SHARED / "rare_subclasses" / "metadata.csv",
        image="filename",
        target="target",
        attribute="subclass",
        split="split",
        flags="rare",
    )
    assert len(data) == 6960
    assert data.subset("train").disambiguating.sum() == 160
    assert np.bincount(data.subset("test").groups).max() == 200


@pytest.mark.parametrize("spelt", ["{folder}/a.png", "../pets/a.png", "link/a.png"])
def test_csv_one_picture_by_another_path(table, spelt):
    (table.parent / "link").symlink_to(".")
    row = spelt.format(folder=table.parent) + ",cat,in,test,7,0\n"
    table.write_text(CSV + row)
    with pytest.raises(ValueError, match="repeat the 'file' of an earlier row"):
        load_csv(table, **COLUMNS)


def test_csv_encodings_and_files_that_are_none(table):
    with pytest.raises(ValueError, match="read_options: unknown encoding: nix"):
        load_csv(table, **COLUMNS, read_options={"encoding": "nix"})
    with pytest.raises(ValueError, match="is a directory, not a file"):
        load_csv(table.parent, **COLUMNS)
    os.mkfifo(table.parent / "fifo.csv")
    with pytest.raises(ValueError, match=r"is a FIFO \(named pipe\), not a file"):
        load_csv(table.parent / "fifo.csv", **COLUMNS)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zip", "t.csv.xz", "t.csv.bz2"])
def test_csv_that_only_claims_to_be_compressed(tmp_path, name):
    (tmp_path / name).write_text("image,label\n0.png,a\n")
    with pytest.raises(ValueError, match=f"{name} can't be read.*rename it"):
        load_csv(tmp_path / name, image="image", target="label")


def test_csv_in_an_archive_of_several_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", "text,label\na,b\n")
        archive.writestr("__MACOSX/._t.csv", "")  # as macOS packs it
    with pytest.raises(ValueError, match=r"t.zip can't be read: .*Unpack it, and give"):
        load_csv(tmp_path / "t.zip", text="text", target="label")


def test_csv_with_a_footer(table):
    table.write_text(CSV + "total,,,,,5\n")
    options = {"skipfooter": 1, "engine": "python"}
    assert len(load_csv(table, **COLUMNS, read_options=options)) == 5


def test_csv_target_that_is_the_attribute(table):
    with pytest.raises(ValueError, match="target and attribute are both 'kind'"):
        load_csv(table, image="file", target="kind", attribute="kind")


@pytest.mark.parametrize(
    "kwargs, match",
    [
        ({"split_names": {"0": "train"}}, "split_names says .* but split is None"),
        ({"split": "kind", "split_names": ["train"]}, "split_names must say what"),
        ({"extra": None}, "extra must be a list of columns, got None"),
        ({"root": b"here"}, "root must be a path, got b'here' of type bytes"),
        (
            {"read_options": {"sep": 5}},
            "read_options={'sep': 5}: pandas.read_csv can't",
        ),
        ({"read_options": {"quoting": 99}}, 'read_options=.*bad "quoting" value'),
        ({"read_options": {"encoding": None}}, "read_options: .*utf-8 is one"),
        ({"read_options": {"filepath_or_buffer": "x"}}, "may not have 'filepath_or"),
    ],
)
def test_csv_names_what_it_cannot_use(table, kwargs, match):
    with pytest.raises((ValueError, TypeError), match=match):
        load_csv(table, image="file", target="kind", **kwargs)


@pytest.mark.parametrize("path", [5, None, b"data.csv", io.StringIO("file,kind")])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match="path must be a path, got"):
        load_csv(path, image="file", target="kind")


@pytest.mark.parametrize(
    ("last", "match"),
    [("c,1.5,0", "'label' .* row 4 below"), ("c,1,9", "'odd' .* first in row 4 below")],
)
def test_rows_have_their_place_in_the_file(tmp_path, last, match):
    path = tmp_path / "t.csv"
    path.write_text(f"text,label,odd\na,1,0\n,2,0\na,1,0\n{last}\n")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(ValueError, match=match),
    ):
        load_csv(
            path,
            text="text",
            target="label",
            flags="odd",
            missing="drop",
            duplicates="drop",
        )


def test_columns_without_a_header_have_numbers_for_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,1\nb,2\nc,1\n")
    without = {"read_options": {"header": None}, "test_size": 0}
    data = load_csv(path, text="0", target="1", **without)
    assert data.X.tolist() == ["a", "b", "c"]
    assert data.y.tolist() == [1, 2, 1]
    with pytest.raises(ValueError, match=r"no column 1; .* Names are texts: write '1'"):
        load_csv(path, text="0", target=1, **without)


def test_csv_of_two_files_joined_with_their_headers(tmp_path):
    table = tmp_path / "reviews.csv"
    table.write_text("text,label\ngood,x\nbad,y\ntext,label\nfine,x\n")
    columns = {"text": "text", "target": "label"}
    with pytest.raises(ValueError, match=r"row 3 below the header of .* repeats the"):
        load_csv(table, **columns)
    for start in ("\ufefftext", '\ufeff"text"'):  # of a spreadsheet
        table.write_text(f"{start},label\ngood,x\n{start},label\nfine,x\n", "utf-8")
        with pytest.raises(ValueError, match="row 2 below the header"):
            load_csv(table, **columns)
    names = {"names": ["text", "label"]}
    with pytest.raises(ValueError, match=r"repeats the header .* give it 'header': 0"):
        load_csv(table, **columns, read_options=names)
    for again in ("Text,Label", "text, label ", "label,text", '"LABEL","Text"'):
        table.write_text(f"text,label\ngood,x\nbad,y\n{again}\nfine,x\n")
        with pytest.raises(ValueError, match="row 3 below the header"):
            load_csv(table, **columns)
    table.write_text("text,label\ngood,x\ntext,y\nlabel,Label\n")
    assert len(load_csv(table, **columns, read_options={**names, "header": 0})) == 3
    assert len(load_csv(table, **columns)) == 3
    table.write_text("0,1\n1,0\n")  # without a header columns have numbers
    options = {"read_options": {"header": None}}
    assert len(load_csv(table, text="0", target="1", **options)) == 2
