"""A parameter under another library's name, and what it is called here."""

from __future__ import annotations

import numpy as np
import pytest

from modal_pretrain import PretrainedClassifier
from modal_pretrain.training.other_names import HERE


@pytest.mark.parametrize(("other", "here"), sorted(HERE.items()))
def test_other_libraries_names_lead_to_those_of_here(other, here):
    X = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    classifier = PretrainedClassifier(**{other: 1})
    said = rf"no parameter '{other}'\. Did you mean '{here}'\?"
    with pytest.raises(TypeError, match=said):
        classifier.fit(X, [0, 1])


def test_they_are_parameters():
    params = PretrainedClassifier(module__dropout=0.5).get_params(deep=False)
    assert set(HERE.values()) <= set(params)


def test_what_is_no_name_elsewhere_is_found_by_its_letters():
    X = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    with pytest.raises(TypeError, match=r"'imgsize'\. Did you mean 'image_size'"):
        PretrainedClassifier(imgsize=32).fit(X, [0, 1])
