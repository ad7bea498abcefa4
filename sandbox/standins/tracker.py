"""A stand-in for Yandex Tracker: creating an issue, finding it by `unique`, and myself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.standins.faults import Fault, Weighted, network_faults
from sandbox.standins.http import Call, Reply, json_reply
from sandbox.standins.server import StandIn


@dataclass(frozen=True)
class Ticket:
    """An issue."""

    key: str
    queue: str
    summary: str
    description: str
    unique: str | None


class TrackerStandIn(StandIn):
    """The Tracker of one organization.

    organization  the header that requests must name the organization with, and its value;
                  None: no such header
    """

    delivery = "create"

    def __init__(
        self,
        token: str,
        *,
        scheme: Literal["OAuth", "Bearer"] = "OAuth",
        organization: tuple[Literal["X-Org-ID", "X-Cloud-Org-ID"], str] | None = None,
        queues: Iterable[str] = ("DUTY",),
    ) -> None:
        super().__init__()
        self.token = token
        self.queues = frozenset(queues)
        self.tickets: list[Ticket] = []
        self._by_unique: dict[str, Ticket] = {}
        self._scheme = scheme
        self._organization = dict([organization] if organization else [])

    @property
    def accepted(self) -> Sequence[Ticket]:
        return self.tickets

    def token_of(self, call: Call) -> str:
        return (call.headers["Authorization"] or "").removeprefix(f"{self._scheme} ")

    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Fault(reply=_tracker_error(status, text, headers=headers), name=f"{status} {text}")

    def operation(self, path: str) -> str:
        last = path.rstrip("/").rpartition("/")[2]
        return self.delivery if last == "issues" else last

    def handle(self, call: Call) -> Reply:
        scheme, _, token = (call.headers["Authorization"] or "").partition(" ")
        if scheme != self._scheme or (token != self.token and token not in self.more_tokens):
            return _tracker_error(401, "Не авторизован.")
        named = {name: call.headers[name] for name in ("X-Org-ID", "X-Cloud-Org-ID")}
        if {name: value for name, value in named.items() if value} != self._organization:
            return _tracker_error(403, "Organization is not available, not ready or not found")
        body = call.body if isinstance(call.body, dict) else {}
        match call.method, re.sub(r"^/v[23](?=/)", "", call.path).rstrip("/"):
            case "POST", "/issues":
                return self._create(body)
            case "POST", "/issues/_findByUnique":
                found = self._with_unique(call.query.get("unique"))
                return json_reply(200, found[0]) if found else _tracker_error(404, "Не найдено.")
            case "POST", "/issues/_search":
                filters = body.get("filter")
                if not isinstance(filters, dict) or list(filters) != ["unique"]:
                    return _tracker_error(400, "This stand-in can only filter by unique.")
                found = self._with_unique(str(filters["unique"]))
                return json_reply(200, found, {"X-Total-Count": str(len(found))})
            case "GET", "/myself":
                return json_reply(200, {"login": "stand-in", "display": "Stand-in"})
            case _:
                return _tracker_error(404, "Не найдено.")

    def _create(self, body: Mapping[str, Any]) -> Reply:
        missing = [
            name
            for name in ("summary", "queue")
            if not (isinstance(body.get(name), str) and body[name].strip())
        ]
        if missing:
            return _tracker_error(422, errors=dict.fromkeys(missing, "Обязательное поле."))
        queue, unique = body["queue"], body.get("unique")
        if not isinstance(unique, str | None):
            return _tracker_error(422, errors={"unique": "Неверный тип."})
        if queue not in self.queues:
            return _tracker_error(404, "Очередь не существует.")
        if self._with_unique(unique):
            return _tracker_error(409, "Задача с таким значением unique уже существует.")
        ticket = Ticket(
            key=f"{queue}-{len(self.tickets) + 1}",
            queue=queue,
            summary=body["summary"],
            description=body.get("description", ""),
            unique=unique,
        )
        self.tickets.append(ticket)
        if unique is not None:
            self._by_unique[unique] = ticket
        return json_reply(201, self._as_issue(ticket))

    def _with_unique(self, unique: str | None) -> list[dict[str, Any]]:
        ticket = None if unique is None else self._by_unique.get(unique)
        return [self._as_issue(ticket)] if ticket else []

    def _as_issue(self, ticket: Ticket) -> dict[str, Any]:
        return {
            "self": f"{self.base_url}/v3/issues/{ticket.key}",
            "id": ticket.key.rpartition("-")[2].zfill(24),
            "key": ticket.key,
            "version": 1,
            "summary": ticket.summary,
            "description": ticket.description,
            "queue": {"key": ticket.queue, "display": ticket.queue},
            "status": {"key": "open", "display": "Открыт"},
            "unique": ticket.unique,
        }


def _tracker_error(
    status: int,
    message: str | None = None,
    *,
    errors: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    body = {
        "errors": errors or {},
        "errorsData": {},
        "errorMessages": [message] if message else [],
        "statusCode": status,
    }
    return json_reply(status, body, headers)


def tracker_faults(tracker: TrackerStandIn, client_timeout_seconds: float | None) -> list[Weighted]:
    """What Tracker is known to answer, and what any network does, with weights.

    client_timeout_seconds  some answers come after the client's timeout; None: no answer does
    """
    refusal = tracker.refusal
    return [
        *network_faults(client_timeout_seconds),
        (refusal(500, "Внутренняя ошибка."), 8),
        (refusal(503, "Сервис недоступен."), 3),
        (refusal(429, "Слишком много запросов."), 4),
        (refusal(429, "Слишком много запросов, через секунду.", 1), 4),
        (refusal(409, "Конфликт версий."), 1),
        (refusal(400, "Неверный запрос."), 0.5),
        (refusal(403, "Organization is not available, not ready or not found"), 0.5),
        (refusal(404, "Очередь не существует."), 0.5),
        (refusal(412, "Условие не выполнено."), 0.5),
        (refusal(422, "Неверные данные."), 1),
        (refusal(423, "Задача закрыта для изменений."), 0.5),
        (refusal(428, "Нужна версия."), 0.5),
        (refusal(401, "Не авторизован."), 0.5),
    ]
