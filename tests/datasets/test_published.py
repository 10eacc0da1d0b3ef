"""Loaders of published data, on small trees in the official layouts."""

import csv
import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import (
    load_amazon,
    load_celeba,
    load_civilcomments,
    load_iwildcam,
    load_metashift,
    load_treeperson,
    load_waterbirds,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "green").save(path)


def write(path, rows, quoting=csv.QUOTE_MINIMAL):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=quoting, lineterminator="\n").writerows(rows)


# Waterbirds -------------------------------------------------------------------------

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


# Treeperson -------------------------------------------------------------------------


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


# iWildCam ---------------------------------------------------------------------------


@pytest.fixture
def iwildcam(tmp_path):
    """182 species, one in two images; camera 5 took few pictures."""
    folder = tmp_path / "iwildcam_v2.0"
    categories = [["y", "category_id", "name"]]
    categories += [[y, 2 * y, f"species, {y}"] for y in range(182)]
    categories += [[99999, 7, "start"], [99999, 9, "end"]]
    write(folder / "categories.csv", categories)
    header = (
        ",split,location_remapped,location,sequence_remapped,seq_id,y,category_id,"
        "datetime,filename,image_id"
    )
    rows = []
    for y in range(182):
        for copy, split in enumerate(
            ("train", ["val", "test", "id_val", "id_test"][y % 4])
        ):
            camera = 5 if y < 9 else 3 + copy
            rows.append(
                f"{len(rows)},{split},{camera},{camera + 40},{y},uuid-{y},{y},{2 * y},"
                f"2013-06-05 05:44:19.000,8{y:03}{copy}.jpg,8{y:03}{copy}"
            )
    (folder / "metadata.csv").write_text("\n".join([header, *rows, ""]))
    (folder / "train").mkdir()
    for row in rows:
        (folder / "train" / row.split(",")[9]).touch()
    return folder


def test_iwildcam(iwildcam):
    data = load_iwildcam(iwildcam.parent)
    assert len(data) == 364
    assert len(data.classes) == 182
    assert data.class_names[3] == "species, 3"
    assert data.X[0] == str(iwildcam / "train" / "80000.jpg")
    assert {s: int((data.split == s).sum()) for s in np.unique(data.split)} == {
        "train": 182,
        "validation": 46,
        "test": 46,
        "id_validation": 45,
        "id_test": 45,
    }
    # Camera 5 took 9 of 182 train images; camera 4 none.
    np.testing.assert_array_equal(data.disambiguating, data.attribute != 3)
    assert data.extra["day"][0] == "2013-06-05"
    assert data.extra["sequence"][-1] == 181
    seeds = data.seed_set(182, atypical=None, random_state=0)
    assert set(data.y[seeds].tolist()) == set(range(182))


def test_iwildcam_refuses(iwildcam):
    text = (iwildcam / "metadata.csv").read_text()
    (iwildcam / "metadata.csv").write_text(text.replace("id_val", "cis_val"))
    with pytest.raises(ValueError, match=r"'split' of .* holds 'cis_val' in 45 rows"):
        load_iwildcam(iwildcam)
    (iwildcam / "metadata.csv").write_text(text.replace(",181,362,", ",182,362,"))
    with pytest.raises(ValueError, match=r"'y' of .* holds 182 "):
        load_iwildcam(iwildcam)
    (iwildcam / "metadata.csv").write_text(text)
    categories = iwildcam / "categories.csv"
    known = categories.read_text()
    for old, new, match in (
        ("start", "x\n3,6,again", "csv names twice 3; each species needs one name"),
        ('"species, 4"', '"species, 3"', "calls two numbers 'species, 3'"),
        ('"species, 4"', "", "has a number with no name"),
    ):
        assert old in known
        categories.write_text(known.replace(old, new))
        with pytest.raises(ValueError, match=match):
            load_iwildcam(iwildcam)


def test_iwildcam_without_dates(iwildcam):
    path = iwildcam / "metadata.csv"
    text = path.read_text()
    path.write_text(text.replace("2013-06-05 05:44:19.000,80030", ",80030"))
    with pytest.warns(UserWarning, match=r"1 of 364 rows of .* have no datetime"):
        data = load_iwildcam(iwildcam)
    assert data.extra["day"][[5, 6]].tolist() == ["2013-06-05", "unknown"]
    for other in ("6/5/2013 5:44", "nan"):  # a spreadsheet's
        path.write_text(text.replace("2013-06-05 05:44:19.000,80030", f"{other},80030"))
        with pytest.raises(ValueError, match=r"dates like .* row 7 below the header"):
            load_iwildcam(iwildcam)


# Amazon -----------------------------------------------------------------------------

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


# CivilComments ----------------------------------------------------------------------


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


# CelebA -----------------------------------------------------------------------------

FACES = {  # Blond_Hair, Male, partition
    "000001.jpg": (-1, 1, 0),
    "000002.jpg": (1, -1, 0),
    "000003.jpg": (-1, 1, 0),
    "000004.jpg": (1, 1, 1),
    "000005.jpg": (-1, -1, 2),
}


