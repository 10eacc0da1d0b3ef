"""A server for the page: in the foreground for a command, or beside a notebook."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import socket
import threading
from types import ModuleType
from typing import Any

import uvicorn

from modal_pretrain._checks import Whole
from modal_pretrain.labelling.page.app import PageApp
from modal_pretrain.labelling.page.guard import Guard
from modal_pretrain.labelling.session import LabelSession

_LOOPBACK = ("127.0.0.1", "localhost")


class _Server(uvicorn.Server):
    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; Ctrl-C ends that also while the event loop is made, or taken down.

        An interrupt that was raised there would be lost, or break the loop.
        """
        with self.capture_signals():
            super().run(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what is under way, such as advice, is dropped without a word."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


class PageServer:
    """The page of a session, at an address that nobody can guess.

    Parameters
    ----------
    session : LabelSession
    title : str, default="Labelling"
    out : path-like, default="labelled"
        Folder that the page exports into.
    host : str, default="127.0.0.1"
        Address to listen on. By default the page can be reached from this machine
        only. On any other it goes over the network as it is, not encrypted.
    port : int, default=0
        0 takes a free one.
    framed : bool, default=False
        Whether a notebook on this machine may show it in a frame.

    Attributes
    ----------
    address : str
        With the token; whoever has it can label.

    Raises
    ------
    OSError
        If the port can't be had.
    TypeError, ValueError
        If `host` or `port` is none.
    """

    def __init__(
        self,
        session: LabelSession,
        *,
        title: str = "Labelling",
        out: str | os.PathLike[str] = "labelled",
        host: str = "127.0.0.1",
        port: int = 0,
        framed: bool = False,
    ) -> None:
        if not isinstance(host, str):
            raise TypeError(
                f"host must be a str, such as '127.0.0.1', got {host!r} of type "
                f"{type(host).__name__}."
            )
        Whole(least=0, most=65535).check("port", port)
        self.session = session
        self._socket = _listen(host, port)
        address, port = self._socket.getsockname()[:2]
        token = secrets.token_urlsafe(18)
        names = _names(host, address)
        if port != 80:  # which browsers leave out
            names = [f"{name}:{port}" for name in names]
        self.address = f"http://{names[0]}/{token}/"
        app = PageApp(session, title, out).starlette()
        config = uvicorn.Config(
            Guard(app, token, names, framed=framed),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=32 * 1024,
        )
        self._server = _Server(config)
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            self._socket.close()

    def start(self) -> None:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what `start` began."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(5)


def beside(session: LabelSession) -> PageServer:
    """Serve a session in a thread, for a notebook on this machine to frame.

    It exports beside the label file, so that of two sessions in a folder neither
    replaces what the other has written.
    """
    _display()  # before there is a server
    name = session.path.stem
    out = session.path.with_name(f"{name.removesuffix('-labels')}-labelled")
    server = PageServer(session, title=name, out=out, framed=True)
    server.start()
    return server


def _display() -> ModuleType:
    try:
        return importlib.import_module("IPython.display")
    except ModuleNotFoundError as error:
        raise ImportError(
            "show() is for notebooks, and IPython, which they run on, is not installed "
            "here. Outside of one run `modal-pretrain label` for the same page."
        ) from error


def frame(address: str, height: int) -> Any:
    """Return a notebook's frame around an address."""
    return _display().IFrame(address, width="100%", height=height)


def _listen(host: str, port: int) -> socket.socket:
    if not host:  # which sockets take for every address
        raise OSError("host is empty; '0.0.0.0' listens on all addresses.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # who comes before the server runs waits
    except (OSError, TypeError, UnicodeError) as error:
        listening.close()  # the last two are of names that no machine can have
        raise OSError(
            f"can't listen on {host!r}, port {port}: {error}. Choose another port, or "
            "0 for a free one; 127.0.0.1 is this machine."
        ) from None
    return listening


def _names(host: str, address: str) -> list[str]:
    """Return the names under which a browser may know a host, the best first.

    A number it spells as the socket does, however it is given, such as 127.1.
    """
    if address in ("0.0.0.0", "::"):
        own = socket.gethostname()
        return [own.lower(), *_addresses(own), *_LOOPBACK]
    name = address if _is_number(host) else host.lower()
    if name in _LOOPBACK:
        return [name, *(other for other in _LOOPBACK if other != name)]
    return [f"[{name}]" if ":" in name else name]


def _is_number(host: str) -> bool:
    try:
        return ":" in host or bool(socket.inet_aton(host))
    except OSError:
        return False


def _addresses(name: str) -> list[str]:
    try:
        found: list[Any] = socket.gethostbyname_ex(name)[2]
    except OSError:
        return []
    return [str(address) for address in found]
