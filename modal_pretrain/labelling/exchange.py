"""Labels from and for other tools: Label Studio's JSON, folders, ImageFolder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pandas as pd

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import NotAFileError, expanded, read_whole
from modal_pretrain.labelling.export import check_apart
from modal_pretrain.labelling.pool import Pool
from modal_pretrain.labelling.words import check_word

if TYPE_CHECKING:
    from modal_pretrain.labelling.session import LabelSession

# Label Studio's own names in a classification project.
_FROM_NAME, _TAG = "choice", "tag"
_NO_CHOICE = "no single choice"
_UPLOADED = re.compile("[0-9a-f]{8}-(.+)")  # what it makes of an uploaded file's name
_LONGEST = 240  # bytes of a file's name: most systems take 255, and numbers are added
_BAD = set('<>:"/\\|?*')


def to_label_studio(session: LabelSession, path: str | os.PathLike[str]) -> Path:
    """Write the labels as tasks that Label Studio imports.

    The project's labelling set-up needs ``<Choices name="choice" toName="item">``, and
    ``<TextArea name="tag" toName="item">`` where there are tags. Pictures are named as
    its local storage serves them, relative to the folder.

    Parameters
    ----------
    session : LabelSession
    path : path-like
        Of the JSON file.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If it can't be written.
    ValueError
        If it is the label file.
    """
    pool, kind = session.pool, session.pool.kind
    tasks = []
    for row, item, label, tag, asked in session.labels().itertuples(index=False):
        shown: Any = pool.show(row) if kind == "text" else None
        value = shown or f"/data/local-files/?d={quote(pool.title(row))}"
        result = [_result(_FROM_NAME, "choices", {"choices": [label]})]
        if tag:
            result.append(_result(_TAG, "textarea", {"text": [tag]}))
        tasks.append(
            {
                "data": {kind: value, "item": item.encode("utf-8", "replace").decode()},
                "meta": {"asked": asked},
                "annotations": [{"result": result}],
            }
        )
    path = expanded(path)
    check_apart(session, path)
    write_whole(path, json.dumps(tasks, indent=1, ensure_ascii=False))
    return path


def _result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "item", "type": kind, "value": value}


def from_label_studio(session: LabelSession, path: str | os.PathLike[str]) -> list[str]:
    """Take over single-choice labels that Label Studio exported as JSON.

    A picture is found by the name that `to_label_studio` wrote, else by its address:
    one of address and name must be the end of the other, folder by folder, and an
    uploaded file, which has lost its folders, must be the only one of its name. A text
    must be the same. Items that have a label here keep it. Of several controls, and of
    one in "JSON-MIN", that named "choice" counts; each annotator must have chosen one
    label, for all regions, and annotators must agree about it. Of tags the only one of
    an item is taken, and none that is no word.

    Parameters
    ----------
    session : LabelSession
    path : path-like
        A JSON export, full or "JSON-MIN".

    Returns
    -------
    list of str
        What was not taken, and why.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is no such export, or a label is not among the given classes.
    """
    try:
        tasks = json.loads(read_whole(path).decode("utf-8-sig"))
    except NotAFileError as error:
        raise ValueError(f"{path} is {error.kind}, not a file.") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
        raise ValueError(f"{path} is no export of Label Studio: a list is expected.")
    known = set(session.labels()["row"])
    said: dict[int, tuple[set[str], set[str]]] = {}  # labels and tags
    find = _finder(session.pool)
    left_out = []
    for number, task in enumerate(tasks, start=1):
        row, answer = find(task.get("data", task)), _answer(task)
        where = f"task {task.get('id', number)}"
        if isinstance(row, str):
            left_out.append(f"{where}: {row}")
        elif isinstance(answer, str):
            left_out.append(f"{where}: {answer}")
        elif row in known:
            left_out.append(f"{where}: labelled here")
        elif words := _words("label", [answer[0]], where, left_out):
            labels, tags = said.setdefault(row, (set(), set()))
            labels |= words
            tags |= _words("tag", filter(str.strip, answer[1]), where, left_out)
    taken: dict[int, tuple[str, str]] = {}
    for row, (labels, tags) in said.items():
        name = session.pool.title(row)
        if len(labels) > 1:
            left_out.append(f"{name}: several tasks disagree")
            continue
        if len(tags) > 1:
            found = ", ".join(map(repr, sorted(tags)))
            why = f"several tags ({found}), so its label is taken without one"
            left_out.append(f"{name}: {why}")
        taken[row] = labels.pop(), tags.pop() if len(tags) == 1 else ""
    if taken:
        rows = list(taken)
        session.ask(rows=rows)
        session.answer(rows, *map(list, zip(*taken.values(), strict=True)))
    return left_out


def _finder(pool: Pool) -> Callable[[Any], int | str]:
    """Return what finds the row of a task's data, or says why there is none."""
    exact: dict[str, list[int]] = {}
    whole: dict[tuple[str, ...], list[int]] = {}
    ends: dict[tuple[str, ...], list[int]] = {}
    for row in range(len(pool)):
        exact.setdefault(pool.title(row), []).append(row)
        if pool.kind == "text":
            ends.setdefault((str(pool.show(row)),), []).append(row)
            continue
        parts = _parts(pool.title(row))
        whole.setdefault(parts, []).append(row)
        for start in range(len(parts)):
            ends.setdefault(parts[start:], []).append(row)

    def called(name: Any) -> list[int]:
        return exact.get(name, []) if isinstance(name, str) else []

    def find(data: Any) -> int | str:
        given = data if isinstance(data, dict) else {}
        item, value = given.get("item"), given.get(pool.kind)
        named = called(item)
        if pool.kind == "text":
            # Its name is a number, and may be of another table.
            found = ends.get((value,), []) if isinstance(value, str) else named
            found = [row for row in found if row in named] or found
        else:
            found = named or called(value) or _of_address(value, whole, ends)
        if len(found) == 1:
            return found[0]
        return "fits several items" if found else "not in the pool"

    return find


