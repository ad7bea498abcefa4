"""Where secrets come from: the environment, or files that systemd's LoadCredential= provides."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

REDACTED = "***"
SHORTEST_HIDDEN = 6
"""Blotting out what is shorter would tear holes into times, names and numbers, and hide nothing."""


class SecretMissing(Exception):
    """A secret that the configuration names is absent or unusable. Its value is never told."""


class Secrets:
    """Looks secrets up by name and remembers them, so that they can be blotted out of any text."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def get(self, name: str) -> str:
        """The secret of that name: the environment variable, else the file of that name in
        $CREDENTIALS_DIRECTORY; surrounding white space does not count.

        Raises SecretMissing when there is none, when it is empty, and when it is anything but one
        word of printable ASCII: headers and URLs can carry nothing else.
        """
        secret = os.environ.get(name, "").strip() or _credential(name)
        if not secret:
            raise SecretMissing(
                f"secret {name} is missing: neither the environment variable {name} is set,"
                f" nor is there a file {name} in $CREDENTIALS_DIRECTORY"
            )
        if not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise SecretMissing(
                f"secret {name} is unusable: it must be one word of printable ASCII"
            )
        if len(secret) >= SHORTEST_HIDDEN:
            self._given |= {secret, quote(secret, safe="")}
        return secret

    def redact(self, text: str) -> str:
        """The text without any secret that was given out, plain or percent-encoded."""
        for secret in sorted(self._given, key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text


def _credential(name: str) -> str:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return ""
    path = Path(directory, name)
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SecretMissing(f"secret {name} is unusable: cannot read {path}: {reason}") from None
