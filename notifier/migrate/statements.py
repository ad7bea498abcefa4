"""The statements of sql/, in the order of sql/install.sql."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlparse

VIEW = re.compile(r"create or replace view (?P<name>\w+\.\w+)\s")
FUNCTION = re.compile(r"create or replace (?:function|procedure) (?P<name>\w+\.\w+)\s*\(")
TRIGGER = re.compile(r"create or replace trigger (?P<name>\w+) .*? on (?P<table>\w+\.\w+) ")
COMMENT = re.compile(
    r"comment\s+on\s+(?:table|view|index|column)\s+(?P<name>\w+\.\w+)(?:\.(?P<column>\w+))?\s+is"
    r"\s+'(?P<text>(?:[^']|'')*)'"
)
LOCKS_NOBODY_OUT = re.compile(
    r"(create or replace (function|procedure|view)|comment on|grant|revoke|set|reset"
    r"|do(?! .*\balter type\b))\s"
)
COMMENTS_BEFORE = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """A statement of sql/, and the file that holds it."""

    file: Path
    text: str
    """As written, without the comments before it. Its semicolon is left out too, unless a comment
    follows it on the same line."""

    @property
    def words(self) -> str:
        """The text with single spaces, for VIEW, FUNCTION, TRIGGER and LOCKS_NOBODY_OUT."""
        return " ".join(self.text.split())


def statements(install: Path) -> list[Statement]:
    """The statements of the files that install.sql lists, in its order."""
    names = re.findall(r"^\\ir (\S+)$", install.read_text("utf-8"), re.MULTILINE)
    return [
        Statement(install.parent / name, text)
        for name in names
        for text in split((install.parent / name).read_text("utf-8"))
    ]


@cache
def split(script: str) -> tuple[str, ...]:
    """The statements of a script, each as Statement.text holds it."""
    parts = sqlparse.split(script, strip_semicolon=True)
    return tuple(text for part in parts if (text := COMMENTS_BEFORE.sub("", part, count=1)))
