"""What a benchmark ran on: versions, hardware and command, kept beside its records."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import joblib
import torch

PACKAGES = (
    "modal_pretrain",
    "modAL-python",
    "torch",
    "timm",
    "skorch",
    "scikit-learn",
    "numpy",
    "pandas",
    "pillow",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "openvino",
)


def describe_environment() -> dict[str, Any]:
    """Return versions, hardware and the time; nothing that names user or machine."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "hardware": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": joblib.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "gpus": [
                torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
            ],
        },
    }


def command_line() -> str:
    """Return how this process was called, as one can type it."""
    name, *arguments = sys.argv
    words = [os.path.basename(name) or "python", *arguments]
    if words[0] == "__main__.py":
        # `python -m` keeps which one: modal_pretrain, or modal_pretrain.benchmark.
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec else "modal_pretrain.benchmark.__main__"
        words[:1] = ["python", "-m", module.removesuffix(".__main__")]
    return shlex.join(words)


def _versions() -> dict[str, str]:
    installed = {name: list(metadata.distributions(name=name)) for name in PACKAGES}
    return {name: found[0].version for name, found in installed.items() if found}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
