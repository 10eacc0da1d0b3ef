"""The label file: nothing lost, torn lines, other people's files, one process."""

import contextlib
import csv
import os
from pathlib import Path

import pandas as pd
import pytest

from modal_pretrain.labelling.label_file import LabelFile, beside, label_path
from modal_pretrain.labelling.records import FIELDS, Record
from tests import processes

RECORDS = [
    Record(1, "a.png", "cat", "grass", asked="first", content="10:ab"),
    Record(2, 'odd, "name".png', "None"),
    Record(3, "b.png", status="skipped"),
    Record(4, "b.png", status="open", undoes=3),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.csv"


def write(path, records=RECORDS):
    file = LabelFile(path)
    for record in records:
        file.append([record])
    file.close()


def read(path):
    file = LabelFile(path)
    file.close()
    return [record._replace(time="") for record in file.records]


def test_what_was_written_comes_back(path):
    write(path)
    assert read(path) == RECORDS


def test_a_spreadsheet_reads_it(path):
    write(path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    table = pd.read_csv(path, dtype=str, na_values="", keep_default_na=False)
    assert tuple(table.columns) == FIELDS
    known = table.drop_duplicates("item", keep="last").dropna(subset="label")
    assert dict(zip(known.item, known.label, strict=True)) == {
        "a.png": "cat",
        'odd, "name".png': "None",
    }


@pytest.mark.parametrize("lost", [30, 40])
def test_a_torn_line_is_dropped_and_the_next_starts_a_line(path, lost):
    write(path)
    data = path.read_bytes()
    path.write_bytes(data[:-lost])
    file = LabelFile(path)
    assert [r._replace(time="") for r in file.records] == RECORDS[:-1]
    file.append([RECORDS[-1]])
    file.close()
    assert read(path) == RECORDS


def test_a_torn_line_is_dropped_where_a_program_has_put_quotes_around_cells(path):
    write(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.to_csv(path, index=False, quoting=csv.QUOTE_ALL, encoding="utf-8-sig")
    with path.open("ab") as file:
        file.write(b"5,c.png,do")
    assert len(read(path)) == len(RECORDS)


@pytest.mark.parametrize("lost", [1, 5])
def test_a_line_that_lacks_its_end_alone_is_kept(path, lost):
    # Editors and spreadsheets take the end of the last line away.
    write(path)
    path.write_bytes(path.read_bytes()[:-lost])
    file = LabelFile(path)
    file.append([RECORDS[-1]])
    file.close()
    assert read(path) == [*RECORDS, RECORDS[-1]]


@pytest.mark.parametrize("ends", [b"\r", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_other_ends_of_lines(path, ends, last):
    # Files with bare carriage returns, as Excel writes on request, were emptied.
    write(path)
    data = path.read_bytes().replace(b"\n", ends)
    path.write_bytes(data if last else data.removesuffix(ends))
    file = LabelFile(path)
    file.append([RECORDS[-1]])
    file.close()
    assert read(path) == [*RECORDS, RECORDS[-1]]


@pytest.mark.parametrize("end", ["", ",cat,,labelled,,0,,\n"])
def test_a_cell_that_is_too_long_is_named(path, end):
    path.write_text(",".join(FIELDS) + "\n1," + "c" * 200_000 + end)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="line 2: field larger than"):
        LabelFile(path)
    assert path.read_bytes() == before


def test_names_that_are_not_utf8(path):
    record = Record(1, b"caf\xe9.png".decode("utf-8", "surrogateescape"), "cat")
    write(path, [record])
    assert b"caf\xe9.png" in path.read_bytes()
    assert read(path) == [record]


def test_a_table_made_by_hand_gets_the_other_columns(path):
    path.write_text("item,label\na.png,cat\nb.png,\nc.png,dog\n")
    found = read(path)
    assert [(r.answer, r.item, r.label, r.status) for r in found] == [
        (1, "a.png", "cat", "labelled"),
        (2, "b.png", "", "open"),
        (3, "c.png", "dog", "labelled"),
    ]
    assert read(path) == found
    assert path.read_text("utf-8-sig").startswith(",".join(FIELDS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\na,b\n", "is no label file"),
        ("item,label,colour\na,b,c\n", "is no label file"),
        ("item;label\na;b\n", "is no label file"),
        ("item,label\na,b,c\n", "line 2 has 3 cells, the first line 2"),
        ("item,label,status\na,b,skipped\n", "line 2: status must be one of"),
        ("item,label,status\na,,labelled\n", "line 2: status must be one of"),
        ("answer,item,label\none,a,b\n", "line 2: answer and undoes must be whole"),
    ],
)
def test_other_files_are_refused_and_left_alone(path, text, message):
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        LabelFile(path)
    assert path.read_text() == text


def test_a_full_disk_leaves_whole_lines(path, monkeypatch):
    write(path)
    before = path.read_bytes()
    file = LabelFile(path)

    class Full:
        def write(self, data):
            return half.write(data[:10])

        def __getattr__(self, name):
            return getattr(half, name)

    half = file._file
    file._file = Full()
    with pytest.raises(OSError, match="only 10 of"):
        file.append([RECORDS[0]])
    file.close()
    assert path.read_bytes() == before


def test_ctrl_c_in_the_middle_leaves_whole_lines(path, monkeypatch):
    def stopped(file):
        raise KeyboardInterrupt

    file = LabelFile(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", stopped)
        with pytest.raises(KeyboardInterrupt):
            file.append([Record(1, "a.png", "cat")])
    file.append([Record(1, "b.png", "dog")])
    file.close()
    again = LabelFile(path)
    again.close()
    assert [record.item for record in again.records] == ["b.png"]


def test_a_second_process_is_refused(path):
    file = LabelFile(path)
    code = (
        "import sys\n"
        "from modal_pretrain.labelling.label_file import LabelFile\n"
        "try:\n    LabelFile(sys.argv[1])\n"
        "except TimeoutError as error:\n    print(error)\n"
    )
    assert "another process is labelling with" in processes.run(code, path)
    file.close()
    assert processes.run(code, path) == ""


def test_where_it_lies(tmp_path):
    folder, table = tmp_path / "my.pictures", tmp_path / "texts.csv"
    folder.mkdir()
    table.touch()
    assert label_path(folder, None) == tmp_path / "my.pictures-labels.csv"
    assert label_path(table, None) == tmp_path / "texts-labels.csv"
    with pytest.raises(ValueError, match="labels must name the file"):
        label_path(["a", "b"], None)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        LabelFile(tmp_path / "absent" / "labels.csv")


def test_a_closed_file_says_so(path):
    file = LabelFile(path)
    file.close()
    with pytest.raises(ValueError, match="is closed; begin another one"):
        file.append(RECORDS)


def test_a_spreadsheet_need_not_end_the_last_line(path):
    path.write_text("item,label\na.png, cat \nb.png,dog")
    assert [(r.item, r.label) for r in read(path)] == [
        ("a.png", "cat"),
        ("b.png", "dog"),
    ]
    assert [r.label for r in read(path)] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("item,label\na.png," + "x" * 200_000, "line 2: field larger than"),
        ("item,label,label\na.png,cat,dog\n", "each once"),
        ("item;label\na.png;cat\n", "separated by ';': save the file with commas"),
        ("item,label\na.png,=1+1\n", "line 2: label must not begin with"),
        ("item,label\na.png,c\u200bat\n", "line 2: label must have no control"),
        (f"answer,item,label\n{'9' * 5000},a.png,cat\n", "at most 15 digits"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(path, content, message):
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        LabelFile(path)
    assert path.name in str(raised.value)


@pytest.mark.parametrize("cell", ["#N/A", "#NAME?", "#NV", "#####", "Err:502"])
def test_errors_of_a_spreadsheet_are_no_labels(path, cell):
    """A column of labels that are looked up has these, which were a class."""
    text = f"item,label\na.png,cat\nb.png,{cell}\n"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"line 3: label must be a word, got .*empty"):
        LabelFile(path)
    assert path.read_text() == text


@pytest.mark.parametrize("column", ["label", "answer"])
def test_lines_that_a_spreadsheet_sorted(path, column):
    """A correction came after what it corrects, and undoing after both."""
    said = [(1, "a", "dog", 0), (2, "b", "cat", 0), (3, "a", "", 1), (4, "a", "cat", 0)]
    status = {"": "open"}
    records = [
        Record(n, item, label, status=status.get(label, "labelled"), undoes=undoes)
        for n, item, label, undoes in said
    ]
    write(path, records)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.sort_values(column, ascending=False).to_csv(path, index=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"'a'.* answer 4 .*Sort them by the column"):
        LabelFile(path)
    assert path.read_bytes() == before
    table.sort_values("item").to_csv(path, index=False)  # each item's order is kept
    assert len(read(path)) == 4
    table.sort_values(column, ascending=False).assign(answer="").to_csv(
        path, index=False
    )
    assert len(read(path)) == 4


def test_a_line_without_a_number_is_an_answer_of_its_own(path):
    write(path, [Record(3, "a", "dog"), Record(1, "b", "cat"), Record(2, "c", "cat")])
    with path.open("a") as file:
        file.write(",a,cat,,,,,,\n,d,cat,,,,,,\n")
    assert [record.answer for record in read(path)] == [1, 2, 3, 4, 5]
    assert [record.item for record in read(path)][2:] == list("aad")


def test_lines_that_were_added_in_pandas(path):
    write(path)
    added = pd.DataFrame([{"item": "c.png", "label": "dog"}])
    pd.concat([pd.read_csv(path, keep_default_na=False), added]).to_csv(
        path, index=False
    )
    assert "\n4.0,b.png,,,open,,3.0," in path.read_text()
    assert [(r.answer, r.undoes) for r in read(path)] == [
        *((record.answer, record.undoes) for record in RECORDS),
        (5, 0),
    ]


def test_no_file_of_labels(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="fifo is a FIFO"):
        LabelFile(tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()
    for odd in ("", 5):
        with pytest.raises(ValueError, match="labels must be the path of a file"):
            label_path("pictures", odd)
    if Path("/proc/self").exists():
        with pytest.raises(FileNotFoundError, match="no lock can be made"):
            LabelFile("/proc/labels.csv")


def test_nothing_goes_into_a_file_whose_labels_another_program_changed(path):
    with contextlib.closing(LabelFile(path)) as file:
        file.append([Record(1, "a.png", "cat")])
        os.utime(path)  # which changes nothing
        file.append([Record(2, "b.png", "cat")])
        changed = path.read_bytes().replace(b"cat", b"dog")
        with path.open("r+b") as other:
            other.write(changed)
        os.utime(path, (0, 0))
        for number in (3, 4):
            with pytest.raises(OSError, match="another program has changed it"):
                file.append([Record(number, "c.png", "cat")])
        assert path.read_bytes() == changed


def test_nothing_goes_into_a_file_that_another_program_changed(path):
    # An editor that saves in place made it a file without its first line.
    file = LabelFile(path)
    file.append(RECORDS[:1])
    before = path.read_bytes()
    for changed in (b"", before[:-9], before + b"9,a.png,dog,,labelled,,0,,\n"):
        path.write_bytes(changed)
        with pytest.raises(OSError, match="another program has changed it"):
            file.append(RECORDS[1:2])
        assert path.read_bytes() == changed
    path.write_bytes(before)
    file.append(RECORDS[1:2])
    file.close()
    assert read(path) == RECORDS[:2]


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_goes_into_a_file_that_is_gone(path, replaced):
    file = LabelFile(path)
    file.append(RECORDS[:1])
    moved = path.rename(path.with_name("moved.csv"))
    if replaced:
        path.write_bytes(moved.read_bytes())
    before = moved.read_bytes()
    with pytest.raises(OSError, match="moved, deleted or replaced"):
        file.append(RECORDS[1:2])
    assert moved.read_bytes() == before
    moved.rename(path)
    file.append(RECORDS[1:2])
    file.close()
    assert read(path) == RECORDS[:2]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    real = tmp_path / "disk" / "real.csv"
    real.write_text("item,label\na.png,cat\n")
    (tmp_path / "link.csv").symlink_to(real)
    write(tmp_path / "link.csv", RECORDS[1:2])
    assert (tmp_path / "link.csv").is_symlink()
    assert [r.label for r in read(real)] == ["cat", "None"]


def test_one_file_under_two_names_is_one_file(tmp_path):
    """A hard link has a lock of its own, but is the same file."""
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    with contextlib.closing(LabelFile(path)) as file:
        file.append([Record(1, "0.png", "cat")])
        os.link(path, other)
        with pytest.raises(TimeoutError, match="another process is labelling with"):
            LabelFile(other)
    with contextlib.closing(LabelFile(other)) as file:
        assert [record.label for record in file.records] == ["cat"]


@pytest.mark.parametrize(
    ("encoding", "words"), [("utf-16", "in UTF-16"), ("latin-1", "not in UTF-8")]
)
def test_other_encodings_are_named(tmp_path, encoding, words):
    path = tmp_path / "l.csv"
    path.write_bytes("item,label\n0.png,caf\u00e9\n".encode(encoding))
    with pytest.raises(ValueError, match=f"{words}.*Save the file as UTF-8"):
        LabelFile(path)


def test_what_lies_beside_a_pool_is_called_as_it_is(tmp_path, monkeypatch):
    """Two versions of a folder would share a folder of exports."""
    (tmp_path / "data" / "v1.1" / "cats").mkdir(parents=True)
    (tmp_path / "t.b.csv").touch()
    monkeypatch.chdir(tmp_path / "data" / "v1.1")
    for pool, name in (
        (".", "v1.1-labelled"),
        ("../v1.1", "v1.1-labelled"),
        ("cats/..", "v1.1-labelled"),
        ("../v1.1/", "v1.1-labelled"),
        ("cats", "cats-labelled"),
        (tmp_path / "t.b.csv", "t.b-labelled"),
    ):
        assert beside(pool, "labelled").name == name
    assert label_path("cats/..", None) == tmp_path / "data" / "v1.1-labels.csv"


def test_the_pool_itself_by_a_tilde(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "t.csv").write_text("text\na\n")
    for pool, labels in (("~/t.csv", "~/t.csv"), (tmp_path / "t.csv", "~/t.csv")):
        with pytest.raises(ValueError, match="the pool itself"):
            label_path(pool, labels)
    assert label_path("~/t.csv", "~/l.csv") == tmp_path / "l.csv"
