"""Waterbirds and Treeperson, on small trees in the official layouts."""

import numpy as np
import pytest

from modal_pretrain.datasets import (
    load_amazon,
    load_celeba,
    load_civilcomments,
    load_iwildcam,
    load_metashift,
    load_treeperson,
    load_waterbirds,
)
from tests.datasets.official import SHARED, picture, write

WATERBIRDS = [
    ["img_id", "img_filename", "y", "split", "place", "place_filename"],
    [1, "001.Black_footed_Albatross/one_1.jpg", 1, 0, 1, "/o/ocean/1.jpg"],
    [2, "001.Black_footed_Albatross/one_2.jpg", 1, 0, 0, "/b/bamboo_forest/1.jpg"],
    [3, "002.Laysan, large/two_1.jpg", 0, 1, 0, "/b/bamboo_forest/2.jpg"],
    [4, "002.Laysan, large/two_2.jpg", 0, 2, 1, "/o/ocean/2.jpg"],
]


@pytest.fixture
def waterbirds(tmp_path):
    folder = tmp_path / "waterbird_complete95_forest2water2"
    write(folder / "metadata.csv", WATERBIRDS)
    for row in WATERBIRDS[1:]:
        picture(folder / row[1])
    return folder


def test_waterbirds(waterbirds):
    data = load_waterbirds(waterbirds)
    assert data.X[0] == str(waterbirds / "001.Black_footed_Albatross" / "one_1.jpg")
    assert data.X.dtype.kind == "U"
    assert data.y.tolist() == [1, 1, 0, 0]
    assert data.attribute.tolist() == [1, 0, 0, 1]
    assert data.split.tolist() == ["train", "train", "validation", "test"]
    assert data.disambiguating.tolist() == [False, True, False, True]
    assert data.group_names[data.groups[1]] == "waterbird/land"
    assert data.modality == "image"


@pytest.mark.parametrize(
    "name", ["waterbird_complete95_forest2water2", "waterbirds_v1.0"]
)
def test_waterbirds_in_its_parent(waterbirds, name):
    waterbirds.rename(waterbirds.parent / name)
    assert len(load_waterbirds(str(waterbirds.parent))) == 4


def test_waterbirds_of_the_papers_repository(waterbirds):
    rows = [[*row] for row in WATERBIRDS]
    rows[4][3] = 3
    write(waterbirds / "metadata.csv", rows)
    split = load_waterbirds(waterbirds).split.tolist()
    assert split == ["train", "train", "id_validation", "test"]


def test_missing_images_are_counted(waterbirds):
    (waterbirds / WATERBIRDS[2][1]).unlink()
    (waterbirds / WATERBIRDS[4][1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 4 images .* first .*one_2\.jpg"):
        load_waterbirds(waterbirds)
    with pytest.warns(UserWarning, match=r"2 of 4 images.*left out") as caught:
        data = load_waterbirds(waterbirds, missing="drop")
    assert caught[0].filename == __file__
    assert data.y.tolist() == [1, 0]
    assert data.group_names[data.groups[0]] == "waterbird/water"
    assert len(load_waterbirds(waterbirds, missing="ignore")) == 4
    with pytest.raises(ValueError, match="missing must be one of error, drop, ignore"):
        load_waterbirds(waterbirds, missing="skip")


def test_missing_data_set_says_where_to_get_it(tmp_path):
    for load, words in (
        (load_waterbirds, "nlp.stanford.edu/data/dro"),
        (load_treeperson, "alextamkin/active-learning-pretrained-models"),
        (load_iwildcam, "wilds.stanford.edu"),
        (load_amazon, "wilds.stanford.edu"),
        (load_civilcomments, "wilds.stanford.edu"),
        (load_celeba, "mmlab.ie.cuhk.edu.hk"),
        (load_metashift, "Weixin-Liang/MetaShift"),
    ):
        with pytest.raises(FileNotFoundError, match=words) as caught:
            load(tmp_path)
        assert "Give the folder with" in str(caught.value)
        with pytest.raises(FileNotFoundError, match="is not a folder"):
            load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("row", "column", "value", "match"),
    [
        (
            1,
            3,
            7,
            r"'split' of .* holds 7 in 1 rows, first in row 1 .*known are 0, 1, 2",
        ),
        (2, 2, 2, "'y' .* holds 2"),
        (2, 4, "land", "'place' .* whole numbers; row 2 below the header has 'land'"),
        (3, 2, "", "'y' .* row 3 below the header has an empty cell"),
        (3, 1, "", "1 rows .* name no image, first row 3"),
        (0, 2, "label", "has no column 'y'; its columns are 'img_id', 'img_filename'"),
    ],
)
def test_waterbirds_refuses(waterbirds, row, column, value, match):
    rows = [[*row] for row in WATERBIRDS]
    rows[row][column] = value
    write(waterbirds / "metadata.csv", rows)
    with pytest.raises(ValueError, match=match):
        load_waterbirds(waterbirds)


def test_repeated_images_are_counted_and_kept(waterbirds):
    write(waterbirds / "metadata.csv", [*WATERBIRDS, WATERBIRDS[1]])
    with pytest.warns(UserWarning, match="1 of 5 rows .* an earlier row names"):
        assert len(load_waterbirds(waterbirds)) == 5
    number, name, *others = WATERBIRDS[1]
    again = [number, "./" + name, *others]
    write(waterbirds / "metadata.csv", [*WATERBIRDS, again])
    with pytest.warns(UserWarning, match="1 of 5 rows .* an earlier row names"):
        load_waterbirds(waterbirds)


@pytest.mark.parametrize("text", ["", "img_filename,y,split,place\n"])
def test_empty_tables(waterbirds, text):
    (waterbirds / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=r"metadata\.csv (can't be read|has a header)"):
        load_waterbirds(waterbirds)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_roadwater_is_in_the_layout_of_waterbirds():
    data = load_waterbirds(SHARED / "roadwater")
    assert [(data.split == s).sum() for s in ("train", "validation", "test")] == [
        2400,
        400,
        1000,
    ]
    train = data.subset("train")
    assert train.disambiguating.mean() == pytest.approx(0.045)
    np.testing.assert_array_equal(train.disambiguating, train.y != train.attribute)


def test_treeperson(tmp_path):
    rows = [
        ["img_id", "img_filename", "y", "place", "split"],
        [1, "images/2360366.jpg", 1, 1, 0],
        [2, "images/2399755.jpg", 0, 1, 0],
        [3, "images/273.jpg", 0, 0, 1],
    ]
    write(tmp_path / "treeperson" / "metadata.csv", rows)
    for row in rows[1:]:
        picture(tmp_path / "treeperson" / row[1])
    data = load_treeperson(tmp_path)
    assert data.split.tolist() == ["train", "train", "test"]
    assert [data.group_names[g] for g in data.groups] == [
        "person/buildings",
        "no person/buildings",
        "no person/trees",
    ]
    assert data.disambiguating.tolist() == [False, True, False]
    rows[3][4] = 2
    write(tmp_path / "treeperson" / "metadata.csv", rows)
    with pytest.raises(ValueError, match="holds 2 in 1 rows"):
        load_treeperson(tmp_path)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_published_treeperson():
    data = load_treeperson(SHARED / "treeperson", missing="ignore")
    train = data.subset("train")
    assert np.bincount(train.groups).tolist() == [3700, 370, 370, 3730]
    assert np.bincount(data.subset("test").groups).tolist() == [498] * 4
    if not (SHARED / "treeperson" / "images").exists():
        with pytest.raises(FileNotFoundError, match="10162 of 10162 images"):
            load_treeperson(SHARED / "treeperson", missing="drop")