def celeba(tmp_path, ending):
    if ending == "csv":
        folder = tmp_path / "celebA_v1.0"
        write(
            folder / "list_attr_celeba.csv",
            [["image_id", "Blond_Hair", "Male"]]
            + [[name, *values[:2]] for name, values in FACES.items()],
        )
        # Sorted in another way.
        write(
            folder / "list_eval_partition.csv",
            [["image_id", "partition"]]
            + [[name, values[2]] for name, values in reversed(FACES.items())],
        )
    else:
        folder = tmp_path / "celeba"
        folder.mkdir()
        lines = [f"{len(FACES)}", "Blond_Hair Male "]
        lines += [f"{name} {b:2d} {m:2d}" for name, (b, m, _) in FACES.items()]
        (folder / "list_attr_celeba.txt").write_text("\n".join([*lines, ""]))
        lines = [f"{name} {part}" for name, (*_, part) in FACES.items()]
        (folder / "list_eval_partition.txt").write_text("\n".join([*lines, ""]))
    return folder


@pytest.mark.parametrize("ending", ["csv", "txt"])
@pytest.mark.parametrize(
    "images", ["img_align_celeba", "img_align_celeba/img_align_celeba"]
)
def test_celeba(tmp_path, ending, images):
    folder = celeba(tmp_path, ending)
    for name in FACES:
        picture(folder / images / name)
    data = load_celeba(tmp_path)
    assert data.X[0] == str(folder / images / "000001.jpg")
    assert data.y.tolist() == [0, 1, 0, 1, 0]
    assert data.attribute.tolist() == [1, 0, 1, 1, 0]
    assert data.split.tolist() == ["train"] * 3 + ["validation", "test"]
    assert data.disambiguating.tolist() == [False, False, False, True, True]
    assert data.group_names[data.groups[3]] == "blond/male"
    turned = load_celeba(folder, target="Male", attribute="Blond_Hair")
    assert turned.group_names[turned.groups[3]] == "male/blond"
    with pytest.raises(ValueError, match="no column 'Hat'"):
        load_celeba(folder, target="Hat")


def test_celeba_refuses(tmp_path):
    folder = celeba(tmp_path, "txt")
    parts = folder / "list_eval_partition.txt"
    text = parts.read_text()
    parts.write_text(text.replace("000003.jpg 0\n", ""))
    with pytest.raises(ValueError, match=r"no split for 1 of the 5 .* 000003\.jpg"):
        load_celeba(folder, missing="ignore")
    parts.write_text(text + "000003.jpg 0\n")
    with pytest.raises(ValueError, match=r"lists 000003\.jpg more than once"):
        load_celeba(folder, missing="ignore")
    parts.write_text(text.replace("000003.jpg 0", "000003.jpg 0 0"))
    with pytest.raises(ValueError, match="2 cells, but row 3 has 3"):
        load_celeba(folder, missing="ignore")
    parts.write_text("\ufeff" + text)
    assert len(load_celeba(folder, missing="ignore")) == 5
    faces = folder / "list_attr_celeba.txt"
    known = faces.read_text()
    for content, match in (
        (known[: known.index("000005")], "says that it lists 5 images, but lists 4"),
        ("5\n", "has no column 'Blond_Hair'"),
        (b"\xff\xfe5", "list_attr_celeba.txt is no text"),
    ):
        data = content if isinstance(content, bytes) else content.encode()
        faces.write_bytes(data)
        with pytest.raises(ValueError, match=match):
            load_celeba(folder, missing="ignore")
    faces.unlink()
    os.mkfifo(faces)
    with pytest.raises(ValueError, match=r"list_attr_celeba\.txt is a FIFO"):
        load_celeba(folder, missing="ignore")


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        ("", ""),
        ("5\nimage_id Blond_Hair Male\n", "image_id partition\n"),
        ("Blond_Hair Male\n", "5\n"),
        ("image_id Blond_Hair Male\n", "5\nimage_id partition\n"),
    ],
)
def test_celeba_with_and_without_headers(tmp_path, attributes, parts):
    folder = celeba(tmp_path, "txt")
    known = load_celeba(folder, missing="ignore")
    for name, header, length in (
        ("list_attr_celeba.txt", attributes, 2),
        ("list_eval_partition.txt", parts, 0),
    ):
        lines = (folder / name).read_text().splitlines(keepends=True)
        if header:
            (folder / name).write_text("".join([header, *lines[length:]]))
    data = load_celeba(folder, missing="ignore")
    assert data.X.tolist() == known.X.tolist()
    assert data.groups.tolist() == known.groups.tolist()
    assert data.split.tolist() == known.split.tolist()


def test_celeba_names_the_file_and_two_columns(tmp_path):
    folder = celeba(tmp_path, "csv")
    parts = folder / "list_eval_partition.csv"
    parts.write_text(parts.read_text().replace("000002.jpg,0", "000002.jpg,7"))
    with pytest.raises(ValueError, match=r"partition.csv holds 7 .* in row 4"):
        load_celeba(folder, missing="ignore")
    with pytest.raises(ValueError, match="target and attribute are both 'Male'"):
        load_celeba(folder, target="Male", missing="ignore")


