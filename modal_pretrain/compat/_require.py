"""A clear error where modAL or skorch is missing or too old."""

import importlib.util
import re
import sys
from importlib import metadata
from importlib.machinery import PathFinder

# The lowest skorch whose pickles load under PyTorch 2.6; pyproject.toml says the same.
MINIMUM_SKORCH = (1, 2)
INSTALL_MODAL = 'pip install --no-deps "modAL-python>=0.4.2"'
UPGRADE_SKORCH = 'pip install --upgrade "skorch>=1.2"'
_WHY_NO_DEPS = (
    "modAL's metadata asks for skorch 0.9.0 from 2020, hence --no-deps; "
    "modal_pretrain itself brings everything that modAL needs."
)


def require_modal() -> None:
    """Check that modAL is there and that skorch is recent enough for it.

    Raises
    ------
    ImportError
        With the command that puts it right; also where Python removes docstrings.
    """
    if sys.flags.optimize > 1:
        raise ImportError(
            "modal_pretrain can't run under python -OO (or PYTHONOPTIMIZE=2), which "
            "removes the docstrings that skorch builds its classes from. Leave one O "
            "out, or set PYTHONOPTIMIZE=1.",
            name="skorch",
        )
    # Any distribution will do, hence the module is looked up and not its metadata.
    where = _place("modAL")
    if where is None:
        raise ImportError(
            f"modal_pretrain needs modAL, which is not installed. Run\n\n"
            f"    {INSTALL_MODAL}\n\n{_WHY_NO_DEPS} (The distribution called modAL or "
            f"modal, without -python, is another project.)",
            name="modAL",
        )
    problem = _skorch_problem()
    if problem:
        raise ImportError(
            f"modal_pretrain needs skorch 1.2 or later, but {problem}. Run\n\n"
            f"    {UPGRADE_SKORCH}\n\nmodAL leaves it so if installed with its "
            f"dependencies. Instead, install modAL with\n\n    {INSTALL_MODAL}\n\n"
            f"{_WHY_NO_DEPS}",
            name="skorch",
        )
    # The dropout strategies came with 0.4.2.
    if not _has_dropout(where):
        raise ImportError(
            f"modal_pretrain needs modAL 0.4.2 or later; the one in {where[0]} has no "
            f"modAL.dropout. Run\n\n    {INSTALL_MODAL}\n\n{_WHY_NO_DEPS}",
            name="modAL.dropout",
        )


def _place(module: str) -> list[str] | None:
    """Return the folders of a package, without importing it; None if it is not there.

    Raises
    ------
    ImportError
        If it is a file, which then is another module of the same name.
    """
    spec = importlib.util.find_spec(module)
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        raise ImportError(
            f"modal_pretrain needs {module}, but Python finds the file {spec.origin} "
            "under that name. Rename the file, or start Python in another folder.",
            name=module,
        )
    return list(spec.submodule_search_locations)


def _has_dropout(folders: list[str]) -> bool:
    if "modAL.dropout" in sys.modules:
        return sys.modules["modAL.dropout"] is not None
    return PathFinder.find_spec("modAL.dropout", folders) is not None


def _skorch_problem() -> str:
    """Say what is wrong with skorch, nothing if nothing is.

    skorch 0.9.0 fails while it is imported, so this reads its metadata. A version
    that cannot be read, as in a source checkout, gets the benefit of the doubt.
    """
    try:
        version = metadata.version("skorch")
    except metadata.PackageNotFoundError:
        there = importlib.util.find_spec("skorch") is not None
        return "" if there else "it is not installed"
    release = re.match(r"(\d+)\.(\d+)", version)
    if release and tuple(map(int, release.groups())) < MINIMUM_SKORCH:
        return f"{version} is installed"
    return ""
