"""Identifiers in paths: any character, percent-encoded, the slash included.

Servers decode a path before it is routed, and then a slash within an identifier looks like one
between two. Here the path stays encoded until it is routed, and each identifier is decoded after.
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


class Heads:
    """Answers HEAD wherever GET is answered, with the same headers (RFC 9110, 9.3.2); the server
    leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class EncodedPaths:
    """Routes by the path as it was sent; one that is no UTF-8, or holds a NUL, is refused."""

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
            # However it was encoded, the same path is the same here.
            scope = {**scope, "path": "/".join(quote(segment, safe="") for segment in segments)}
        await self._app(scope, receive, send)


def _is_text(segment: bytes) -> bool:
    try:
        return "\0" not in segment.decode()
    except UnicodeDecodeError:
        return False
