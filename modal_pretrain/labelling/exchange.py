"""Labels from and for other tools: Label Studio's JSON, folders, ImageFolder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from modal_pretrain._disk import write_whole
from modal_pretrain._identity import expanded
from modal_pretrain.labelling.pool import Pool

if TYPE_CHECKING:
    from modal_pretrain.labelling.session import LabelSession

# Label Studio's own names in a classification project.
_FROM_NAME, _TAG = "choice", "tag"
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
    """
    pool, kind = session.pool, session.pool.kind
    tasks = []
    for row, item, label, tag, asked in session.labels().itertuples(index=False):
        shown: Any = pool.show(row) if kind == "text" else None
        value = shown or f"/data/local-files/?d={pool.title(row)}"
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
    path = Path(path)
    write_whole(path, json.dumps(tasks, indent=1, ensure_ascii=False))
    return path


def _result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "item", "type": kind, "value": value}


def from_label_studio(session: LabelSession, path: str | os.PathLike[str]) -> list[str]:
    """Take over single-choice labels that Label Studio exported as JSON.

    An item is found by the name that `to_label_studio` wrote, else by the end of its
    picture's address, or by its text. Items that have a label here keep it.

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
    ValueError
        If the file is no such export, or a label is not among the given classes.
    """
    try:
        tasks = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(tasks, list) or not all(isinstance(t, dict) for t in tasks):
        raise ValueError(f"{path} is no export of Label Studio: a list is expected.")
    known = set(session.labels()["row"])
    places = _places(session.pool)
    rows, labels, tags, left_out = [], [], [], []
    for number, task in enumerate(tasks, start=1):
        row, label, tag = _found(task, places), *_answer(task)
        if row is None or not label:
            why = "not in the pool" if row is None else "no single choice"
            left_out.append(f"task {task.get('id', number)}: {why}")
        elif row in known:
            left_out.append(f"task {task.get('id', number)}: labelled here")
        else:
            known.add(row)
            rows.append(row)
            labels.append(label)
            tags.append(tag)
    if rows:
        session.ask(rows=rows)
        session.answer(rows, labels, tags)
    return left_out


def _places(pool: Pool) -> dict[str, int | None]:
    """Map names, ends of names, and texts to rows; None where it is ambiguous."""
    places: dict[str, int | None] = {}
    for row in range(len(pool)):
        parts = PurePosixPath(pool.title(row)).parts
        keys = {"/".join(parts[k:]) for k in range(len(parts))}
        if pool.kind == "text":
            keys = {pool.title(row), str(pool.show(row))}
        for key in keys:
            places[key] = None if key in places else row
    for row in range(len(pool)):
        places[pool.title(row)] = row
    return places


def _found(task: dict[str, Any], places: dict[str, int | None]) -> int | None:
    data = task.get("data", task)
    if not isinstance(data, dict):
        return None
    for name in ("item", "image", "text"):
        value = data.get(name)
        if not isinstance(value, str):
            continue
        for key in _keys(value):
            if places.get(key) is not None:
                return places[key]
    return None


def _keys(value: str) -> Iterator[str]:
    """Yield what an address or a text may be called, the longest name first."""
    yield value
    address = urlsplit(value[:4096])
    local = parse_qs(address.query).get("d")
    parts = PurePosixPath(local[0] if local else unquote(address.path)).parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    if parts and "-" in parts[-1]:  # uploaded files get eight letters in front
        yield parts[-1].split("-", 1)[1]


def _answer(task: dict[str, Any]) -> tuple[str, str]:
    """Return the label and the tag of a task; empty where there is none."""
    label, tag = task.get(_FROM_NAME), task.get(_TAG, "")
    if isinstance(label, str):  # JSON-MIN
        return label, tag if isinstance(tag, str) else ""
    label = tag = ""
    for annotation in task.get("annotations", []) or []:
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result", []):
            value = result.get("value", {})
            if result.get("type") == "choices" and len(value.get("choices", [])) == 1:
                label = str(value["choices"][0])
            elif result.get("from_name") == _TAG and value.get("text"):
                tag = str(value["text"][0])
    return label, tag


def to_folders(
    session: LabelSession, folder: str | os.PathLike[str], *, metadata: bool = False
) -> Path:
    """Copy the labelled pictures into one folder for each class.

    `load_folder`, torchvision's and Hugging Face's ImageFolder read that.

    Parameters
    ----------
    session : LabelSession
        Of picture files.
    folder : path-like
        It must not be there, or be empty.
    metadata : bool, default=False
        Whether to write ImageFolder's ``metadata.csv`` beside one folder of all
        pictures instead: columns file_name, label and tag.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ValueError
        If the pool holds no files, a class can't name a folder, or the folder is full.
    """
    target, pool = expanded(folder), session.pool
    table = session.labels()
    sources = [pool.show(row) for row in table["row"]]
    if not all(isinstance(source, Path) for source in sources):
        raise ValueError("pool: only picture files can be copied into folders.")
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"folder {target} is not empty; name a new one.")
    classes = table["label"].unique()
    for label in classes if not metadata else []:
        if _BAD & set(label) or label.startswith(".") or label.endswith("."):
            raise ValueError(
                f"the class {label!r} can't name a folder; pass metadata=True."
            )
    names = []
    for source, item, label in zip(sources, table["item"], table["label"], strict=True):
        parts = [part for part in PurePosixPath(item).parts if part not in ("/", "..")]
        name = PurePosixPath("pictures" if metadata else label, "__".join(parts))
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(source), target / name)
        names.append(str(name))
    if metadata:
        written = pd.DataFrame(
            {"file_name": names, "label": table["label"], "tag": table["tag"]}
        )
        text = written.to_csv(index=False, lineterminator="\n")
        target.mkdir(parents=True, exist_ok=True)
        write_whole(target / "metadata.csv", text.encode("utf-8", "surrogateescape"))
    return target
