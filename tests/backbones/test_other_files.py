"""Files that are given as checkpoints and are something else."""

import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from modal_pretrain import BackboneWeightsError, create_backbone


def _exported(path):
    example = (torch.zeros(2, 3),)
    with open(path, "wb") as file:
        torch.export.save(torch.export.export(nn.Linear(3, 2), example), file)


def _arrays(path):
    with open(path, "wb") as file:
        np.savez(file, kernel=np.ones(3))


def _zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.pth", b"weights")


def _xml(path):
    path.write_text("<?xml version='1.0'?><net></net>")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_exported, "it is an exported program. Save its weights alone"),
        (_arrays, "it holds arrays of NumPy"),
        (_zipped, "a zip archive that holds 'weights.pth'. Unpack it"),
        (_xml, "it is XML, such as OpenVINO's"),
    ],
)
def test_it_is_said_what_a_file_is(tmp_path, make, words):
    path = tmp_path / "weights.pt"
    make(path)
    with pytest.raises(BackboneWeightsError, match=words) as caught:
        create_backbone("resnet10t", path)
    assert "download it again" not in str(caught.value)


def test_an_argument_that_the_architecture_has_not(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(create_backbone("resnet10t", False).state_dict(), path)
    with pytest.raises(BackboneWeightsError, match=r"'nope'\. Leave that argument out"):
        create_backbone("resnet10t", path, nope=1)
