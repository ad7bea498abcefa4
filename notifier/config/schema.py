"""The JSON Schema of config.json, and the files that `make schema` generates from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from notifier.config.models import Config
from notifier.resources import ROOT, SQL


def json_schema() -> Mapping[str, Any]:
    """The JSON Schema of config.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(by_alias=True),
    }


def generated_files() -> Mapping[Path, str]:
    """The path and text of each file that is generated from the models."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    return {
        ROOT / "config.schema.json": schema + "\n",
        SQL / "config" / "config_schema.sql": f"""\
-- What may a config say?
-- Generated from notifier/config/models.py by "make schema"; do not edit.
create or replace function scooters_ops.config_schema()
returns jsonb
language sql immutable parallel safe
return jsonb $schema${schema}$schema$;

comment on function scooters_ops.config_schema() is
'JSON Schema of the config. apply_config checks a config against it.';

revoke execute on function scooters_ops.config_schema() from public;
""",
    }


if __name__ == "__main__":
    for path, text in generated_files().items():
        path.write_text(text, "utf-8")
        print(f"written: {path.relative_to(ROOT)}")
