"""Who may talk to the page: one browser that was given the address, and no other site.

The page listens on this machine, where any web site that is open in the browser can
send requests to it. They are refused by what a site can't fake or know: the token in
the path, the `Origin` and `Host` headers that browsers set, and a content type that
forms can't send.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

# Bytes of a request's body: several times the largest answer that is taken.
MOST_BYTES = 64 * 1024
# Letters of a path: several times the longest of the page.
_MOST_LETTERS = 1000


class Guard:
    """ASGI middleware that lets through what the page itself sends.

    Parameters
    ----------
    app : ASGI application
        Sees the paths behind the token.
    token : str
    hosts : collection of str
        What the `Host` header may be, with the port, in lower case.
    framed : bool, default=False
        Whether pages of this machine, such as a notebook, may show it in a frame.
    """

    def __init__(
        self, app: Any, token: str, hosts: Collection[str], *, framed: bool = False
    ) -> None:
        self.app = app
        self.token = token
        self.hosts = frozenset(hosts)
        # Any port of this machine: a notebook's is not known.
        frames = "http://localhost:* http://127.0.0.1:*" if framed else "'none'"
        self.headers = {
            "content-security-policy": "default-src 'none'; script-src 'self'; "
            "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
            f"form-action 'none'; frame-ancestors {frames}",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refused(scope)
        if refused is not None:
            await PlainTextResponse(refused[1], refused[0])(scope, receive, send)
            return
        prefix = f"/{self.token}"
        path = scope["path"].removeprefix(prefix)
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self.headers)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(inner, receive, with_headers)

    def _refused(self, scope: Any) -> tuple[int, str] | None:
        """Return status and words of a refusal, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            return 400, f"This page is not known as {host[:100]!r}."
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}":
            return 403, "Other sites may not use this page."
        if headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET":
            return 403, "Other sites may not use this page."
        given = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return 403, (
                "Wrong or missing token. Open the whole address that was printed where "
                "the page was started."
            )
        if len(scope["path"]) > _MOST_LETTERS:
            return 414, "There is no page of such a name."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return 405, "GET and POST only."
        if origin is None:
            return 403, "No Origin header."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return 415, "JSON only."
        length = headers.get("content-length", "")
        # A body in chunks is as long as it likes, whatever its length is said to be.
        if not length.isdecimal() or "transfer-encoding" in headers:
            return 411, "No Content-Length header."
        if int(length) > MOST_BYTES:
            return 413, f"At most {MOST_BYTES} bytes at once."
        return None
