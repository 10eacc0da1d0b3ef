"""Examples in docstrings run, and public docstrings are complete numpydoc."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import modal_pretrain

MODULES = [modal_pretrain.__name__] + [
    module.name
    for module in pkgutil.walk_packages(modal_pretrain.__path__, "modal_pretrain.")
    if not module.name.endswith(".__main__")  # importing it runs it
]

# Checks of numpydoc.validate that are not ours, and why.
IGNORED = {
    "GL01",  # the text begins on the line of the opening quotes
    "ES01",  # one line may say it all
    "EX01",  # examples where they help
    "SA01",  # "See Also" where there is something to see
    "SS05",  # takes every first word in -s for a verb; ruff's D401 knows better
    "PR04",  # parameters passed through to skorch are documented together, there
    "PR07",  # "y : array-like of shape (n,)" needs no description
    "RT03",  # nor does "self"
    "PR08",  # a description may begin with a dtype or a lower-case name
    "RT04",
    "RT05",  # ... and end with a bracket
}
# A method of skorch's or scikit-learn's that is overridden keeps their meaning of
# parameters and result, which they document.
INHERITED = {"PR01", "RT01", "YD01"}
# Public without being packages.
PUBLIC = (
    "modal_pretrain.metrics",
    "modal_pretrain.modality",
    "modal_pretrain.text.classifier",
    "modal_pretrain.text.encoder",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    output: list[str] = []
    for test in finder.find(module, name):
        # An example sees the object it belongs to, and imports everything else: a
        # reader can paste it.
        owner = test.name.removeprefix(name).lstrip(".").partition(".")[0]
        test.globs = {owner: getattr(module, owner)} if owner else {}
        runner.run(test, out=output.append)
    assert not runner.summarize(verbose=False).failed, "".join(output)


def public_objects():
    """Names of what the packages export, and of the methods of exported classes."""
    for package in map(importlib.import_module, MODULES):
        if not hasattr(package, "__path__") and package.__name__ not in PUBLIC:
            continue
        names = getattr(package, "__all__", None) or [
            name
            for name, value in vars(package).items()
            if not name.startswith("_")
            and getattr(value, "__module__", None) == package.__name__
        ]
        for name in names:
            thing = getattr(package, name)
            if not callable(thing):  # a table, say
                continue
            yield f"{package.__name__}.{name}"
            if not inspect.isclass(thing):
                continue
            for member, value in vars(thing).items():
                if not member.startswith("_") and (
                    callable(value) or isinstance(value, property)
                ):
                    yield f"{package.__name__}.{name}.{member}"


def overrides_foreign(name):
    """Whether a method overrides one of a class from elsewhere."""
    owner, _, member = name.rpartition(".")
    package, _, cls = owner.rpartition(".")
    cls = getattr(importlib.import_module(package), cls) if package else None
    return inspect.isclass(cls) and any(
        member in vars(base)
        for base in cls.__mro__
        if not base.__module__.startswith("modal_pretrain")
    )


@pytest.mark.parametrize("name", sorted(set(public_objects())))
def test_numpydoc(name):
    validate = pytest.importorskip("numpydoc.validate").validate
    checked = validate(name)
    ignored = set(IGNORED)
    if overrides_foreign(name):
        ignored |= INHERITED
    codes = {code for code, _ in checked["errors"]}
    if "PR01" not in codes and "\n" not in checked["docstring"].strip():
        ignored.add("RT01")  # no parameters and one line: it says what comes back
    errors = [f"{c}: {text}" for c, text in checked["errors"] if c not in ignored]
    assert not errors, f"{checked['file']}:{checked['file_line']}\n" + "\n".join(errors)
