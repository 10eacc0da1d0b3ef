"""What can be labelled, and what its rows are called."""

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.labelling.pool import FilePool, as_pool


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
    assert as_pool(["a", "b"]).kind == "image"


def test_what_is_no_pool(tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("review\ngood\n")
    with pytest.raises(ValueError, match="there are no pictures in"):
        as_pool(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        as_pool(tmp_path / "absent")
    with pytest.raises(ValueError, match="column must name the column"):
        as_pool(table)
    with pytest.raises(ValueError, match=r"column must be one of .*'review'"):
        as_pool(table, column="text")
    with pytest.raises(ValueError, match="column goes with"):
        as_pool(["a.png"], column="text")
    with pytest.raises(ValueError, match=r"names 'a\.png' twice"):
        as_pool(["b.png", "a.png", "a.png"])
    with pytest.raises(ValueError, match="empty"):
        as_pool([], text=True)
    table.write_bytes(b"\xff\xfe\x00review")
    with pytest.raises(ValueError, match="is not a CSV file in UTF-8"):
        as_pool(table, column="review")


def test_content_tells_files_apart(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "gone.png")]
    for path, data in zip(paths, (b"one", b"two", b"one"), strict=False):
        path.write_bytes(data)
    pool = FilePool(paths)
    assert pool.content(0) == pool.content(2) != pool.content(1)
    assert pool.content(3) == ""
    assert pool.find(pool.content(0), [1, 2, 3]) == 2
    assert pool.find("3:0", [0, 1, 2]) is None
    assert pool.same(0, pool.content(0)) and not pool.same(0, "4:ab")
