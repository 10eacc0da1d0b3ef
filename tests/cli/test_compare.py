"""``modal-pretrain compare``: from a folder and labels to a recommendation."""

import os

import numpy as np
import pytest
from PIL import Image

from modal_pretrain.cli.main import main

SMALL = ["--backbone", "tf_efficientnet_lite0@32"]


@pytest.fixture
def folder(tmp_path):
    lines = ["item,label,place"]
    for i in range(12):
        name = f"{'ab'[i % 2]}/{i}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shade = np.full((16, 16, 3), 40 + 150 * (i % 2) + i, np.uint8)
        Image.fromarray(shade).save(tmp_path / name)
        lines.append(f"{name},{'ab'[i % 2]},{'land' if i < 6 else ''}")
    # Corrected, and taken back: the last line of an item counts.
    lines[1:1] = ["a/0.png,b,land"]
    lines += ["b/11.png,,"]
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(lines))
    (tmp_path / "twice.csv").write_text("item,label,label\na/0.png,a,b\n")
    spelt = [f"{'ab'[i % 2]}/{i}.png,{i % 2}{'.0' * (i > 9)}" for i in range(12)]
    (tmp_path / "spelt.csv").write_text("\n".join(["item,label", *spelt]))
    spaced = [f"{'ab'[i % 2]}/{i}.png,{'ab'[i % 2]}{' ' * (i > 9)}" for i in range(12)]
    (tmp_path / "spaced.csv").write_text("\n".join(["item,label", *spaced]))
    places = [
        f"{'ab'[i % 2]}/{i}.png,{'ab'[i % 2]},x{' ' * (i > 9)}" for i in range(12)
    ]
    (tmp_path / "places.csv").write_text("\n".join(["item,label,place", *places]))
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_labels_of_a_file(folder, capsys):
    arguments = ["compare", str(folder), "--labels", str(folder / "labels.csv")]
    assert main([*arguments, *SMALL, "--group", "place"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("11 labels of 2 classes")
    assert "worst group" in out
    assert "tf_efficientnet_lite0 at 32 px  " in out
    assert "Take tf_efficientnet_lite0 at 32 px" in out


def test_a_class_may_be_called_none(folder, capsys):
    table = (folder / "labels.csv").read_text().replace(",a,", ",None,")
    (folder / "labels.csv").write_text(table)
    arguments = ["compare", str(folder), "--labels", str(folder / "labels.csv")]
    assert main([*arguments, *SMALL]) == 0
    assert capsys.readouterr().out.startswith("11 labels of 2 classes")


def test_no_picture_is_in_two_folds(folder, capsys):
    with open(folder / "labels.csv", "a") as file:
        file.write("\n./a/2.png,a,land\nb/../a/4.png,a,land")
    arguments = ["compare", str(folder), "--labels", str(folder / "labels.csv")]
    assert main([*arguments, *SMALL]) == 0
    assert capsys.readouterr().out.startswith("11 labels of 2 classes")


def test_a_folder_per_class(folder, capsys):
    with pytest.warns(UserWarning, match="6 files or links below"):
        assert main(["compare", str(folder), *SMALL]) == 0
    assert capsys.readouterr().out.startswith("12 labels of 2 classes")


def test_class_folders_that_would_be_one_or_none(folder, capsys):
    """Each would change the classes without a word."""
    (folder / "a ").mkdir()
    (folder / "a " / "0.png").write_bytes((folder / "a" / "0.png").read_bytes())
    assert main(["compare", str(folder), *SMALL]) == 2
    assert "'a' and 'a '" in capsys.readouterr().err
    (folder / "a " / "0.png").rename(folder / "a " / "0.heic")
    (folder / "a ").rename(folder / "c")
    assert main(["compare", str(folder), *SMALL]) == 2
    assert "has no pictures" in capsys.readouterr().err
    (folder / "c" / "0.png").symlink_to(folder / "a" / "0.png")
    assert main(["compare", str(folder), *SMALL]) == 2
    assert "are one picture" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["item path", "path item"])
def test_a_column_may_be_called_path(folder, names, capsys):
    lines = (folder / "labels.csv").read_text("utf-8-sig").split("\n")[2:]
    if names == "path item":
        lines = [",".join(line.split(",")[1::-1]) for line in lines]
    else:
        lines = [",".join(line.split(",")[:2]) for line in lines]
    header = "item,path"
    (folder / "p.csv").write_text("\n".join([header, *lines]))
    arguments = ["compare", str(folder), "--labels", str(folder / "p.csv")]
    with pytest.warns(UserWarning, match=r"several labels .*b/11.png \('b', ''\)"):
        assert main([*arguments, "--columns", *names.split(), *SMALL]) == 0
    assert capsys.readouterr().out.startswith("11 labels of 2 classes")


@pytest.mark.parametrize("header", ["item,label", "file,kind"])
def test_a_table_by_hand_may_spell_paths_its_own_way(folder, header, capsys):
    """A spreadsheet has one letter where macOS has two, or Windows' separators."""
    lines = [header]
    for i in range(12):
        label = "ab"[i % 2]
        here = folder / label / f"{i}.png"
        here.rename(here.with_name(f"a\u0308{i}.png"))
        lines.append(f"{label}{'/' if i < 6 else chr(92)}\u00e4{i}.png,{label}")
    (folder / "hand.csv").write_text("\n".join(lines), "utf-8")
    arguments = ["compare", str(folder), "--labels", str(folder / "hand.csv")]
    assert main([*arguments, "--columns", *header.split(","), *SMALL]) == 0
    assert capsys.readouterr().out.startswith("12 labels of 2 classes")


@pytest.mark.parametrize("names", [("train", "test"), ("train", "tets"), ("train",)])
def test_folders_of_splits_are_no_classes(folder, names, capsys):
    for name in names:
        (folder / "data" / name).mkdir(parents=True)
        for label in "ab":
            (folder / "data" / name / label).symlink_to(folder / label)
    assert main(["compare", str(folder / "data"), *SMALL]) == 2
    assert "'train', which look like splits and not" in capsys.readouterr().err
    assert main(["compare", str(folder / "data" / "train"), *SMALL]) == 0


@pytest.mark.filterwarnings("ignore:6 files or links")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/nowhere"], "there is no folder"),
        (["{}/a"], "pictures are expected in one folder for each class"),
        (["{}", "--group", "place"], "--group names a column of --labels"),
        (["{}", "--columns", "item", "label"], "--columns names those of --labels"),
        (["{}", "--labels", "{}/none.csv"], "none.csv"),
        (["{}", "--labels", "{}/a/0.png"], "0.png is not in utf-8"),
        (["{}", "--labels", "{}/labels.csv", "--group", "x"], "has no column 'x'"),
        (["{}", "--labels", "{}/fifo"], "is a FIFO (named pipe), not a file"),
        (["{}", "--labels", "{}/twice.csv"], "has 2 columns 'label'"),
        (["{}", "--labels", "{}/spelt.csv"], "spells one label '0' and '0.0'"),
        (["{}", "--labels", "{}/spaced.csv"], "spells one label 'a' and 'a '"),
        (
            ["{}", "--labels", "{}/places.csv", "--group", "place"],
            "column 'place' of {}/places.csv spells one label 'x' and 'x '",
        ),
        (["{}", "--labels", "{}"], "is a directory, not a file"),
        (["{}", "--columns", "item", "item", "--labels", "{}"], "names 'item' twice"),
        ([""], "folder (or --folder) is empty"),
        (["{}/a", "--labels", "{}/labels.csv"], "names 11 files that are not in"),
        (["{}", "--backbone", "resnet18@big"], "write pixels after @"),
        (["{}", "--backbone", "none@32", "hf-hub:a/b@main@32"], "backbone='none' is"),
        (["{}", *SMALL, "--folds", "1"], "--folds must be a whole number"),
        (["{}", "--backbone", "resnet18@" + 5000 * "9"], "write pixels after @"),
        (["{}", "--backbone", "resnet18@\u0663\u0662"], "write pixels after @"),
    ],
)
def test_what_cannot_be_is_one_line(folder, arguments, message, capsys):
    assert main(["compare", *(a.replace("{}", str(folder)) for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message.replace("{}", str(folder)) in err
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("ignore:6 files or links")
@pytest.mark.parametrize("size", ["", "@32"])
def test_a_path_may_have_an_at_sign(folder, size, capsys):
    backbone = f"local-dir:{folder}/me@home/w{size}"
    assert main(["compare", str(folder), "--backbone", backbone]) == 2
    assert "me@home/w/config.json can't be read" in capsys.readouterr().err


def test_labels_of_a_session_go_with_what_the_pictures_hold(folder, capsys):
    """Somebody renames files after labelling: names then stand for others."""
    from modal_pretrain.cli.compare import _labelled
    from modal_pretrain.labelling.file_pool import FilePool
    from modal_pretrain.labelling.label_file import LabelFile
    from modal_pretrain.labelling.records import Record

    pool, path = FilePool.below(folder), folder / "session.csv"
    shades = {item: Image.open(folder / item).getpixel((0, 0)) for item in pool.names}
    file = LabelFile(path)
    for number, item in enumerate(pool.names, start=1):
        row, label = pool.find(item), "low" if shades[item][0] < 100 else "high"
        file.append([Record(number, item, label, content=pool.content(row))])
    file.close()
    (folder / "a" / "0.png").rename(folder / "kept.png")
    (folder / "b" / "1.png").rename(folder / "a" / "0.png")
    (folder / "kept.png").rename(folder / "b" / "1.png")
    (folder / "a" / "2.png").rename(folder / "moved.png")
    (folder / "b" / "3.png").write_bytes((folder / "b" / "5.png").read_bytes() + b"0")
    (folder / "b" / "7.png").unlink()
    with (
        pytest.warns(
            UserWarning, match=r"1 labels .* something else .* first b/3\.png"
        ),
        pytest.warns(UserWarning, match=r"1 labels .* any more, first b/7\.png"),
    ):
        X, y, groups = _labelled(folder, path, ("item", "label"), "status")
    assert len(set(X)) == 10
    assert str(folder / "moved.png") in X
    assert set(groups) == {"low / labelled", "high / labelled"}
    for picture, label in zip(X, y, strict=True):
        assert label == (
            "low" if Image.open(picture).getpixel((0, 0))[0] < 100 else "high"
        )
    head, *lines = path.read_text("utf-8-sig").splitlines()
    lines.append(lines[-1].replace("12,", "13,", 1).replace("high", "low"))
    path.write_text(
        "\n".join([head, *sorted(lines, key=lambda x: x.split(",")[2])[::-1]])
    )
    assert main(["compare", str(folder), "--labels", str(path), *SMALL]) == 2
    assert "as if the lines had been sorted" in capsys.readouterr().err


def test_the_last_answer_counts_where_lines_were_sorted(folder):
    """Of a picture that had another name before, so that each name has one line."""
    from modal_pretrain.cli.compare import _labelled
    from modal_pretrain.labelling.file_pool import FilePool

    pool, path = FilePool.below(folder), folder / "session.csv"
    content = [pool.content(row) for row in (0, 1)]
    path.write_text(
        "answer,item,label,content\n"
        f"2,{pool.names[0]},high,{content[0]}\n"
        f"3,{pool.names[1]},low,{content[1]}\n"
        f"1,called before.png,low,{content[0]}\n"
    )
    X, y, _ = _labelled(folder, path, ("item", "label"), None)
    assert dict(zip(X, y, strict=True)) == {
        str(folder / pool.names[0]): "high",
        str(folder / pool.names[1]): "low",
    }


def test_a_file_that_is_spelt_otherwise_is_named(folder, capsys):
    table = folder / "capitals.csv"
    table.write_text("file,label\na/0.PNG,x\nb/1.PNG,y\n")
    arguments = ["--labels", str(table), "--columns", "file", "label"]
    assert main(["compare", str(folder), *arguments, *SMALL]) == 2
    assert "names 2 files that are not in" in (said := capsys.readouterr().err)
    assert f"There is {str(folder / 'a/0.png')!r}, which differs" in said


@pytest.mark.parametrize("cell", [" ", "#N/A"])
def test_a_cell_without_a_value_is_no_label(folder, cell):
    from modal_pretrain.cli.compare import _labelled

    table = folder / "spaces.csv"
    table.write_text(
        f"file,label,site\na/0.png,x,{cell}\na/2.png,{cell},s\nb/1.png,y,s\n"
    )
    X, y, groups = _labelled(folder, table, ("file", "label"), "site")
    assert [path.removeprefix(f"{folder}/") for path in X] == ["a/0.png", "b/1.png"]
    assert (y.tolist(), groups.tolist()) == (["x", "y"], ["x / unknown", "y / s"])


def test_a_line_that_was_cut_off_does_not_count(folder):
    """A crash, or a folder that is synced, leaves half a line: 1 may have been 10."""
    from modal_pretrain.cli.compare import _labelled
    from modal_pretrain.labelling.label_file import LabelFile
    from modal_pretrain.labelling.records import Record

    path = folder / "session.csv"
    file = LabelFile(path)
    file.append([Record(1, "a/0.png", "1"), Record(2, "a/2.png", "10")])
    file.close()
    with path.open("a") as cut:
        cut.write("3,b/1.png,1")
    _, y, _ = _labelled(folder, path, ("item", "label"), None)
    assert y.tolist() == ["1", "10"]


def test_pictures_that_all_changed_have_no_label_of_a_session(folder, capsys):
    """Such as other frames of a camera that numbers them from 0 each day."""
    from modal_pretrain.labelling.file_pool import FilePool
    from modal_pretrain.labelling.label_file import LabelFile
    from modal_pretrain.labelling.records import Record

    pool, path = FilePool.below(folder), folder / "session.csv"
    file = LabelFile(path)
    for number, item in enumerate(pool.names, start=1):
        content = pool.content(pool.find(item))
        file.append([Record(number, item, item[0], content=content)])
    file.close()
    for item in pool.names:
        (folder / item).write_bytes((folder / item).read_bytes() + b"0")
    with pytest.warns(UserWarning, match="12 labels .* something else now"):
        assert main(["compare", str(folder), "--labels", str(path), *SMALL]) == 2
    assert "holds no label" in capsys.readouterr().err


def test_a_table_of_several_people_is_warned_of(folder, capsys):
    lines = (folder / "labels.csv").read_text().lstrip("\ufeff").splitlines()
    lines = [line.rpartition(",")[0] for line in lines[2:-1]]
    (folder / "people.csv").write_text("\n".join(["who said,what", *lines, *lines]))
    arguments = ["compare", str(folder), "--labels", str(folder / "people.csv")]
    arguments += ["--columns", "who said", "what", *SMALL]
    assert main(arguments) == 0  # they agree
    with open(folder / "people.csv", "a") as file:
        file.write("\nb/1.png,a\n./a/2.png,b\nb/3.png,\n")  # empty: no word of it
    with pytest.warns(UserWarning, match=r"3 files have several labels .* the last"):
        assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("12 labels") and "\n11 labels of 2 classes" in out


@pytest.mark.parametrize(
    ("column", "group"), [("label", []), ("place", ["--group", "place"])]
)
def test_words_that_differ_in_capitals_are_warned_of(folder, column, group):
    lines = ["item,label,place"]
    for i in range(12):
        word = {"label": "cd"[i % 2] * 2, "place": "land"}
        if i in (4, 6):
            word[column] = word[column].upper()
        lines.append(f"{'ab'[i % 2]}/{i}.png,{word['label']},{word['place']}")
    (folder / "labels.csv").write_text("\n".join(lines))
    arguments = ["compare", str(folder), "--labels", str(folder / "labels.csv")]
    said = f"column '{column}' of .* and '(CC|LAND)' .2 rows., which are two here"
    with pytest.warns(UserWarning, match=said):
        assert main([*arguments, *SMALL, *group]) == 0
