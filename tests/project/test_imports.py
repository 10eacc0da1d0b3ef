"""What imports what, and what importing the package does: nothing one could notice."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import modal_pretrain

PACKAGE = Path(modal_pretrain.__file__).parent
# What each folder (or module at the top) may import of the package, beside itself. An
# entry brings along what is below it. Nothing else is allowed, so this is the map.
BELOW = {
    "_blas": [],
    "_checks": [],
    "_decisive": ["_checks"],
    "_inputs": ["_checks"],
    "_disk": [],
    "_fork": [],
    "_functions": [],
    "_identity": [],
    "_lazy": [],
    "_progress": [],
    "_modalities": ["_checks"],
    "compat": ["_checks", "_disk"],
    "backbones": ["_checks", "_disk", "_fork", "_identity"],
    "images": ["_checks", "_fork", "_identity"],
    "cache": ["_checks", "_disk", "_fork"],
    "metrics": ["_inputs", "_lazy"],
    "reweighting": ["_blas", "_inputs"],
    "query": ["_blas", "_checks", "_fork", "_lazy", "metrics", "reweighting"],
    "stopping": ["query"],
    "embedding": ["_decisive", "_fork", "_progress", "backbones", "cache"],
    "modality": ["embedding", "_modalities"],
    # Composites are made of pictures as the package decodes them.
    "datasets": ["_functions", "_identity", "_modalities", "images", "query"],
    "training": ["reweighting", "modality"],
    "transformer": ["_inputs", "modality"],
    # Pictures and texts stand beside each other; what is below knows neither.
    "images.modality": ["images", "training"],
    "classifier": ["images.modality"],
    "encoder": ["images.modality", "transformer"],
    "text": ["training", "transformer"],
    "comparison": ["classifier"],
    "benchmark": ["classifier", "datasets", "compat", "stopping"],
    "labelling": ["classifier", "encoder", "text", "datasets", "stopping"],
    "cli": ["benchmark", "comparison", "encoder", "labelling"],
    "__init__": ["cli", "compat", "classifier", "encoder", "text", "_lazy"],
    "__main__": ["cli"],
    "benchmark.__main__": ["cli"],
}


def allowed(name):
    """Everything below a folder, at any depth."""
    found, todo = set(), list(BELOW[name])
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo += BELOW[other]
    return found


def top(path):
    """Name of the entry that a file belongs to: itself, its folder, or its module."""
    return place(path.relative_to(PACKAGE).with_suffix("").parts)


def place(parts):
    """Name of the entry for a dotted name inside the package, the longest there is."""
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in BELOW), names[-1])


def imports(path):
    """Everything that a file imports, as absolute dotted names with their lines."""
    package = ["modal_pretrain", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = package[: len(package) - node.level + 1]
                base = ".".join([*start, base] if base else start)
            if base == "modal_pretrain":  # from modal_pretrain import cache
                yield from (
                    (f"modal_pretrain.{alias.name}", node.lineno)
                    for alias in node.names
                )
            else:  # a name may be a module's
                yield from ((f"{base}.{a.name}", node.lineno) for a in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in FILES if path != PACKAGE / "__init__.py"]
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


def test_nothing_is_below_itself():
    assert not [name for name in BELOW if name in allowed(name)]


def test_every_module_has_its_place():
    assert {top(path) for path in FILES} <= BELOW.keys()


def test_the_map_has_no_cycle():
    for name in BELOW:
        assert name not in allowed(name)


@each_module
def test_imports_point_down(path):
    own = top(path)
    for name, line in imports(path):
        if name.split(".")[0] != "modal_pretrain":
            continue
        other = place(name.split(".")[1:]) if "." in name else None
        where = f"{path.name}:{line} imports {name}"
        assert other in BELOW, f"{where}: name the module, not the package"
        assert other == own or other in allowed(own), f"{where}, not below {own}"


@each_module
def test_heavy_packages_stay_in_their_place(path):
    names = {name.split(".")[0] for name, _ in imports(path)}
    inner = {
        name.split(".")[1]
        for name, _ in imports(path)
        if name[:15] == "modal_pretrain."
    }
    own = top(path)
    if own in ("query", "metrics", "reweighting", "_checks", "_inputs", "_disk"):
        assert not names & {"torch", "timm", "skorch", "torchvision", "modAL", "PIL"}
        numpys = {"query", "metrics", "reweighting"}
        assert inner <= numpys | {"_blas", "_checks", "_fork", "_inputs", "_lazy"}
    if own == "stopping":
        assert not names & {"torch", "timm", "skorch", "modAL", "pandas", "matplotlib"}
    if own not in ("compat", "benchmark", "query"):
        assert "modAL" not in names
    assert "matplotlib" not in names
    if "page" not in path.parts:
        assert not names & {"starlette", "uvicorn"}
    if own == "images":
        assert not names & {"timm", "skorch", "sklearn", "modAL"}
    if own == "cache":
        assert not names & {"torch", "timm", "skorch", "sklearn", "modAL"}
    if own in ("datasets", "_modalities", "_lazy"):
        assert not names & {"torch", "timm", "skorch", "modAL"}
    if own == "backbones":
        assert not names & {"skorch", "sklearn", "modAL", "pandas"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_module_uses_a_global_generator(path):
    # numpy.random's functions and torch.manual_seed outside `seeded`.
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.startswith(("np.random.", "numpy.random.")):
                allowed = {"default_rng", "Generator", "RandomState", "SeedSequence"}
                allowed |= {"get_state"}  # looks, and draws nothing
                where = f"{path.name}:{node.lineno}: {called}"
                assert called.split(".")[-1] in allowed or top(path) == "compat", where
            assert called not in ("random.seed", "np.random.seed")


# One process answers all questions: starting it takes seconds.
CODE = """
import json, logging, os, random, socket, sys, threading, warnings
import numpy as np, torch

