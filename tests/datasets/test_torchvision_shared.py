"""Data that was given for two splits of from_torchvision."""

import warnings

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

from modal_pretrain.datasets import from_torchvision
from tests.datasets.test_torchvision_data import Cifar


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / name / f"{i}.png")
    return ImageFolder(tmp_path)


@pytest.mark.parametrize("rows, n", [(range(12), 6), (range(2, 8), 3)])
def test_files_that_train_has_are_warned_of(folder, rows, n):
    train = Subset(folder, range(0, 12, 2))
    with pytest.warns(UserWarning, match=rf"^{n} of {len(rows)} rows .*first '.*png'"):
        from_torchvision({"train": train, "test": Subset(folder, rows)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torchvision({"train": train, "test": Subset(folder, range(1, 12, 2))})


def test_the_training_set_given_twice(recwarn):
    from_torchvision({"train": Cifar(60), "test": Cifar(60)})
    (warning,) = recwarn
    assert str(warning.message).startswith("60 of 60 rows of cifar outside the train")
    assert warning.filename == __file__


def test_few_pictures_are_in_two_splits_of_published_sets():
    train, test = Cifar(60), Cifar(61)
    test.data[:3] = train.data[:3]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torchvision({"train": train, "test": test})
    test.data = np.concatenate([test.data[:4], train.data[:57]])
    with pytest.warns(UserWarning, match="60 of 61 rows"):
        from_torchvision({"train": train, "test": test})
