"""The page's requests, each a few lines around a method of the session."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from xxhash import xxh3_64_hexdigest

from modal_pretrain.images.decode import ImageLoadError
from modal_pretrain.labelling.asked import AnsweredError, NotAskedError
from modal_pretrain.labelling.page.pictures import SIZES, Pictures
from modal_pretrain.labelling.questions import Question
from modal_pretrain.labelling.session import LabelSession
from modal_pretrain.labelling.why import CHOSEN

# Rows of one answer, and questions of one request.
MOST_ROWS = 200
_MOST_LETTERS = 20_000
_STATIC = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


class PageApp:
    """Handlers of the page's requests.

    Parameters
    ----------
    session : LabelSession
    title : str
        Of the page.
    out : path-like
        Folder that the page exports into.
    """

    def __init__(self, session: LabelSession, title: str, out: Any) -> None:
        self.session = session
        self.title = title
        self.out = out
        self.pictures = Pictures(session.pool)

    def starlette(self) -> Starlette:
        """Return the application."""
        static = files("modal_pretrain.labelling.page") / "static"
        routes = []
        for file in static.iterdir():
            kind = _STATIC.get(file.name.rpartition(".")[2])
            if kind is not None:
                content = file.read_bytes()
                name = "/" if file.name == "index.html" else f"/{file.name}"
                routes.append(Route(name, _static(content, kind)))
        return Starlette(
            routes=[
                *routes,
                Route("/picture/{size:int}/{row:int}", self.picture),
                *(
                    Route(f"/api/{name}", _get(handler))
                    for name, handler in (
                        ("state", self.state),
                        ("why", self.why),
                        ("guess", self.guess),
                        ("advice", self.advice),
                    )
                ),
                *(
                    Route(f"/api/{name}", _post(handler, self.state), methods=["POST"])
                    for name, handler in (
                        ("answer", self.answer),
                        ("skip", self.skip),
                        ("cannot-tell", self.cannot_tell),
                        ("undo", self.undo),
                        ("again", self.again),
                        ("class", self.add_class),
                        ("tag", self.add_tag),
                        ("export", self.export),
                    )
                ),
            ]
        )

    # What the page asks ---------------------------------------------------------------

    def picture(self, request: Request) -> Response:
        """Return one picture, scaled."""
        row, size = request.path_params["row"], request.path_params["size"]
        if size not in SIZES or self.session.pool.kind != "image":
            return _error(404, "There is no such picture.")
        if not 0 <= row < len(self.session.pool):
            return _error(404, "There is no such row.")
        try:
            data, kind = self.pictures.get(row, size)
        except ImageLoadError as error:
            self.session.set_unreadable(row, error)
            return _error(422, str(error))
        # The page names the version, see `_question`.
        kept = {"cache-control": "private, max-age=3600"}
        return Response(data, media_type=kind, headers=kept)

    def state(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the next questions, how far the session is, and what is shown."""
        session = self.session
        n, shown = _whole(given, "n", 8), self._shown(given)
        progress = session.progress()
        return {
            "title": self.title,
            "kind": session.pool.kind,
            "classes": session.classes,
            "tags": session.tags,
            "questions": [self._question(question) for question in session.ask(n)],
            "versions": {row: self._version(row) for row in shown},
            "progress": progress._asdict(),
        }

    def why(self, given: dict[str, Any]) -> dict[str, Any]:
        """Say why a row is asked about."""
        why = self.session.why(_whole(given, "row"))
        near = [
            {**self._question(Question(near.row, "")), "label": near.label}
            for near in why.near
        ]
        return {"reason": why.reason, "words": why.words, "near": near}

    def guess(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the model's guess of a row, where it may be seen."""
        guess = self.session.guess(_whole(given, "row"))
        if guess is None:
            return {"label": None}
        return {"label": guess[0], "probability": round(guess[1], 3)}

    def advice(self, given: dict[str, Any]) -> dict[str, Any]:
        """Say how good the model is, and what to look at again."""
        advice = self.session.advice()
        if advice is None:
            return {"learnt": 0}
        doubts = [
            {**self._question(Question(d.row, "")), **d._asdict()}
            for d in advice.doubts
        ]
        return {**advice._asdict(), "doubts": doubts}

    # What the page says ---------------------------------------------------------------

    def answer(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take one label for one row or many."""
        label, tag = _text(given, "label"), _text(given, "tag", "") or None
        return _open(given, lambda rows: self.session.answer(rows, label, tag))

    def skip(self, given: dict[str, Any]) -> dict[str, Any]:
        """Put rows to the end."""
        return _open(given, self.session.skip)

    def cannot_tell(self, given: dict[str, Any]) -> dict[str, Any]:
        """Put rows away."""
        return _open(given, self.session.cannot_tell)

    def undo(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take back the last answer."""
        return self._back(self.session.undo()[:MOST_ROWS])

    def again(self, given: dict[str, Any]) -> dict[str, Any]:
        """Ask about a row again that is labelled."""
        row = _whole(given, "row")
        if row not in set(self.session.labels()["row"]):
            raise NotAskedError(f"row {row} has no label.")
        self.session.ask(rows=[row])
        return self._back([row])

    def add_class(self, given: dict[str, Any]) -> dict[str, Any]:
        """Add a class."""
        self.session.add_class(_text(given, "name"))
        return {}

    def add_tag(self, given: dict[str, Any]) -> dict[str, Any]:
        """Add a tag."""
        self.session.add_tag(_text(given, "name"))
        return {}

    def export(self, given: dict[str, Any]) -> dict[str, Any]:
        """Write labels, predictions and the model."""
        done = self.session.export(self.out)
        written = [done.labels, done.predictions, done.model]
        return {
            "files": [str(path) for path in written if path is not None],
            "code": done.code if done.model is not None else "",
        }

    def _back(self, rows: list[int]) -> dict[str, Any]:
        """Return rows to look at again with their tags, which an answer would drop."""
        labels = self.session.labels()
        tags = dict(zip(labels["row"], labels["tag"], strict=True))
        questions = [self._question(Question(row, CHOSEN)) for row in rows]
        return {"undone": [{**q, "tag": tags.get(q["row"], "")} for q in questions]}

    def _question(self, question: Question) -> dict[str, Any]:
        pool, row = self.session.pool, question.row
        found = {"row": row, "name": pool.title(row), "reason": question.reason}
        if pool.kind == "text":
            text = str(pool.show(row))
            whole = len(text) <= _MOST_LETTERS
            found["text"] = text if whole else f"{text[: _MOST_LETTERS - 1]}…"
        else:  # a file that changes is shown anew, and answered as it is then
            found["version"] = self._version(row)
        return found

    def _version(self, row: int) -> str:
        return xxh3_64_hexdigest(repr(self.session.pool.state(row)).encode())

    def _shown(self, given: dict[str, Any]) -> list[int]:
        """Return rows that the page shows, and need not be asked about next."""
        words = str(given.get("shown", "")).split(",")
        rows = [int(word) for word in words if word.isdecimal() and len(word) < 20]
        n = len(self.session.pool) if self.session.pool.kind == "image" else 0
        return [row for row in rows[:MOST_ROWS] if row < n]


def _static(content: bytes, kind: str) -> Callable[[Request], Response]:
    def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return send


def _get(handler: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    def get(request: Request) -> Response:
        try:
            given = {
                name: int(value) if value.isdecimal() and len(value) < 20 else value
                for name, value in request.query_params.items()
            }
            return _Said(handler(given))
        except (TypeError, ValueError) as error:
            return _error(400, str(error))

    return get


def _post(handler: Any, state: Any) -> Any:
    """Do what the page says and return the new state with what came of it."""

    def work(given: dict[str, Any]) -> Response:
        try:
            _whole(given, "n", 8)  # before something is done that `state` can't answer
            done = handler(given)
            return _Said({**state(given), **done})
        except AnsweredError as error:
            return _error(409, f"{error.args[0]} That stays.")
        except NotAskedError as error:
            return _error(403, str(error))
        except (TypeError, ValueError) as error:
            return _error(400, str(error))
        except OSError as error:
            return _error(507, f"Not saved: {error}")

    async def post(request: Request) -> Response:
        try:
            given = json.loads(await request.body())
        except ClientDisconnect:  # nobody is there to be told
            return _error(400, "The request ended before its body.")
        except (ValueError, RecursionError):
            return _error(400, "That is no JSON.")
        if not isinstance(given, dict):
            return _error(400, "A JSON object is expected.")
        return await run_in_threadpool(work, given)

    return post


def _open(given: dict[str, Any], take: Callable[[list[int]], None]) -> dict[str, Any]:
    """Take an answer about the rows that are open still.

    Of many tiles some may have been answered in another tab, or by somebody else. The
    others were chosen one by one, and nobody should have to do that again.
    """
    rows = _rows(given)
    try:
        take(rows)
    except AnsweredError as error:
        rest = [row for row in rows if row not in error.rows]
        if not rest:
            raise
        take(rest)
        counts = f"{len(error.rows)} of {len(rows)}"
        return {"notice": f"Answered meanwhile, and left as that is: {counts}."}
    return {}


def _error(status: int, words: str) -> Response:
    return _Said({"error": words[:500]}, status)


class _Said(JSONResponse):
    """JSON; what of a name of a file is no UTF-8 is shown as a question mark."""

    def render(self, content: Any) -> bytes:
        text = json.dumps(
            content, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode("utf-8", "replace")


def _whole(given: dict[str, Any], name: str, default: int | None = None) -> int:
    value = given.get(name, default)
    if type(value) is not int or not 0 <= value <= np.iinfo(np.int32).max:
        raise ValueError(f"{name} must be a whole number.")
    if name == "n" and not 1 <= value <= MOST_ROWS:
        raise ValueError(f"n must be from 1 to {MOST_ROWS}.")
    return value


def _text(given: dict[str, Any], name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text.")
    return value


def _rows(given: dict[str, Any]) -> list[int]:
    rows = given.get("rows")
    if not isinstance(rows, list) or len(rows) > MOST_ROWS:
        raise TypeError(f"rows must be a list of at most {MOST_ROWS} rows.")
    if not all(type(row) is int for row in rows):
        raise TypeError("rows must be whole numbers.")
    return rows
