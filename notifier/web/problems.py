"""Every error as a problem document (RFC 9457), the framework's own errors included.

Callers see no stack trace, no secret and no address.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from logging import ERROR
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from notifier.logs import event
from notifier.text import escaped
from notifier.web.pool import DatabaseAway, RightLacking

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Problem(Exception):
    """An error as it is answered."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: list[str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> JSONResponse:
        document = Document(
            title=self.status.phrase,
            status=self.status,
            detail=escaped(self.detail),
            errors=self.errors and [escaped(error) for error in self.errors],
        )
        return JSONResponse(
            document.model_dump(exclude_none=True),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


class Document(BaseModel):
    """A problem document."""

    type: str = Field(default="about:blank", description="Always about:blank: see status.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong, for a person to read.")
    errors: list[str] | None = Field(
        default=None, description="The malformed parts of the request, each with path and reason."
    )


def described(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """These errors as responses of an OpenAPI description."""
    schema = Document.model_json_schema()
    return {
        int(status): {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
            "headers": _HEADERS.get(status, {}),
        }
        for status in statuses
    }


def _header(description: str, type_: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": type_}}


_HEADERS: Mapping[HTTPStatus, Mapping[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": _header("Bearer", "string")},
    HTTPStatus.SERVICE_UNAVAILABLE: {
        "Retry-After": _header("In seconds; absent where waiting does not help.", "integer")
    },
}


def refusal(error: psycopg.Error) -> Problem | None:
    """The answer to a statement that the database refused, by its SQLSTATE; None: it is a bug."""
    detail = error.diag.message_primary or "a value cannot be stored"
    is_raised = error.diag.source_function == "exec_stmt_raise"  # by our own function
    match error:
        case psycopg.errors.NoDataFound() if is_raised:
            return Problem(HTTPStatus.NOT_FOUND, detail)
        case psycopg.errors.ObjectNotInPrerequisiteState() if is_raised:
            return Problem(HTTPStatus.CONFLICT, detail)
        case psycopg.errors.UniqueViolation():
            return Problem(HTTPStatus.CONFLICT, detail)
        case psycopg.errors.CheckViolation() if error.diag.constraint_name is not None:
            # such as mission_jobs_job_id_check
            column = error.diag.constraint_name.removesuffix("_check")
            column = column.removeprefix(f"{error.diag.table_name}_")
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{column}: too long or out of range")
        case psycopg.errors.StatementTooComplex():
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the document is nested too deeply")
        case psycopg.DataError() | psycopg.errors.ProgramLimitExceeded():
            return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
        case _:
            return None


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem document."""

    @app.exception_handler(Problem)
    async def _(request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(DatabaseAway)
    async def _(request: Request, error: DatabaseAway) -> JSONResponse:
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            str(error),
            headers=None if isinstance(error, RightLacking) else headers,
        ).response()

    @app.exception_handler(psycopg.Error)
    async def _(request: Request, error: psycopg.Error) -> JSONResponse:
        problem = refusal(error)
        if problem is None:
            return _bug(error)
        return problem.response()

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [_line(details) for details in error.errors()]
        return Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the request is malformed", errors=errors
        ).response()

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if "Allow" in headers:
            headers["Allow"] = _allowed(request)
        return Problem(HTTPStatus(error.status_code), error.detail, headers=headers).response()

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> JSONResponse:
        return _bug(error)


def _allowed(request: Request) -> str:
    """Every method that the request's path takes: a route names its own alone."""
    methods = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    if "GET" in methods:
        methods.add("HEAD")  # see notifier.web.middleware.HeadAsGet
    return ", ".join(sorted(methods))


def _bug(error: Exception) -> JSONResponse:
    event(ERROR, "bug", part="http", reason=repr(error))
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "an error of this program; its log says more"
    ).response()


def _line(details: Mapping[str, Any]) -> str:
    """body.occurred_at: Input should be ..."""
    return f"{'.'.join(str(step) for step in details['loc'])}: {details['msg']}"
