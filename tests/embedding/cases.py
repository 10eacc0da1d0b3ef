"""Inputs and a network for the tests of embedding."""

import numpy as np
from torch import nn


def objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def large():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), Large())


class Large(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
        nn.init.constant_(self.weight, 1e5)
        nn.init.constant_(self.bias, 1e5)
