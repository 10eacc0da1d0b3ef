"""Sphinx: `make docs` builds the pages and runs every example."""

import gc
import logging
import os
import re
import runpy
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import modal_pretrain

project = "modal_pretrain"
author = "The modal_pretrain developers"
copyright = "The modal_pretrain developers"
version = release = modal_pretrain.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_gallery.gen_gallery",
]
# Folders may have moved to other floors since it was drawn last.
runpy.run_path(str(Path(__file__).parent / "images" / "house.py"), run_name="__main__")

exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]  # sphinx-gallery's settings hold a function
templates_path = ["_templates"]

# Pages are Markdown that GitHub shows too.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
default_role = "autolink"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_typehints = "none"  # numpydoc's types are the ones for people
autodoc_default_options = {
    "members": True,
    "inherited-members": True,
}

# Inventories come over the network; without it names of NumPy and the like are no
# links, and nothing else changes.
if os.environ.get("DOCS_ONLINE"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out what skorch, scikit-learn and Python document themselves."""
    code = getattr(obj, "fget", obj)
    module = getattr(code, "__module__", None) or ""
    return True if not module.startswith("modal_pretrain") else None


def drop_links_out(app, docname, source):
    """Keep the words of links to files that are no pages; GitHub has the files."""
    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", source[0])


def setup(app):
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("source-read", drop_links_out)


# It would tell of every packaged file that it loads.
logging.getLogger("timm").setLevel(logging.WARNING)

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FILTERS = list(warnings.filters)
FILES: set[Path] = set()
SWALLOWED: list[str] = []


def strictly(gallery_conf, path, when):
    """Fail where an example warns, swallows an error or leaves files behind."""
    if when == "after":
        warnings.filters[:] = FILTERS
        gc.collect()
        sys.unraisablehook = sys.__unraisablehook__
        found = [*SWALLOWED, *({*EXAMPLES.rglob("*")} - FILES)]
        temporary = Path(tempfile.gettempdir())
        found += [p for p in temporary.rglob("*") if p.suffix in (".png", ".csv")]
        tempfile.tempdir = None
        shutil.rmtree(temporary)
        if found:
            raise RuntimeError(f"{path} leaves behind {', '.join(map(str, found))}")
        return
    FILES.update(EXAMPLES.rglob("*"))
    tempfile.tempdir = tempfile.mkdtemp()
    sys.unraisablehook = lambda error: SWALLOWED.append(repr(error.exc_value))
    warnings.simplefilter("error")
    # PyTorch and what it imports announce removals of their own.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": ("matplotlib", strictly),
    "reset_modules_order": "both",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "parallel": 2,  # as many as CI has cores
    "write_computation_times": False,
}

html_theme = "furo"
html_title = f"modal_pretrain {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False

linkcheck_timeout = 20
linkcheck_workers = 4
