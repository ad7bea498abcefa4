"""Nothing under /v1 is read without the token, and no body beyond the limit."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from logging import WARNING

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.logs import ThrottledEvent
from notifier.metrics import Metrics
from notifier.web.client_connections import AUTHORIZED
from notifier.web.problems import Problem

PREFIX = "/v1/"
MAX_BODY_BYTES = 4 * 1024 * 1024


def no_token(token_env: str) -> str:
    """Why everything under /v1 is refused while that secret is missing."""
    return f"no token is configured: the secret {token_env} is missing"


class Guard:
    """Middleware that checks the token before it lets anybody read a request under /v1.

    token  None: the secret is missing, and every request is refused
    """

    def __init__(self, app: ASGIApp, token: str | None, token_env: str, metrics: Metrics) -> None:
        self._app = app
        self._token = token
        self._token_env = token_env
        self._metrics = metrics
        self._unauthorized = ThrottledEvent(WARNING, "http_unauthorized")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            headers = [value for name, value in scope["headers"] if name == b"authorization"]
            if (problem := self._problem(headers)) is not None:
                if problem.status == HTTPStatus.UNAUTHORIZED:
                    self._metrics.http_unauthorized.inc()
                    peer, _ = scope.get("client") or (None, None)
                    self._unauthorized.happened(peer=peer)
                await problem.response()(scope, receive, send)
                return
            scope.setdefault("state", {})[AUTHORIZED] = True
            receive = _limited(receive)
        await self._app(scope, receive, send)

    def _problem(self, headers: list[bytes]) -> Problem | None:
        if self._token is None:
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, no_token(self._token_env))
        scheme, _, given = b"".join(headers[:1]).partition(b" ")
        is_known = hmac.compare_digest(given.strip(), self._token.encode())
        if scheme.lower() == b"bearer" and is_known and len(headers) == 1:
            return None
        challenge = 'Bearer realm="scooters-ops"' + (', error="invalid_token"' if given else "")
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "this needs the header Authorization: Bearer TOKEN, and the right token",
            headers={"WWW-Authenticate": challenge},
        )


def _limited(receive: Receive) -> Receive:
    left = MAX_BODY_BYTES

    async def receive_limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            # The only exception that FastAPI passes on where it reads a body.
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes"
            )
        return message

    return receive_limited
