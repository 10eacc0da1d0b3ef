"""load_folder."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.datasets import load_folder, make_reviews, make_shapes
from modal_pretrain.labelling.file_pool import FilePool
from tests.datasets.trees import fill


def test_folder_with_drawn_splits(tmp_path):
    fill(tmp_path, *(f"cat/{i}.png" for i in range(10)))
    fill(tmp_path, *(f"dog/more/{i}.JPG" for i in range(10)))
    (tmp_path / "dog" / "Thumbs.db").touch()
    (tmp_path / ".hidden").mkdir()
    data = load_folder(tmp_path)
    assert data.name == tmp_path.name
    assert data.X[0] == str(tmp_path / "cat" / "0.png")
    assert data.y.tolist() == ["cat"] * 10 + ["dog"] * 10
    for label in ("cat", "dog"):
        assert (data.split[data.y == label] == "test").sum() == 2
    np.testing.assert_array_equal(load_folder(tmp_path).split, data.split)
    assert len(load_folder(tmp_path, test_size=0).subset("train")) == 20


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "#recycle"])
def test_what_systems_keep_among_pictures_is_no_picture(tmp_path, name):
    fill(tmp_path, "cat/1.png", "cat/2.png", "dog/3.png")
    fill(tmp_path, f"cat/{name}/1.png/SYNOPHOTO_THUMB_M.jpg", f"{name}/cat/4.png")
    data = load_folder(tmp_path, test_size=0)
    assert [Path(path).name for path in data.X] == ["1.png", "2.png", "3.png"]
    assert set(data.y) == {"cat", "dog"}
    assert len(FilePool.below(tmp_path)) == 3


def test_drives_without_inodes_have_pictures(tmp_path, monkeypatch):
    fill(tmp_path, "cat/in/1.png", "cat/2.png", "dog/3.png")
    (tmp_path / "dog" / "again").symlink_to(tmp_path / "dog")
    stat = os.stat

    def without(path, **kwargs):
        found = stat(path, **kwargs)
        return os.stat_result([*found[:1], 0, *found[2:]])

    monkeypatch.setattr(os, "stat", without)
    with pytest.warns(UserWarning, match="1 files or links"):
        data = load_folder(tmp_path, test_size=0)
    assert [Path(path).name for path in data.X] == ["2.png", "1.png", "3.png"]
    assert len(FilePool.below(tmp_path)) == 3


def test_folder_with_splits_and_attributes(tmp_path):
    fill(tmp_path, "train/cat/in/1.png", "train/cat/in/2.png", "train/dog/out/3.png")
    fill(tmp_path, "VAL/cat/out/deep/4.png", "VAL/dog/out/5.png")
    data = load_folder(tmp_path, attribute="folder", attribute_name="place")
    assert data.split.tolist() == [
        "validation",
        "validation",
        "train",
        "train",
        "train",
    ]
    assert data.attribute.tolist() == ["out", "out", "in", "in", "out"]
    assert data.disambiguating.tolist() == [True, False, False, False, False]
    # The same folders, taken for classes.
    with pytest.warns(UserWarning, match="takes the folders .* for classes"):
        taken = load_folder(tmp_path, split="random", test_size=0)
    assert set(taken.y) == {"train", "VAL"}
    fill(tmp_path, "VAL/cat/6.png")
    with pytest.raises(
        ValueError, match=r"VAL.cat.6\.png lies in its class folder itself; move"
    ):
        load_folder(tmp_path, attribute="folder")


def test_folder_attributes_from_names(tmp_path):
    fill(tmp_path, "cat/cam1_a.png", "cat/cam2_b.png", "dog/cam2_c.png")
    by_pattern = load_folder(tmp_path, attribute=re.compile(r"/(cam\d)_"))
    assert by_pattern.attribute.tolist() == ["cam1", "cam2", "cam2"]
    seen = []
    by_function = load_folder(
        tmp_path, attribute=lambda path: seen.append(path) or int(path[7])
    )
    assert seen == ["cat/cam1_a.png", "cat/cam2_b.png", "dog/cam2_c.png"]
    assert by_function.attribute.tolist() == [1, 2, 2]
    with pytest.raises(ValueError, match=r"finds no attribute in 'cat/cam1_a\.png'"):
        load_folder(tmp_path, attribute=re.compile("(night)"))
    with pytest.raises(ValueError, match=r"cam1_a\.png'; put parentheses around the"):
        load_folder(tmp_path, attribute=re.compile("cam1|cam2"))
    with pytest.raises(ValueError, match="attribute must be 'folder', a compiled"):
        load_folder(tmp_path, attribute="subfolder")


def test_folder_says_what_it_leaves_out(tmp_path):
    fill(tmp_path, "train/cat/1.png", "test/cat/2.png", "stray.png", "train/stray.png")
    (tmp_path / "train" / "cat" / "labels.txt").touch()
    with pytest.warns(
        UserWarning, match=r"3 files or links below .* left out"
    ) as caught:
        data = load_folder(tmp_path)
    assert caught[0].filename == __file__
    assert data.split.tolist() == ["test", "train"]


def test_folder_split_names(tmp_path):
    fill(tmp_path, "pool/cat/1.png", "late/cat/2.png")
    names = {"pool": "train", "late": "test"}
    data = load_folder(tmp_path, split_names=names)
    assert data.split.tolist() == ["test", "train"]
    assert set(load_folder(tmp_path, test_size=0).y) == {"pool", "late"}
    with pytest.raises(ValueError, match=r"folder .* holds 'late' in 1 rows"):
        load_folder(tmp_path, split="folder")


@pytest.mark.parametrize(
    ("names", "kwargs", "match"),
    [
        ("train tets", {}, "'tets', 'train'.*'tets' is not .* 'test' meant.*random"),
        ("trian tets", {}, "'tets', 'trian'.*'tets' is not the name of a split"),
        ("train_images test_images", {}, r"'test' meant.*_images': 'test', \.\.\."),
        ("training_set test_set", {}, "'test_set' is not the name"),
        ("seg_pred seg_train seg_test", {}, "'seg_pred' is not the name of a split"),
        ("trainset testset", {}, "'testset' is not the name of a split"),
        ("TrainImages TestImages", {}, "'TestImages' is not .* 'test' meant"),
        ("DataTrain DataTest", {}, "'DataTest' is not the name of a split"),
        ("traindata testdata", {}, "'testdata' is not the name of a split"),
        ("train2017 val2017", {}, "'train2017' is not the name of a split"),
        ("train test notes", {}, "'notes', 'test', 'train'.*'notes' is not the name"),
        ("test val", {}, r"'test', 'val'.*no folder of training data \('train'\)"),
        ("val", {}, "'val'.*no folder of training data"),
        ("train", {}, r"'train'.*no folder of other data \('val' or 'test'\)"),
        (
            "train val",
            {"split_names": {"train": "train", "tets": "test"}},
            "no.*'tets'",
        ),
        ("a b", {"split_names": {"a": "train"}}, "'a', 'b': 'b' is not in split_names"),
        ("a", {"split_names": {"a": "train"}, "split": "random"}, "one of the two"),
        ("a", {"split_names": {"a": "training"}}, "split_names maps to 'training'"),
    ],
)
def test_folders_that_are_no_complete_splits(tmp_path, names, kwargs, match):
    fill(
        tmp_path, *(f"{name}/{label}/1.png" for name in names.split() for label in "ab")
    )
    with pytest.raises(ValueError, match=match):
        load_folder(tmp_path, **kwargs)


@pytest.mark.parametrize(
    "names", ["train test1", "trainA trainB testA testB", "Train Test sample"]
)
def test_splits_without_classes_are_not_taken_for_classes(tmp_path, names):
    # As archives of competitions have them, with the classes in the files' names.
    fill(tmp_path, *(f"{name}/cat.{i}.png" for name in names.split() for i in "12"))
    with pytest.raises(ValueError, match="is not the name of a split"):
        load_folder(tmp_path)
    assert set(load_folder(tmp_path, split="random").y) == set(names.split())


def test_folders_that_say_what_they_are(tmp_path):
    fill(tmp_path, "train/a/1.png", "train/b/2.png")
    assert set(load_folder(tmp_path, split="folder").split) == {"train"}
    assert set(load_folder(tmp_path, split="random").y) == {"train"}
    # Vehicles, and what somebody thinks of them: pictures lie in the folders.
    for names in ("train bus", "valid invalid", "rest text best", "dev ops"):
        root = tmp_path / names
        fill(root, *(f"{name}/{i}.png" for name in names.split() for i in range(2)))
        assert set(load_folder(root).y) == set(names.split())
    # So are these, though folders lie in them.
    for names in ("trainStation bus", "brain valve lung", "test_tube flask"):
        root = tmp_path / names
        fill(root, *(f"{n}/{n}{i}/1.png" for n in names.split() for i in range(2)))
        assert set(load_folder(root).y) == set(names.split())


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("names", ["cat dog", "images"])
def test_splits_below_classes_are_not_mixed_in_silence(tmp_path, names):
    parts = ("Train", "test", "masks")
    fill(
        tmp_path, *(f"{name}/{part}/1.png" for name in names.split() for part in parts)
    )
    with pytest.raises(ValueError, match=r"splits 'Train', 'test' below.*'random'"):
        load_folder(tmp_path)
    assert set(load_folder(tmp_path, split="random").y) == set(names.split())
    fill(tmp_path, "other/1.png")  # parts of two classes among others are no splits
    assert "other" in load_folder(tmp_path).y


def test_splits_below_some_classes_are_not_mixed_in_silence(tmp_path):
    fill(tmp_path, "cat/train/1.png", "cat/test/2.png", "dog/train/3.png")
    with pytest.raises(ValueError, match=r"splits 'test', 'train' below.*'random'"):
        load_folder(tmp_path)


def test_a_link_where_one_may_not_look(tmp_path, monkeypatch):
    fill(tmp_path, "a/1.png")
    (tmp_path / "b").symlink_to("a")
    look = os.stat

    def refused(path, **kwargs):
        if str(path) == str(tmp_path / "b"):
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, **kwargs)

    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(PermissionError, match=r"may not look where .* remove.*b'"):
        load_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_but_nothing_comes_twice(tmp_path):
    fill(tmp_path, "far/deep/7.png", "root/cat/1.png", "root/cat/in/2.png")
    fill(tmp_path, "root/dog/3.png")
    root = tmp_path / "root"
    for place, target in {
        "cat/to_root": root,
        "cat/to_itself": root / "cat",
        "dog/to_the_other_class": root / "cat",
        "cat/in/up": root / "cat" / "in",
        "cat/far": tmp_path / "far",
        "cat/far_again": tmp_path / "far" / "deep",
    }.items():
        (root / place).symlink_to(target)
    os.mkdir(tmp_path / "far" / "deep" / "x")
    os.link(root / "cat" / "1.png", root / "cat" / "same.png")
    os.symlink(root / "cat" / "1.png", root / "cat" / "same_too.png")
    with pytest.warns(
        UserWarning, match=r"7 files or links below .* first .*same\.png"
    ):
        data = load_folder(root)
    names = [Path(path).relative_to(root).as_posix() for path in data.X]
    assert names == [
        "cat/1.png",
        "cat/far_again/7.png",
        "cat/in/2.png",
        "dog/3.png",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_one_picture_in_two_splits_is_an_error(tmp_path, link):
    fill(tmp_path, "train/cat/1.png", "test/cat/2.png")
    link(tmp_path / "train" / "cat" / "1.png", tmp_path / "test" / "cat" / "3.png")
    with pytest.raises(ValueError, match=r"3\.png.* and .*1\.png are one picture"):
        load_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_what_is_no_file_is_not_listed(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/2.png", "dog/folder.png/3.png")
    os.mkfifo(tmp_path / "cat" / "fifo.png")
    (tmp_path / "cat" / "nowhere.png").symlink_to(tmp_path / "absent.png")
    (tmp_path / "cat" / "itself.png").symlink_to("itself.png")
    with pytest.warns(
        UserWarning, match=r"3 files or links below .* first .*fifo\.png"
    ):
        data = load_folder(tmp_path)
    names = [Path(path).relative_to(tmp_path).as_posix() for path in data.X]
    assert names == ["cat/1.png", "dog/2.png", "dog/folder.png/3.png"]
    (tmp_path / "cat" / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat has no .* nowhere: .*annex get"):
        load_folder(tmp_path)
    fill(tmp_path, "cat/1.png")
    (tmp_path / "dog" / "2.png").unlink()
    (tmp_path / "dog" / "folder.png" / "3.png").unlink()
    os.mkfifo(tmp_path / "dog" / "fifo.png")
    with pytest.raises(FileNotFoundError, match="dog has no pictures"):
        load_folder(tmp_path)


def test_folder_refuses(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="has no folders"):
        load_folder(tmp_path)
    fill(tmp_path, "cat/1.png")
    with pytest.raises(ValueError, match="split must be auto, folder or random"):
        load_folder(tmp_path, split="drawn")
    (tmp_path / "dog").mkdir()
    with pytest.raises(FileNotFoundError, match="dog has no pictures"):
        load_folder(tmp_path)
    os.rename(tmp_path / "cat", tmp_path / "train")
    os.rename(tmp_path / "dog", tmp_path / "test")
    with pytest.raises(
        FileNotFoundError, match="has no class folders; with split='rand"
    ):
        load_folder(tmp_path)


@pytest.mark.parametrize("level", ["", "train"])
@pytest.mark.parametrize("other", ["cafe\u0301", "caf\u00e9 "])
def test_folders_that_look_alike(tmp_path, level, other):
    # Two classes, of which people see one; or a class that only the test split has.
    for place in (
        tmp_path / level / "caf\u00e9",
        tmp_path / (level and "test") / other,
    ):
        place.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(place / f"{place.parent.name}.png")
    with pytest.raises(ValueError, match=r"class folders 'caf.*kinds of accents"):
        load_folder(tmp_path)


def test_a_class_with_another_spelling_in_another_split(tmp_path):
    fill(tmp_path, "train/redfox/1.png", "train/dog/2.png", "test/red fox/3.png")
    fill(tmp_path, "test/dog/4.png")
    with pytest.warns(UserWarning, match="1 of 2 rows of .* 'red fox', ") as caught:
        data = load_folder(tmp_path)
    assert caught[0].filename == __file__
    assert set(data.subset("test").y) == {"red fox", "dog"}
    fill(tmp_path, "test/wolf/5.png", "train/red fox/6.png", "val/hyena/7.png")
    with pytest.warns(UserWarning, match="2 of 4 .* 2 classes, such as 'hyena', of "):
        load_folder(tmp_path)


def test_a_class_with_other_capitals_in_another_split(tmp_path):
    # It would be two classes, one without a training picture and one without a test.
    fill(tmp_path / "a", "train/cat/1.png", "train/dog/2.png", "test/Cat/3.png")
    with pytest.raises(ValueError, match=r"folders '.at' and '.at'.* capitals"):
        load_folder(tmp_path / "a")
    # Letters are classes, which one split has both of.
    fill(tmp_path / "b", "train/a/1.png", "train/A/2.png", "test/A/3.png")
    assert load_folder(tmp_path / "b").classes.tolist() == ["A", "a"]
    fill(tmp_path / "c", "a/1.png", "A/2.png")
    assert load_folder(tmp_path / "c").classes.tolist() == ["A", "a"]


@pytest.mark.parametrize("level", ["", "train"])
def test_capitals_alone_tell_classes_or_attributes_apart(tmp_path, level):
    # Two people's folders copied into one, on a system that tells cases apart.
    fill(tmp_path / level, "cat/1.png", "Cat/2.png", "cat/3.png", "dog/in/4.png")
    params = {"split": "folder"} if level else {}
    message = r"folders 'Cat' \(1 pictures\) and 'cat' \(2 pictures\) of .* capitals"
    with pytest.warns(UserWarning, match=message) as caught:
        assert len(load_folder(tmp_path, **params).classes) == 3
    assert caught[0].filename == __file__
    fill(tmp_path / "more", "owl/In/1.png", "elk/in/2.png")
    with pytest.warns(UserWarning, match=r"attributes '.n' \(1 pic.* capitals, ap"):
        load_folder(tmp_path / "more", attribute="folder")


@pytest.mark.parametrize(
    "rule", ["folder", re.compile("/([^/]+)/"), lambda path: path.split("/")[1]]
)
@pytest.mark.parametrize("other", ["cafe\u0301", "caf\u00e9 "])
def test_attributes_that_look_alike(tmp_path, rule, other):
    # Half of the pictures were unpacked elsewhere: groups of which people see one.
    fill(tmp_path, "cat/caf\u00e9/1.png", f"dog/{other}/2.png", "dog/out/3.png")
    with pytest.raises(ValueError, match=r"attributes 'caf.*kinds of accents"):
        load_folder(tmp_path, attribute=rule)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: load_folder(""), "root is empty"),
        (lambda path: load_folder(path, attribute=5), "attribute must be 'folder'"),
        (lambda path: load_folder(path, random_state="a"), "random_state must be"),
        (lambda path: load_folder(path, random_state=-1), "random_state must be"),
        (lambda path: make_shapes(difficulty="x"), "difficulty must be in"),
        (lambda path: make_shapes(size="x"), "size must be in"),
        (lambda path: make_shapes(random_state="x"), "random_state must be"),
        (lambda path: make_reviews(specific="x"), "specific must be in"),
        (lambda path: make_reviews(random_state=-1), "random_state must be"),
    ],
)
def test_arguments_of_loaders_are_named(tmp_path, call, message):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    with pytest.raises((TypeError, ValueError), match=message):
        call(tmp_path)


@pytest.mark.parametrize("path", [5, None, b"data"])
def test_what_is_no_path(path):
    with pytest.raises(TypeError, match="root must be a path, got"):
        load_folder(path)


def test_folder_split_names_that_are_none(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"split_names must say what .* got 'train'"):
        load_folder(tmp_path, split_names="train")


def test_folders_that_differ_in_apostrophes_are_warned_of(tmp_path):
    for name in ("Cooper's hawk/a.png", "Cooper\u2019s hawk/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"hawk' \(1 pictures\) of .* apostrophes"):
        assert len(load_folder(tmp_path, test_size=0).classes) == 2


def test_folders_that_differ_in_underscores_are_warned_of(tmp_path):
    fill(tmp_path, "red fox/a.png", "red_fox/b.png")
    with pytest.warns(UserWarning, match="underscores or width only"):
        assert len(load_folder(tmp_path, test_size=0).classes) == 2


def test_pictures_of_phones_that_are_left_out_are_counted(tmp_path):
    fill(tmp_path, "cat/a.png", "dog/b.png")
    for name in ("cat/a.aae", "cat/c.heic", "dog/d.HEIC"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"among them 2 pictures of kinds .*\.heic"):
        load_folder(tmp_path, test_size=0)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl" / "e.heic").touch()
    with pytest.raises(FileNotFoundError, match="has no pictures but 1 picture of"):
        load_folder(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_to_pictures_that_are_not_there_are_counted(tmp_path):
    fill(tmp_path, "cat/1.png", "dog/2.png")
    for i in range(3, 5):
        (tmp_path / "dog" / f"{i}.png").symlink_to(f"../store/{i}")
    words = r"among them 2 links to a picture that is not there, such as '3.png' \(fet"
    with pytest.warns(UserWarning, match=words):
        assert len(load_folder(tmp_path)) == 2


@pytest.mark.parametrize(
    "name",
    ["cat - Copy", "cat - Copy (2)", "cat copy", "cat (1)", "cat (3rd copy)"],
)
def test_a_class_folder_named_as_a_copy(tmp_path, name):
    fill(tmp_path, "cat/1.png", "dog/2.png", f"{name}/1.png")
    with pytest.warns(UserWarning, match="is named as a copy of 'cat'"):
        load_folder(tmp_path, test_size=0)
