"""Where the package finds the files that it needs besides its code.

In a checkout they are beside the package. A wheel holds copies of them inside the package
(`force-include` in pyproject.toml).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE = Path(__file__).resolve().parent
_IN_WHEEL = _PACKAGE / "_resources"

ROOT: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent
"""The folder of config.json, migrations/, sql/ and templates/."""

CONFIG: Final = ROOT / "config.json"
MIGRATIONS: Final = ROOT / "migrations"
SQL: Final = ROOT / "sql"
TEMPLATES: Final = ROOT / "templates"