def _of_address(
    address: Any,
    whole: dict[tuple[str, ...], list[int]],
    ends: dict[tuple[str, ...], list[int]],
) -> list[int]:
    """Return the rows whose names end as an address does, folder by folder."""
    if not isinstance(address, str):
        return []
    try:
        split = urlsplit(address[:4096])
    except ValueError:
        return []
    path = unquote(split.path)
    if _parts(path)[-1:] == ("local-files",):  # what serves a folder of the machine
        path = parse_qs(split.query).get("d", [""])[0]
    parts = _parts(path.replace("\\", "/"))
    # It is a name, or the end of one, or a name is its end.
    later = (whole.get(parts[start:]) for start in range(1, len(parts)))
    found = whole.get(parts) or ends.get(parts) or next(filter(None, later), None)
    if found:
        return found
    upload = _UPLOADED.fullmatch(parts[-1]) if "upload" in parts[:-1] else None
    return ends.get((upload[1],), []) if upload else []


def _parts(path: str) -> tuple[str, ...]:
    # macOS names files with accents in another spelling.
    parts = PurePosixPath(unicodedata.normalize("NFC", path)).parts
    return parts[1:] if parts[:1] == ("/",) else parts


def _answer(task: dict[str, Any]) -> tuple[str, set[str]] | str:
    """Return label and tags of a task, or why there is none."""
    label, tag = task.get(_FROM_NAME), task.get(_TAG, "")
    if isinstance(label, str):  # JSON-MIN
        return label, {tag} if isinstance(tag, str) else set()
    if label is None and "data" not in task:  # nothing tells controls from columns
        return f"no {_FROM_NAME!r}, as the control must be called in JSON-MIN"
    labels, tags = set(), set()
    for annotation in _dicts(task.get("annotations")):
        if annotation.get("was_cancelled"):
            continue
        results = _dicts(annotation.get("result"))
        # A control may have several results, such as one for each region.
        choices: dict[str, set[str]] = {}
        for result in results:
            if result.get("type") == "choices":
                name = str(result.get("from_name"))
                choices.setdefault(name, set()).add(_only(result, "choices"))
        if _FROM_NAME not in choices and len(choices) > 1:
            return f"several controls, none of which is named {_FROM_NAME!r}"
        said = choices.get(_FROM_NAME) or next(iter(choices.values()), set())
        if len(said) > 1 or "" in said:
            return _NO_CHOICE
        labels |= said
        tags |= {_only(r, "text") for r in results if r.get("from_name") == _TAG}
    if len(labels) > 1:
        return "annotators disagree"
    return (labels.pop(), tags) if labels else _NO_CHOICE


def _words(
    name: str, given: Iterable[str], where: str, left_out: list[str]
) -> set[str]:
    """Return those that may be labels or tags, and say of the others why not."""
    words = set()
    for word in given:
        with _leaving_out(where, left_out):
            words.add(check_word(name, word))
    return words


