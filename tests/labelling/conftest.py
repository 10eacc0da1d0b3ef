"""Small pools to label, with a model that needs no network and no time."""

import numpy as np
import pytest
from PIL import Image

from modal_pretrain import PretrainedClassifier
from modal_pretrain.datasets import make_shapes
from modal_pretrain.labelling import LabelSession


@pytest.fixture(scope="session")
def shapes():
    """80 pictures with their labels."""
    return make_shapes(n_train=80, n_test=4, random_state=0).subset("train")


@pytest.fixture
def folder(shapes, tmp_path):
    """The same as files, 000.png and so on."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(shapes.X):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def truth(shapes):
    """Label of a row of the folder."""
    return lambda row: str(shapes.y[row])


@pytest.fixture
def start():
    """Open a session on the CPU; closed after the test."""
    opened = []

    def start(pool, classes=("circle", "square"), **params):
        params.setdefault(
            "estimator",
            PretrainedClassifier(image_size=32, device="cpu", precision="float32"),
        )
        session = LabelSession(pool, classes, **params)
        opened.append(session)
        return session

    yield start
    for session in opened:
        session.close()


def label(session, truth, n):
    """Answer n questions, one by one, with the model up to date."""
    for _ in range(n):
        session.wait(60)
        row = session.ask()[0].row
        session.answer(row, truth(row))
    session.wait(60)
    return session


def accuracy(session, y):
    """Share of the pool that the model has right."""
    return np.mean(session.predictions()["predicted"] == y)
