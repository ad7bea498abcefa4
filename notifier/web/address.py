"""Where the HTTP server listens."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass


class AddressUnusable(Exception):
    """The address cannot be listened on; the message names it and says why."""


@dataclass(frozen=True)
class Address:
    """Where to listen. Port 0: any free port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """127.0.0.1:8080, [::1]:8080 or localhost:8080. Raises ValueError."""
        parts = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]]+)):([0-9]{1,5})", text)
        if parts is None or int(parts[3]) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
        return cls(parts[1] or parts[2], int(parts[3]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def listen(self) -> socket.socket:
        """Raises AddressUnusable."""
        try:
            family, _, _, _, where = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return socket.create_server(where[:2], family=family, backlog=2048)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            # create_server() repeats the address at the end of its reason.
            raise AddressUnusable(
                f"cannot listen on {self}: {reason.partition(' (while')[0]}"
            ) from None