@contextlib.contextmanager
def _leaving_out(where: str, left_out: list[str]) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        left_out.append(f"{where}: {error}")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _only(result: dict[str, Any], key: str) -> str:
    """Return the only text of a result; empty if there is none or are several."""
    value = result.get("value")
    texts = value.get(key) if isinstance(value, dict) else None
    if not isinstance(texts, list) or len(texts) != 1 or not isinstance(texts[0], str):
        return ""
    return texts[0]


def to_folders(
    session: LabelSession, folder: str | os.PathLike[str], *, metadata: bool = False
) -> Path:
    """Copy the labelled pictures into one folder for each class.

    `load_folder`, torchvision's and Hugging Face's ImageFolder read that. Where it
    fails, such as on a full disk, nothing is left behind.

    Parameters
    ----------
    session : LabelSession
        Of picture files.
    folder : path-like
        It must not be there, or be empty, and lie outside the folder that is labelled.
    metadata : bool, default=False
        Whether to write ImageFolder's ``metadata.csv`` beside one folder of all
        pictures instead: columns file_name, label and tag.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileNotFoundError
        If a labelled picture is not there any more; then nothing is copied.
    OSError
        If a picture can't be copied.
    ValueError
        If the pool holds no files, a class can't name a folder, or the folder is full
        or within the one that is labelled.
    """
    target, pool = expanded(folder), session.pool
    table = session.labels()
    sources = [pool.show(row) for row in table["row"]]
    if not all(isinstance(source, Path) for source in sources):
        raise ValueError("pool: only picture files can be copied into folders.")
    if target.exists() and not target.is_dir():
        raise ValueError(f"folder {target} is a file; name a new folder.")
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"folder {target} is not empty; name a new one.")
    _check_outside(target, pool)
    classes = table["label"].unique()
    for label in classes if not metadata else []:
        if _BAD & set(label) or label.startswith(".") or label.endswith("."):
            raise ValueError(
                f"the class {label!r} can't name a folder; pass metadata=True."
            )
    gone = [row for row in table["row"] if not pool.there(row)]
    if gone:
        raise FileNotFoundError(
            f"{len(gone)} of {len(sources)} labelled pictures are not there any more, "
            f"first {pool.show(gone[0])}. Put them back, or begin another session, "
            "which leaves their labels out."
        )
    folders = ["pictures"] * len(table) if metadata else table["label"].tolist()
    names = _free_names(folders, table["item"])
    written: list[Path] = []
    try:
        for source, name in zip(sources, names, strict=True):
            written.append(target / name)
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(source), written[-1])
        if metadata:
            table = pd.DataFrame(
                {"file_name": names, "label": table["label"], "tag": table["tag"]}
            )
            text = table.to_csv(index=False, lineterminator="\n")
            target.mkdir(parents=True, exist_ok=True)
            write_whole(
                target / "metadata.csv", text.encode("utf-8", "surrogateescape")
            )
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        for place in (*{path.parent for path in written}, target):
            with contextlib.suppress(OSError):
                place.rmdir()
        raise
    return target


def _check_outside(target: Path, pool: Pool) -> None:
    """Refuse a folder whose copies the next session would ask about."""
    folder = getattr(pool, "folder", None)
    if folder is None:
        return
    above = Path(os.path.realpath(folder))
    if Path(os.path.realpath(target)).is_relative_to(above):
        raise ValueError(
            f"folder {target} is within {folder}, which is labelled: the next session "
            "would take the copies for pictures to label. Name one outside, "
            f"such as {above.parent / f'{above.name}-sorted'}."
        )


def _free_names(folders: Sequence[str], items: Iterable[str]) -> list[str]:
    """Return where each item goes, as a/b.png in a__b.png, with no place twice."""
    places: dict[str, int] = {}
    names: list[str] = []
    for folder, item in zip(folders, items, strict=True):
        parts = [part for part in PurePosixPath(item).parts if part not in ("/", "..")]
        joined = "__".join(parts)
        while len(os.fsencode(joined)) > _LONGEST:
            joined = joined[1:]
        if joined.startswith("."):  # of a hidden folder; what is hidden nobody reads
            joined = f"_{joined}"
        name = PurePosixPath(folder, joined)
        stem, number = name, 1
        # Some file systems do not tell A from a.
        while places.setdefault(str(name).casefold(), len(names)) != len(names):
            number += 1
            name = stem.with_stem(f"{stem.stem}-{number}")
        names.append(str(name))
    return names
