"""``modal-pretrain label``: label a folder in the browser and watch the model learn."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from modal_pretrain._checks import Whole
from modal_pretrain._identity import expanded
from modal_pretrain.cli.stop import STOP


def add(commands: Any) -> None:
    """Add the subcommand and its flags."""
    parser = commands.add_parser(
        "label",
        help="label your own pictures or texts in the browser",
        description="Label a folder of pictures, or the texts of a CSV file, on a page "
        "in the browser. A model learns from every answer and chooses what to ask. "
        "Answers are kept one by one: stop with Ctrl-C whenever you like, and the same "
        "command goes on from there. Needs the extra: pip install "
        '"modal_pretrain[label]".',
    )
    add = parser.add_argument
    add("folder", nargs="?", help="pictures, in subfolders too")
    add("--text", metavar="CSV", help="a CSV file with texts instead of a folder")
    add("--column", metavar="NAME", help="its column with the texts")
    add("--classes", nargs="+", metavar="NAME", help="more can be added on the page")
    add("--tags", nargs="+", default=[], metavar="NAME", help="what should not decide")
    add("--labels", metavar="FILE", help="the label file (FOLDER-labels.csv)")
    add("--out", metavar="DIR", help="for predictions and model (FOLDER-labelled)")
    add("--backbone", metavar="NAME", help="a timm model, or an encoder of texts")
    add("--image-size", type=int, metavar="PX", help="pixels (the backbone's own)")
    add("--cache", metavar="DIR", help="keeps embeddings (OUT/embeddings)")
    add("--target", type=float, default=0.95, metavar="P", help="good enough (0.95)")
    add("--seed", type=int, default=0, metavar="N", help="of what is drawn (0)")
    add("--host", default="127.0.0.1", metavar="NAME", help="listen elsewhere, too")
    add("--port", type=int, default=0, metavar="N", help="port (a free one)")
    add("--no-browser", action="store_true", help="do not open the page")
    parser.set_defaults(do=label)


def label(args: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C, then write what came of it and say how to go on.

    Parameters
    ----------
    args : argparse.Namespace

    Raises
    ------
    FileNotFoundError, ImportError, ValueError
        If something that was asked for is not possible.
    """
    try:
        with STOP.importing():
            from modal_pretrain.labelling.export import check_folder
            from modal_pretrain.labelling.label_file import beside, label_path
            from modal_pretrain.labelling.page.serve import PageServer
    except ImportError as error:
        raise ImportError(
            f"the page needs {error.name}: pip install "
            '"modal_pretrain[label]" (from a clone: pip install ".[label]").'
        ) from error
    if args.folder is not None and args.text is not None:
        raise ValueError(
            f"name a folder of pictures or a CSV file with --text, not both; got "
            f"{str(args.folder)!r} and {str(args.text)!r}."
        )
    if args.folder is None and args.text is None:
        # argparse gives a folder that comes last to the flag before it.
        lists = [f"--{name}" for name in ("classes", "tags") if getattr(args, name)]
        raise ValueError(
            "name a folder of pictures, or a CSV file with --text."
            + (
                f" A folder goes before {lists[0]}, which takes all that follows."
                if lists
                else ""
            )
        )
    if args.text is not None and args.column is None:
        raise ValueError("--text needs --column, the column with the texts.")
    if args.text is None and args.column is not None:
        raise ValueError("--column goes with a CSV file: name that with --text.")
    if args.classes and len(args.classes) == 1 and "," in args.classes[0]:
        names = shlex.join(n for n in re.split(r"\s*,\s*", args.classes[0]) if n)
        raise ValueError(
            f"--classes got one name, {args.classes[0]!r}. Names go apart by spaces: "
            f"--classes {names}. One that holds a comma can be added on the page."
        )
    Whole(least=0, most=2**32 - 1).check("--seed", args.seed)
    Whole(least=0, most=65535).check("--port", args.port)
    if args.folder is not None and expanded(args.folder).is_file():
        raise ValueError(
            f"{args.folder} is a file. Name its folder, or a CSV file as in --text "
            "FILE --column NAME."
        )
    pool = expanded(args.text if args.folder is None else args.folder)
    labels = label_path(pool, args.labels)
    out = expanded(args.out or beside(pool, "labelled"))
    with _session(args, pool, labels, out) as session:
        check_folder(session, out)
        try:
            server = PageServer(
                session, title=pool.name, out=out, host=args.host, port=args.port
            )
        except OSError as error:
            raise ValueError(str(error)) from None
        _greet(session, server.address)
        if not args.no_browser:
            # Some browsers, as $BROWSER may name one, keep whoever opens them waiting.
            threading.Thread(
                target=webbrowser.open, args=(server.address,), daemon=True
            ).start()
        server.run()
        STOP.asked = False  # that is how the page is left; what follows is not stopped
        _leave(session, out)


def _session(args: argparse.Namespace, pool: Path, labels: Path, out: Path) -> Any:
    from modal_pretrain.labelling.session import LabelSession
    from modal_pretrain.modality import lookup

    kind = "text" if args.folder is None else "image"
    params: dict[str, Any] = {"random_state": args.seed}
    params["cache"] = expanded(args.cache) if args.cache else out / "embeddings"
    if args.backbone is not None:
        params["backbone"] = args.backbone
    if args.image_size is not None:
        if kind == "text":
            raise ValueError("--image-size is for pictures.")
        params["image_size"] = args.image_size
    try:
        return LabelSession(
            pool,
            args.classes,
            labels=labels,
            column=args.column,
            estimator=lookup(kind).classifier()(**params),
            tags=args.tags,
            target=args.target,
            random_state=args.seed,
        )
    except TimeoutError as error:
        raise ValueError(str(error)) from None


def _greet(session: Any, address: str) -> None:
    pool, lost, progress = session.pool, session.lost, session.progress()
    say = sys.stdout.write
    what = "texts" if pool.kind == "text" else "pictures"
    say(f"{len(pool):,} {what}, {progress.labelled:,} labelled in {session.path}\n")
    for words, found in (
        ("left out", pool.left_out),
        ("labelled and not there any more", lost.vanished),
        ("moved, labels kept", [f"{old} -> {new}" for old, new in lost.moved]),
        ("changed, labels dropped", lost.changed),
    ):
        if found:
            more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
            say(f"{words}: {', '.join(found[:3])}{more}\n")
    say(f"\nOpen this page (whoever has the address can label):\n\n  {address}\n\n")
    say("Ctrl-C ends it; nothing that was answered gets lost.\n")
    sys.stdout.flush()


def _leave(session: Any, out: Path) -> None:
    say = sys.stdout.write
    progress = session.progress()
    say(f"\n{progress.labelled:,} labels in {session.path}\n")
    if not progress.labelled:
        return
    done = session.export(out)
    say(f"Labels:      {done.labels}\nPredictions: {done.predictions}\n")
    if done.unseen:  # they replace those of yesterday, which may have had all
        say(f"             none yet for {done.unseen:,} of {progress.n:,}, as ")
        if done.model is None:
            say("there was no model yet\n")
        elif progress.labelled < progress.first:
            say(f"the page's model begins with\n             {progress.first} labels\n")
        else:  # it may not have begun to learn
            say("the model had not seen them:\n             end the command later\n")
    if done.model is not None:
        say(f"Model:       {done.model}\n\n")
        say("".join(f"    {line}\n" for line in done.code.splitlines()))
    say("\nThe same command goes on from here.\n")
