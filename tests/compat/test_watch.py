"""modAL is repaired when it is imported, before or after modal_pretrain."""

import subprocess
import sys

import pytest

from modal_pretrain import compat
from tests import processes

# The first teach of an unrepaired modAL raises TypeError on scikit-learn 1.8 and later.
TEACH = """
import numpy as np
from sklearn.linear_model import LogisticRegression
X, y = np.random.default_rng(0).normal(size=(8, 2)), np.tile([0, 1], 4)
learner = ActiveLearner(LogisticRegression(), X_training=X[:4], y_training=y[:4])
learner.teach(X[4:], y[4:])
from modal_pretrain import compat
import modal_pretrain.compat._registry as register
assert list(register.OUTCOMES) == list(register.REPAIRS)
print(*compat.apply(), [type(f).__name__ for f in sys.meta_path].count("_Watch"))
"""


def repaired(code):
    """Tell whether TEACH, after code, finds all that is needed, once and in order."""
    return processes.run(code).split() == [*compat.apply(), "0"]


@pytest.mark.parametrize(
    "order",
    [
        "import modal_pretrain.query; from importlib.util import find_spec; "
        "find_spec('modAL'); import modAL.density; from modAL import ActiveLearner",
        "from modAL.models import ActiveLearner; import modal_pretrain",
        "import modal_pretrain.compat as c; c.apply(); from modAL import ActiveLearner",
    ],
)
def test_repaired_whatever_the_order(order):
    assert repaired(f"import sys; {order}\n{TEACH}")


def test_threads_that_import_together():
    code = """
import sys, threading, modal_pretrain
def load(name):
    __import__(name)
    done.append(list(register.OUTCOMES) == list(register.REPAIRS) != [])
import modal_pretrain.compat._registry as register
done = []
# Submodules beside it may meet in a ring of Python's own locks.
names = ("modAL",) * 4
threads = [threading.Thread(target=load, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert done == [True] * 4, done
from modAL import ActiveLearner
"""
    assert repaired(code + TEACH)


def test_modal_keeps_its_own_loader():
    code = """
import modal_pretrain, modAL, inspect, importlib.machinery as machinery
assert type(modAL.__spec__.loader) is machinery.SourceFileLoader
assert "exec_module" not in vars(modAL.__spec__.loader)
assert "ActiveLearner" in inspect.getsource(modAL)
"""
    processes.run(code)


def in_folder(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder
    )


@pytest.mark.parametrize("first", ["", "import modal_pretrain\n"])
def test_a_file_called_modal_is_named(tmp_path, first):
    (tmp_path / "modAL.py").write_text("")
    done = in_folder(f"{first}import modal_pretrain", tmp_path)
    assert done.returncode == 1
    assert f"finds the file {tmp_path / 'modAL.py'} under that name" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("start Python in another folder.")


def test_a_folder_called_modal_is_named(tmp_path):
    (tmp_path / "modAL").mkdir()
    (tmp_path / "modAL" / "__init__.py").write_text("")
    done = in_folder("import modal_pretrain", tmp_path)
    assert f"the one in {tmp_path / 'modAL'} has no modAL.dropout" in done.stderr
