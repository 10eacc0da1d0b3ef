"""Amazon and CivilComments, on small trees in the official layouts."""

import csv
import logging

import pytest

from modal_pretrain.datasets import (
    load_amazon,
    load_civilcomments,
)
from tests.datasets.official import write

REVIEWS = [
    ("A1", "P1", 5.0, 'It "works", really.\nBuy it.', "Books", 2014, 0),
    ("A2", "P2", 1.0, "None", "Books", 2015, -1),
    ("A3", "P3", 2.0, "N/A", "Tools", 2016, 3),
    ("A1", "P3", 4.0, "Nice, small", "Books", 2016, 2),
    ("A4", "P1", 3.0, "", "Books", 2016, 4),
    ("A5", "P1", 3.0, "nan", "Books", 2016, 1),
    ("A6", "P1", 3.0, "Ends \\ here", "Books", 2016, 4),
]


@pytest.fixture
def amazon(tmp_path):
    folder = tmp_path / "amazon_v2.1"
    head = (
        "reviewerID asin overall reviewTime unixReviewTime reviewText summary verified"
    )
    rows = [[*head.split(), "category", "reviewYear"]]
    for user, product, stars, text, category, year, _ in REVIEWS:
        about = f"06 3, {year}"
        rows.append(
            [
                user,
                product,
                stars,
                about,
                1370217600,
                text,
                "five",
                True,
                category,
                year,
            ]
        )
    write(folder / "reviews.csv", rows, csv.QUOTE_NONNUMERIC)
    splits = [row[-1] for row in REVIEWS]
    write(
        folder / "splits" / "user.csv",
        [["split", "clean"], *([float(s), True] for s in splits)],
    )
    plain = [["split"], *([min(s, 2)] for s in splits)]
    write(folder / "splits" / "category_subpopulation.csv", plain)
    return folder


def test_amazon(amazon, caplog):
    with (
        caplog.at_level(logging.INFO),
        pytest.warns(UserWarning, match="1 of 6 reviews of .* have no text") as caught,
    ):
        data = load_amazon(amazon.parent)
    assert caught[0].filename == __file__
    assert "1 of 7 reviews have no split" in caplog.text
    assert data.X.tolist() == [REVIEWS[i][3] for i in (0, 2, 3, 5, 6)]
    assert data.X.dtype == object
    assert data.modality == "text"
    assert data.y.tolist() == [5, 2, 4, 3, 3]
    assert data.attribute.tolist() == ["Books", "Tools", "Books", "Books", "Books"]
    assert data.split.tolist() == [
        "train",
        "test",
        "id_validation",
        "validation",
        "id_test",
    ]
    assert data.disambiguating.tolist() == [False, True, False, False, False]
    assert data.extra["user"].tolist() == ["A1", "A3", "A1", "A5", "A6"]
    assert data.extra["year"].tolist() == [2014, 2016, 2016, 2016, 2016]
    assert data.regroup("year").attribute_name == "year"


def test_amazon_split_schemes(amazon):
    with pytest.warns(UserWarning, match="no text"):
        data = load_amazon(amazon, split_scheme="category_subpopulation")
    assert data.split.tolist() == ["train", "test", "test", "validation", "test"]
    with pytest.raises(
        FileNotFoundError, match=r"no split_scheme 'time'; it has category_s.*, user"
    ):
        load_amazon(amazon, split_scheme="time")


def test_amazon_without_a_column(amazon):
    write(amazon / "reviews.csv", [["reviewerID", "asin"], ["A1", "P1"]])
    with pytest.raises(ValueError, match=r"reviews.csv has no column 'overall'"):
        load_amazon(amazon)


def test_amazon_refuses(amazon):
    write(amazon / "splits" / "user.csv", [["split"], [0], [1]])
    with pytest.raises(ValueError, match="has 2 rows for the 7 reviews"):
        load_amazon(amazon)
    write(amazon / "splits" / "user.csv", [["split"], *([5] for _ in REVIEWS)])
    with (
        pytest.warns(UserWarning),
        pytest.raises(ValueError, match=r"'split' .* holds 5"),
    ):
        load_amazon(amazon)


def test_civilcomments(tmp_path):
    rows = [
        ["", "id", "comment_text", "split", "toxicity", "identity_any", "male"],
        [0, 239607, "Fine, thanks.", "train", 0.0, 0.0, 0.0],
        [1, 239612, "Two\nlines", "train", 0.5, 0.8, 0.0],
        [2, 239653, "", "train", 0.9, 0.0, 0.0],
        [3, 240311, "null", "val", 0.4, 0.6, 0.6],
        [4, 240400, "x", "test", 0.49, 0.1, 0.0],
    ]
    path = tmp_path / "civilcomments_v1.0" / "all_data_with_identities.csv"
    write(path, rows)
    with pytest.warns(UserWarning, match="1 of 5 comments"):
        data = load_civilcomments(tmp_path)
    assert data.X.tolist() == ["Fine, thanks.", "Two\nlines", "null", "x"]
    assert data.y.tolist() == [0, 1, 0, 0]
    assert data.attribute.tolist() == [0, 1, 1, 0]
    assert data.disambiguating.tolist() == [False, False, True, False]
    assert data.split.tolist() == ["train", "train", "validation", "test"]
    with pytest.warns(UserWarning, match="no text"):
        assert load_civilcomments(tmp_path, attribute="male").attribute.sum() == 1
    with pytest.raises(ValueError, match="attribute='toxicity' is the class"):
        load_civilcomments(tmp_path, attribute="toxicity")
    with pytest.raises(ValueError, match="no column 'robot'"):
        load_civilcomments(tmp_path, attribute="robot")
    rows[1][4] = "often"
    write(path, rows)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"row 1 .*'often'"):
        load_civilcomments(tmp_path)


def test_rows_have_their_place_in_the_file(amazon, tmp_path):
    rows = [["A1", "P1", 5, "Good.", "Books", 2014]] * 3
    rows += [["A1", "P1", 9, "Good.", "Books", 2014]]
    names = ["reviewerID", "asin", "overall", "reviewText", "category", "reviewYear"]
    write(amazon / "reviews.csv", [names, *rows])
    write(amazon / "splits" / "user.csv", [["split"], [-1], [-1], [0], [0]])
    with pytest.raises(ValueError, match=r"'overall' .* first in row 4 below"):
        load_amazon(amazon)
    path = tmp_path / "civilcomments_v1.0" / "all_data_with_identities.csv"
    header = ["comment_text", "split", "toxicity", "identity_any"]
    first = [header, ["", "train", 0, 0], ["x", "train", 0, 0]]
    for last, match in (
        (["y", "train", 7, 0], r"'toxicity' .* row 3 below the header has '7'"),
        (["y", "trial", 0, 0], r"'split' .* first in row 3 below the header"),
    ):
        write(path, [*first, last])
        with (
            pytest.warns(UserWarning, match="no text"),
            pytest.raises(ValueError, match=match),
        ):
            load_civilcomments(tmp_path)
