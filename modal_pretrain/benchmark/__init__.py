"""The benchmark: which model and which query strategy need how many labels."""

from typing import TYPE_CHECKING

from modal_pretrain._lazy import attach

if TYPE_CHECKING:
    from modal_pretrain.benchmark.config import BenchmarkConfig
    from modal_pretrain.benchmark.folder import load, open_stores
    from modal_pretrain.benchmark.loop import run_unit
    from modal_pretrain.benchmark.records import DamagedRecords
    from modal_pretrain.benchmark.runner import run
    from modal_pretrain.benchmark.settings import expand
    from modal_pretrain.benchmark.store import RecordStore

__all__ = [
    "BenchmarkConfig",
    "DamagedRecords",
    "RecordStore",
    "expand",
    "load",
    "open_stores",
    "run",
    "run_unit",
]

__getattr__, __dir__ = attach(__name__)
