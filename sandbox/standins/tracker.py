"""A stand-in for Yandex Tracker: creating an issue, finding it by `unique`, comments, transitions,
and myself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from sandbox.standins.faults import Fault, Weighted, network_faults
from sandbox.standins.http import Call, Reply, json_reply
from sandbox.standins.server import StandIn


@dataclass(frozen=True)
class Comment:
    """A comment on the issue with the key `ticket`."""

    comment_id: int
    ticket: str
    text: str


@dataclass(frozen=True)
class Move:
    """A transition of the issue with the key `ticket` that was executed."""

    ticket: str
    transition: str
    status: str
    resolution: str | None
    comment: Comment | None


@dataclass
class Ticket:
    """An issue.

    status    a key of TrackerStandIn.statuses
    assignee  a login
    """

    key: str
    queue: str
    summary: str
    description: str
    unique: str | None
    status: str = "open"
    resolution: str | None = None
    assignee: str | None = None
    version: int = 1
    comments: list[Comment] = field(default_factory=list)


_ISSUE = re.compile(r"/v[23]/issues/(?P<key>[^_/][^/]*)(?P<rest>/.*)?$")


class TrackerStandIn(StandIn):
    """The Tracker of one organization.

    organization  the header that requests must name the organization with, and its value;
                  None: no such header
    tickets       those that nobody has deleted, in order
    moves         the transitions that requests executed, in order
    statuses      the type of each status
    workflow      for each status: the ids of its transitions, and where they lead
    resolutions   those that a ticket can be closed with
    links_pages   whether a page of comments has a Link header to the next one
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
        self.moves: list[Move] = []
        self.statuses = {
            "open": "new",
            "inProgress": "inProgress",
            "closed": "done",
            "cancelled": "cancelled",
        }
        self.workflow = {
            "open": {"start": "inProgress", "close": "closed", "cancel": "cancelled"},
            "inProgress": {"stop": "open", "close": "closed"},
            "closed": {"reopen": "open"},
            "cancelled": {"reopen": "open"},
        }
        self.resolutions = {"fixed", "wontFix"}
        self.links_pages = True
        self._by_key: dict[str, Ticket] = {}
        self._by_unique: dict[str, Ticket] = {}
        self._created = 0
        self._comment_id = 0
        self._scheme = scheme
        self._organization = dict([organization] if organization else [])

    @property
    def accepted(self) -> Sequence[Ticket]:
        return self.tickets

    @property
    def comments(self) -> list[Comment]:
        """All comments, in order; those of transitions too."""
        return sorted(
            (comment for ticket in self.tickets for comment in ticket.comments),
            key=lambda comment: comment.comment_id,
        )

    def ticket(self, key: str) -> Ticket | None:
        """The ticket with this key, unless somebody has deleted it."""
        return self._by_key.get(key)

    def ticket_of(self, call: Call) -> Ticket | None:
        """The ticket that a request names in its path."""
        found = _ISSUE.match(call.path)
        return self.ticket(unquote(found["key"])) if found else None

    def assign(self, key: str, login: str | None = "ivanov") -> None:
        """What a person does who takes care of a ticket; None: who hands it back."""
        with self._lock:
            self._existing(key).assignee = login

    def move(self, key: str, status: str) -> None:
        """What a person does who changes a ticket's status."""
        with self._lock:
            self._existing(key).status = status

    def say(self, key: str, text: str) -> None:
        """What a person does who comments on a ticket."""
        with self._lock:
            self._comment(self._existing(key), text)

    def delete(self, key: str) -> None:
        """What an administrator does who deletes a ticket."""
        with self._lock:
            ticket = self._existing(key)
            self.tickets.remove(ticket)
            del self._by_key[key]
            if ticket.unique is not None:
                del self._by_unique[ticket.unique]

    def token_of(self, call: Call) -> str:
        return (call.headers["Authorization"] or "").removeprefix(f"{self._scheme} ")

    def refusal(self, status: int, text: str, retry_after: int | None = None) -> Fault:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Fault(reply=_tracker_error(status, text, headers=headers), name=f"{status} {text}")

    def operation(self, method: str, path: str) -> str:
        """create, issue, comments (reading them), comment (writing one), transitions, _execute,
        statuses, _findByUnique, _search, myself"""
        if issue := _ISSUE.match(path):
            last = path.rstrip("/").rpartition("/")[2] if issue["rest"] else "issue"
            return "comment" if (method, last) == ("POST", "comments") else last
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
            case "GET", "/statuses":
                return json_reply(200, [self._as_status(status) for status in self.statuses])
            case _ if ticket := self.ticket_of(call):
                return self._with_ticket(ticket, call, body)
            case _:
                return _tracker_error(404, "Не найдено.")

    def _with_ticket(self, ticket: Ticket, call: Call, body: Mapping[str, Any]) -> Reply:
        found = _ISSUE.match(call.path)
        assert found is not None
        match call.method, (found["rest"] or "").strip("/").split("/"):
            case "GET", [""]:
                return json_reply(200, self._as_issue(ticket))
            case "GET", ["comments"]:
                return self._page_of_comments(ticket, call.query)
            case "POST", ["comments"]:
                text = body.get("text")
                if not (isinstance(text, str) and text.strip()):
                    return _tracker_error(422, errors={"text": "Обязательное поле."})
                comment = self._comment(ticket, text)
                self.ledger[-1].changed = comment
                return json_reply(201, self._as_comment(comment))
            case "GET", ["transitions"]:
                return json_reply(200, self._transitions(ticket))
            case "POST", ["transitions", transition, "_execute"]:
                return self._execute(ticket, unquote(transition), body)
            case _:
                return _tracker_error(404, "Не найдено.")

    def _page_of_comments(self, ticket: Ticket, query: Mapping[str, str]) -> Reply:
        """Those after the comment with the id `id`."""
        size = min(int(query.get("perPage", "50")), 100)
        after = int(query.get("id", "0"))
        later = [comment for comment in ticket.comments if comment.comment_id > after]
        headers = {}
        if len(later) > size and self.links_pages:
            address = f"{self.base_url}/v3/issues/{ticket.key}/comments"
            last = later[size - 1].comment_id
            headers["Link"] = (
                f'<{address}?perPage={size}>; rel="first",'
                f' <{address}?perPage={size}&id={last}>; rel="next"'
            )
        return json_reply(200, [self._as_comment(comment) for comment in later[:size]], headers)

    def _comment(self, ticket: Ticket, text: str) -> Comment:
        self._comment_id += 1
        comment = Comment(self._comment_id, ticket.key, text)
        ticket.comments.append(comment)
        ticket.version += 1
        return comment

    def _execute(self, ticket: Ticket, transition: str, body: Mapping[str, Any]) -> Reply:
        status = self.workflow[ticket.status].get(transition)
        if status is None:
            return _tracker_error(404, "Переход не найден.")
        resolution, text = body.get("resolution"), body.get("comment")
        if self.statuses[status] == "done" and resolution is None:
            return _tracker_error(422, errors={"resolution": "Обязательное поле."})
        if resolution is not None and resolution not in self.resolutions:
            return _tracker_error(422, errors={"resolution": "Резолюция не существует."})
        comment = self._comment(ticket, text) if text else None
        ticket.status, ticket.resolution = status, resolution
        ticket.version += 1
        move = Move(ticket.key, transition, status, resolution, comment)
        self.moves.append(move)
        self.ledger[-1].changed = move
        return json_reply(200, self._transitions(ticket))

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
        self._created += 1
        ticket = Ticket(
            key=f"{queue}-{self._created}",
            queue=queue,
            summary=body["summary"],
            description=body.get("description", ""),
            unique=unique,
        )
        self.tickets.append(ticket)
        self._by_key[ticket.key] = ticket
        if unique is not None:
            self._by_unique[unique] = ticket
        return json_reply(201, self._as_issue(ticket))

    def _with_unique(self, unique: str | None) -> list[dict[str, Any]]:
        ticket = None if unique is None else self._by_unique.get(unique)
        return [self._as_issue(ticket)] if ticket else []

    def _existing(self, key: str) -> Ticket:
        ticket = self.ticket(key)
        assert ticket is not None, f"there is no ticket {key}"
        return ticket

    def _as_issue(self, ticket: Ticket) -> dict[str, Any]:
        assignee = ticket.assignee
        return {
            "self": f"{self.base_url}/v3/issues/{ticket.key}",
            "id": ticket.key.rpartition("-")[2].zfill(24),
            "key": ticket.key,
            "version": ticket.version,
            "summary": ticket.summary,
            "description": ticket.description,
            "queue": {"key": ticket.queue, "display": ticket.queue},
            "status": {"key": ticket.status, "display": ticket.status},
            "unique": ticket.unique,
            **({"resolution": {"key": ticket.resolution}} if ticket.resolution else {}),
            **({"assignee": {"id": assignee, "display": assignee}} if assignee else {}),
        }

    def _as_comment(self, comment: Comment) -> dict[str, Any]:
        address = f"{self.base_url}/v3/issues/{comment.ticket}/comments/{comment.comment_id}"
        return {"self": address, "id": comment.comment_id, "text": comment.text, "version": 1}

    def _as_status(self, status: str) -> dict[str, Any]:
        return {"key": status, "name": status, "type": self.statuses[status]}

    def _transitions(self, ticket: Ticket) -> list[dict[str, Any]]:
        return [
            {"id": transition, "display": transition, "to": {"key": status, "display": status}}
            for transition, status in self.workflow[ticket.status].items()
        ]


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