def test_celeba_says_that_a_table_is_cut(tmp_path):
    folder = celeba(tmp_path, "csv")
    table = folder / "list_attr_celeba.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.warns(UserWarning, match="lacks 1 of the 5 images of .* 000005.jpg"):
        assert len(load_celeba(folder, missing="ignore")) == 4


# MetaShift --------------------------------------------------------------------------


def test_metashift_mixed(tmp_path):
    folder = tmp_path / "MetaShift-subpopulation-shift"
    groups = {"1": ["cat(indoor)"], "2": ["cat(outdoor)"], "3": ["dog(outdoor)"]}
    groups |= {"4": ["dog(indoor)"], "5": ["cat(indoor)"]}
    for name in ("train/cat/1", "train/cat/2", "train/dog/3"):
        picture(folder / f"{name}.jpg")
    for name in ("val_out_of_domain/dog/4", "val_out_of_domain/cat/5"):
        picture(folder / f"{name}.jpg")
    (folder / "imageID_to_group.pkl").write_bytes(pickle.dumps(groups))
    data = load_metashift(tmp_path)
    assert [Path(path).stem for path in data.X] == ["1", "2", "3", "5", "4"]
    assert data.y.tolist() == ["cat", "cat", "dog", "cat", "dog"]
    assert data.attribute.tolist() == [groups[Path(p).stem][0][4:-1] for p in data.X]
    assert data.disambiguating.tolist() == [False, True, False, False, True]
    assert data.split.tolist() == ["train"] * 3 + ["test"] * 2

    # The script makes links, which may lead nowhere.
    try:
        os.symlink(tmp_path / "gone.jpg", folder / "train" / "cat" / "5.jpg")
    except OSError:
        pytest.skip("no links here")
    with pytest.raises(FileNotFoundError, match="1 of 6 images"):
        load_metashift(folder)
    with pytest.warns(UserWarning, match="1 of 6 images"):
        assert len(load_metashift(folder, missing="drop")) == 5
    (folder / "train" / "cat" / "5.jpg").unlink()

    picture(folder / "train" / "cat" / "99.jpg")
    with pytest.raises(ValueError, match=r"place of .*99\.jpg is unknown: .*not list"):
        load_metashift(folder)
    (folder / "imageID_to_group.pkl").unlink()
    with pytest.raises(ValueError, match=r"1\.jpg is unknown: .* is missing"):
        load_metashift(folder)


def test_metashift_by_folders(tmp_path):
    picture(tmp_path / "train" / "cat" / "cat(indoor)" / "1.jpg")
    picture(tmp_path / "train" / "dog" / "dog(outdoor)" / "2.jpg")
    with pytest.raises(FileNotFoundError, match="one of the folders val_out_of_domain"):
        load_metashift(tmp_path)
    picture(tmp_path / "test" / "cat" / "cat(outdoor)" / "3.jpg")
    picture(tmp_path / "test" / "dog" / "dog(indoor)" / "4.jpg")
    data = load_metashift(tmp_path)
    assert data.disambiguating.tolist() == [False, False, True, True]
    picture(tmp_path / "test" / "dog" / "dog(shelf)" / "5.jpg")
    with pytest.raises(ValueError, match=r"in the group 'dog\(shelf\)'"):
        load_metashift(tmp_path)


def test_metashift_runs_no_code_from_the_pickle(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    for part in ("train", "test"):
        picture(tmp_path / part / "cat" / "1.jpg")
        picture(tmp_path / part / "dog" / "2.jpg")
    (tmp_path / "imageID_to_group.pkl").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ValueError, match="wants to import"):
        load_metashift(tmp_path)
    assert not (tmp_path / "attacked").exists()


def test_metashift_that_was_copied_in_part(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"):
        picture(tmp_path / name)
    groups = {"1": ["dog(outdoor)", "cat(indoor)"], "2": "dog(outdoor)"}
    groups |= {"3": ["cat(outdoor)"], "4": ["dog(indoor)"]}
    table = tmp_path / "imageID_to_group.pkl"
    table.write_bytes(pickle.dumps(groups))
    with pytest.raises(FileNotFoundError, match=r"test.dog has no pictures; was every"):
        load_metashift(tmp_path)
    picture(tmp_path / "test" / "dog" / "4.jpg")
    assert load_metashift(tmp_path).disambiguating.tolist() == [False] * 2 + [True] * 2
    (tmp_path / "train" / "dog" / "2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"train.dog has no pictures"):
        load_metashift(tmp_path)
    table.write_bytes(pickle.dumps({"1": ["cat(outdoor)", "cat(indoor)"]}))
    with pytest.raises(ValueError, match=r"'1' in the groups cat\(outdoor\) and cat"):
        load_metashift(tmp_path)


@pytest.mark.parametrize("entry", [5, {"a": 1}, [5], None, []])
def test_metashift_names_odd_groups(tmp_path, entry):
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"):
        picture(tmp_path / name)
    table = tmp_path / "imageID_to_group.pkl"
    table.write_bytes(pickle.dumps({"1": entry}))
    with pytest.raises(ValueError, match=r"cat.1\.jpg (is in the group|is unknown)"):
        load_metashift(tmp_path)
