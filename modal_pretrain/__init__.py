"""Pretrained models and disambiguation-aware queries for modAL."""

__version__ = "0.1.0"