seen = []
def refuse(*args, **kwargs):
    seen.append("network")
    raise OSError("no network in this test")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
socket.create_connection = refuse

def loggers():
    root = logging.getLogger()
    own = logging.getLogger("modal_pretrain")
    return root.level, list(root.handlers), own.level, list(own.handlers)

def generators():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )

import timm, skorch, sklearn, pandas  # not ours to answer for
folder = sorted(os.listdir("."))
before = (
    loggers(),
    generators(),
    torch.get_num_threads(),
    np.geterr(),
    list(warnings.filters),
    dict(os.environ),
    torch.get_default_dtype(),
    torch.is_grad_enabled(),
    threading.active_count(),
)
import modal_pretrain
from modal_pretrain import PretrainedClassifier, TimmEncoder
after = (
    loggers(),
    generators(),
    torch.get_num_threads(),
    np.geterr(),
    list(warnings.filters),
    dict(os.environ),
    torch.get_default_dtype(),
    torch.is_grad_enabled(),
    threading.active_count(),
)
names = "loggers generators threads geterr filters environ dtype grad threads".split()
changed = [name for name, a, b in zip(names, before, after) if a != b]
heavy = [name for name in ("matplotlib", "tensorboard") if name in sys.modules]

# The defaults need no network either.
pictures = np.zeros((4, 32, 32, 3), np.uint8)
pictures[2:] += 200
classifier = PretrainedClassifier(image_size=32, random_state=0, device="cpu")
classifier.fit(pictures, ["a", "a", "b", "b"])
assert list(classifier.predict(pictures)) == ["a", "a", "b", "b"]
assert generators() == before[1], "fit moves a global generator"
print(json.dumps({
    "changed": changed,
    "heavy": heavy,
    "benchmark": [m for m in sys.modules if m.startswith("modal_pretrain.benchmark")],
    "network": seen,
    "files": sorted(os.listdir(".")) != folder,
}))
"""


def test_importing_the_package_and_its_defaults_leave_no_trace(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", CODE],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    expected = (
        '{"changed": [], "heavy": [], "benchmark": [], "network": [], "files": false}'
    )
    assert done.stdout.strip() == expected


def test_the_picture_of_the_house_has_a_room_for_every_folder():
    script = PACKAGE.parent / "docs" / "images" / "house.py"
    if not script.exists():
        pytest.skip("the documentation is not here")
    drawn = runpy.run_path(str(script))["draw"]()  # needs a note for each
    for name in BELOW:
        if not name.startswith("_") and not name.endswith("__"):
            assert f">{name}</text>" in drawn


def test_public_names():
    for name in modal_pretrain.__all__:
        assert getattr(modal_pretrain, name).__doc__
    assert sorted(modal_pretrain.__all__) == modal_pretrain.__all__
    assert modal_pretrain.__version__


WITHOUT_EXTRAS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {extras}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from modal_pretrain.cli.main import main
import modal_pretrain.datasets
raise SystemExit(main(["list"]))
"""


def test_extras_are_not_needed():
    extras = ("transformers", "tokenizers", "dask", "distributed", "matplotlib",
              "datasets", "openvino", "starlette", "uvicorn", "yaml")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_EXTRAS.format(extras=extras)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "disambiguation" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_long_modules_say_why(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400 or "# Long because" in text
