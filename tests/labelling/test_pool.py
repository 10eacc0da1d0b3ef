"""What can be labelled, and what its rows are called."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from modal_pretrain.labelling.file_pool import FilePool
from modal_pretrain.labelling.ledger import Ledger
from modal_pretrain.labelling.pools import as_pool
from modal_pretrain.labelling.records import Record


def test_a_folder(folder):
    (folder / "more").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "more" / "=1+1.jpg")
    Image.new("RGB", (8, 8)).save(folder / "=2.jpg")
    Image.new("RGB", (8, 8)).save(folder / "two\nlines.jpg")
    (folder / ".hidden.png").touch()
    (folder / "notes.txt").touch()
    pool = as_pool(folder)
    assert len(pool) == 82 and pool.kind == "image"
    assert {"000.png", "more/=1+1.jpg", "./=2.jpg"} < set(pool.names)
    assert pool.show(pool.names.index("more/=1+1.jpg")).exists()
    assert pool.left_out == ["'two\\nlines.jpg': its name has a control character"]
    assert list(pool.take(np.array([0]))) == [str(folder / "000.png")]


@pytest.mark.parametrize("odd", [None, float("nan"), 5, b"bytes", " "], ids=repr)
def test_what_is_no_text_is_named(odd):
    # It was asked about as "None", "nan", "5", ...
    with pytest.raises((TypeError, ValueError), match=r"pool\[1\] is"):
        as_pool(["fine", odd], text=True)


def test_a_frame_is_its_column():
    # Its columns' names were taken for paths.
    pool = as_pool(pd.DataFrame({"file": ["a.png", "b.png"]}, index=[3, 3]))
    assert pool.names == ["a.png", "b.png"]
    with pytest.raises(TypeError, match="pool is a DataFrame with 2 columns"):
        as_pool(pd.DataFrame({"file": ["a.png"], "label": ["x"]}))


def test_the_content_of_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert as_pool([tmp_path / "a.png"]).content(0) == ""


def test_pictures_in_memory(shapes):
    pool = as_pool(shapes.X)
    assert pool.names[:2] == ["row 1", "row 2"]
    assert np.array_equal(np.asarray(pool.show(3)), shapes.X[3])
    assert pool.content(0) != pool.content(1)
    assert pool.take(np.array([4, 2])).shape == (2, 64, 64, 3)


def test_texts(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text('stars,review\n1,"Bad, ""very""."\n2,\n5,NA\n')
    pool = as_pool(path, column="review")
    assert pool.names == ["row 1", "row 3"]
    assert [pool.show(row) for row in range(2)] == ['Bad, "very".', "NA"]
    assert pool.left_out == ["1 rows without a text"]
    assert as_pool(["a", "b"], text=True).kind == "text"
    assert as_pool(["a.png", "b"]).kind == "image"


def test_texts_in_the_home_folder_and_marks_that_are_misread(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    path = tmp_path / "texts.csv"
    path.write_text('review,id\n"Best film,1\nPoor,2\n"Worst film,3\nFine,4\n')
    with pytest.warns(UserWarning, match=r"line 4 of .*rows joined"):
        pool = as_pool("~/texts.csv", column="review")
    assert len(pool) == 2  # of 4


def test_a_cell_with_nothing_to_see_is_no_text(tmp_path):
    # Forms and chats leave such; one refused the whole file.
    path = tmp_path / "texts.csv"
    path.write_text("id,review\n1,good\n2,\u200b\n3,\ufeff \u00ad\n4,bad\n", "utf-8")
    pool = as_pool(path, column="review")
    assert pool.names == ["row 1", "row 4"] and list(pool.X) == ["good", "bad"]
    assert pool.left_out == ["2 rows without a text"]


@pytest.mark.parametrize("kind", [list, pd.Series, np.array])
def test_texts_are_not_taken_for_pictures(kind, tmp_path):
    # They were asked about and answered, and the model never learnt from one.
    with pytest.raises(ValueError, match="estimator=PretrainedTextClassifier"):
        as_pool(kind(["It broke.", "Where is my parcel?\nThanks"]))
    away = as_pool(kind(["It broke.", str(tmp_path / "away.JPG")]))
    assert away.kind == "image" and len(away) == 2
    (tmp_path / "scan").touch()
    assert as_pool(kind([str(tmp_path / "scan")])).kind == "image"


def test_pictures_of_phones_that_are_not_read_are_counted(tmp_path):
    for name in ("1.HEIC", "a/2.heic", "3.cr2", "notes.txt", ".hidden.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"but 3 pictures .* \(.heic, .cr2\): convert"):
        as_pool(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "4.png")
    pool = as_pool(tmp_path)
    assert pool.names == ["4.png"]
    assert pool.left_out == ["3 pictures of kinds that are not read (.heic, .cr2)"]


def test_pictures_with_more_behind_their_endings_are_counted(tmp_path):
    names = ("a.jpg?w=300", "b.JPG_large", "c.jpg.1", "d.png?v=1.2&f=x.txt", "e.jpeg~")
    beside = ("a.jpg.json", "a.jpg(1).json", "a.png_box.txt", "a.jpg.xmp", "jpg_list")
    for name in (*names, *beside, "a.jpg_original"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"but 5 pictures .*: convert or rename"):
        as_pool(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "4.png")
    (left_out,) = as_pool(tmp_path).left_out
    assert left_out.startswith("5 pictures with more behind the ending, such as 'a.jpg")


def test_what_is_no_pool(tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("review\ngood\n")
    with pytest.raises(ValueError, match="there are no pictures in"):
        as_pool(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        as_pool(tmp_path / "absent")
    with pytest.raises(ValueError, match="column must name the column"):
        as_pool(table)
    with pytest.raises(ValueError, match=r"column='text': .* columns are 'review'"):
        as_pool(table, column="text")
    with pytest.raises(TypeError, match="of type dict, which has no order"):
        as_pool({"a.png": 1})
    with pytest.raises(TypeError, match="it holds 5 of type int"):
        as_pool(["a.png", 5])
    with pytest.raises(ValueError, match=r"write '\.' for the present folder"):
        as_pool("")
    with pytest.raises(ValueError, match="column goes with"):
        as_pool(["a.png"], column="text")
    with pytest.raises(ValueError, match=r"names 'a\.png' twice"):
        as_pool(["b.png", "a.png", "a.png"])
    with pytest.raises(ValueError, match="empty"):
        as_pool([], text=True)
    table.write_bytes(b"\xff\xfe\x00review")
    with pytest.raises(ValueError, match=r"texts\.csv is not in utf-8"):
        as_pool(table, column="review")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # pandas takes the first column for the names of rows then, and "1" for "good".
        ("review,stars\ngood,1,\nbad,2,\n", "more cells than its header"),
        ("review,review\ngood,1\n", "2 columns 'review'"),
    ],
)
def test_texts_are_never_those_of_another_column(tmp_path, content, message):
    (tmp_path / "texts.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        as_pool(tmp_path / "texts.csv", column="review")


def test_paths_in_a_series():
    series = pd.Series(["a.png", "b.png"], index=[7, 8])
    assert as_pool(series).names == ["a.png", "b.png"]


def test_content_tells_files_apart(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "gone.png")]
    for path, data in zip(paths, (b"one", b"two", b"one"), strict=False):
        path.write_bytes(data)
    pool = FilePool(paths)
    assert pool.content(0) == pool.content(2) != pool.content(1)
    assert pool.content(3) == ""
    first = pool.content(0)
    assert pool.places({first, "3:0"}, [1, 2, 3]) == {first: [2]}
    assert pool.same(0, first, 0.0) and not pool.same(0, "4:ab", 0.0)
    # Of the same size, and written after the label.
    assert not pool.same(0, pool.content(1), os.stat(paths[0]).st_mtime)
    # Not read again: nothing has changed since.
    assert pool.same(0, "3:0", os.stat(paths[0]).st_ctime + 60)
    assert pool.same(3, "3:0", 0.0)


def test_moved_files_are_each_read_once(tmp_path, monkeypatch):
    n = 60
    for i in range(n):
        (tmp_path / f"{i}.png").write_bytes(b"%03d" % i)
    pool = FilePool.below(tmp_path)
    records = [
        Record(i + 1, f"old/{i}.png", "cat", content=pool.content(i)) for i in range(n)
    ]
    read = []
    content = FilePool.content
    monkeypatch.setattr(
        FilePool, "content", lambda self, row: read.append(row) or content(self, row)
    )
    ledger = Ledger()
    lost = ledger.load(records, pool)
    assert len(lost.moved) == len(ledger.state) == n and not lost.vanished
    assert len(read) == n


@pytest.mark.parametrize("spelling", ["./b/a.png", "b/../b/a.png", "b//a.png"])
def test_one_file_is_one_row_however_it_is_spelt(spelling, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for other in ("b/a.png", str(tmp_path / "b" / "a.png")):
        with pytest.raises(ValueError, match="twice, once as"):
            FilePool([other, spelling])


def test_names_that_somebody_else_wrote_are_found(tmp_path):
    """As other tools and hands write them into a label file."""
    decomposed, composed = "caf\u0065\u0301.png", "caf\u00e9.png"
    for name in ("a.png", "b\\c.png", decomposed, "cats/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pool = FilePool.below(tmp_path)
    for name, meant in {
        "a.png": "a.png",
        "./a.png": "a.png",
        "cats/../a.png": "a.png",
        str(tmp_path / "a.png"): "a.png",
        "cats\\1.png": "cats/1.png",
        "b\\c.png": "b\\c.png",
        composed: decomposed,
    }.items():
        assert pool.names[pool.find(name)] == meant
    for name in ("", "1.png", "../a.png", "/a.png", "A.png"):
        assert pool.find(name) is None


def test_texts_without_an_estimator_of_texts_say_where_they_may_be_instead(tmp_path):
    texts = ["schön und gut", "öde", "na ja"]
    with pytest.raises(ValueError, match="or a CSV file and its column="):
        as_pool(texts)
    file = tmp_path / "reviews.csv"
    pd.DataFrame({"review": texts}).to_csv(file, index=False)
    assert list(as_pool(file, column="review").X) == texts


def test_paths_that_are_away_are_not_only_taken_for_texts():
    with pytest.raises(ValueError, match=r"no such file as '/away/1\.dcm'.*for texts"):
        as_pool(["/away/1.dcm", "/away/2.dcm"])
