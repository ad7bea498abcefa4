"""What happens to a request's method and path before it is routed.

Identifiers in paths may hold any character, percent-encoded, the slash included. Servers decode a
path before they route it, and then a slash inside an identifier looks like one between two. Here
the path is routed encoded, and each identifier is decoded afterwards.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

from notifier.web.problems import Problem


class IdentifierConvertor(Convertor[str]):
    """{mission_id:identifier} in a route: a segment of the path, decoded."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("identifier", IdentifierConvertor())


class HeadAsGet:
    """Answers HEAD wherever GET is answered, with the same headers (RFC 9110, 9.3.2); the server
    leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class EncodedPaths:
    """Routes by the path as it was sent; refuses one that is not UTF-8, or that holds a NUL."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            segments = [unquote_to_bytes(each) for each in scope["raw_path"].split(b"/")]
            if not all(_is_text(segment) for segment in segments):
                problem = Problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "the path is not UTF-8, or holds a NUL"
                )
                await problem.response()(scope, receive, send)
                return
            # One spelling for each path: callers may encode more characters than they must.
            scope = {**scope, "path": "/".join(quote(segment, safe="") for segment in segments)}
        await self._app(scope, receive, send)


def _is_text(segment: bytes) -> bool:
    try:
        return "\0" not in segment.decode()
    except UnicodeDecodeError:
        return False
