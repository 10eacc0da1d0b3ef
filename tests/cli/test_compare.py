"""``modal-pretrain compare``: from a folder and labels to a recommendation."""

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
    return tmp_path


def test_labels_of_a_file(folder, capsys):
    arguments = ["compare", str(folder), "--labels", str(folder / "labels.csv")]
    assert main([*arguments, *SMALL, "--group", "place"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("11 labels of 2 classes")
    assert "worst group" in out
    assert "tf_efficientnet_lite0 at 32 px  " in out
    assert "Take tf_efficientnet_lite0 at 32 px" in out


def test_a_folder_per_class(folder, capsys):
    assert main(["compare", str(folder), *SMALL]) == 0
    assert capsys.readouterr().out.startswith("12 labels of 2 classes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/nowhere"], "there is no folder"),
        (["{}/a"], "must hold a folder of pictures per class"),
        (["{}", "--group", "place"], "--group names a column of --labels"),
        (["{}", "--labels", "{}/none.csv"], "none.csv"),
        (["{}", "--labels", "{}/a/0.png"], "0.png is no CSV file"),
        (["{}", "--labels", "{}/labels.csv", "--group", "x"], "has no column 'x'"),
        (["{}/a", "--labels", "{}/labels.csv"], "names 11 files that are not in"),
        (["{}", "--backbone", "resnet18@big"], "write pixels after @"),
        (["{}", *SMALL, "--folds", "1"], "cv must be a whole number"),
    ],
)
def test_what_cannot_be_is_one_line(folder, arguments, message, capsys):
    assert main(["compare", *(a.replace("{}", str(folder)) for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
