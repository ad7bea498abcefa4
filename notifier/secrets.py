"""Secrets from the environment, or from files that systemd's LoadCredential= provides."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

REDACTED = "***"
MIN_REDACTED_LENGTH = 6
"""Redacting shorter secrets would damage times, names and numbers, and hide little."""


class SecretMissing(Exception):
    """A secret that the config names is missing or unusable. The message never holds its value."""


class Secrets:
    """Looks secrets up by name, and remembers them to redact them from any text."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def get(self, name: str) -> str:
        """The environment variable of this name, or else the file of this name in
        $CREDENTIALS_DIRECTORY, without surrounding white space.

        Raises SecretMissing if there is neither, if it is empty, and if it is not a single word of
        printable ASCII: headers and URLs can carry nothing else.
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
        if len(secret) >= MIN_REDACTED_LENGTH:
            self._known |= {secret, quote(secret, safe="")}
        return secret

    def redact(self, text: str) -> str:
        """The text, with *** in place of each secret that get() returned, even percent-encoded."""
        for secret in sorted(self._known, key=len, reverse=True):
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
