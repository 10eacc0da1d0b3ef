"""The benchmark: which model and which query strategy need how many labels."""

from modal_pretrain.benchmark.config import BenchmarkConfig
from modal_pretrain.benchmark.loop import run_unit
from modal_pretrain.benchmark.records import RecordStore
from modal_pretrain.benchmark.runner import run
from modal_pretrain.benchmark.summary import curves, summarise

__all__ = [
    "BenchmarkConfig",
    "RecordStore",
    "curves",
    "run",
    "run_unit",
    "summarise",
]
