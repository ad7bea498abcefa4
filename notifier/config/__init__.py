"""The configuration: what config.json may say, how it is read, and what is wrong with it."""

from notifier.config.models import (
    ROOT,
    YEAR_SECONDS,
    Config,
    ConfigError,
    NotifierSettings,
    RetryPolicy,
    generated_files,
    json_schema,
    load,
    parse,
    parse_stored,
    read_json,
    warnings,
)

__all__ = [
    "ROOT",
    "YEAR_SECONDS",
    "Config",
    "ConfigError",
    "NotifierSettings",
    "RetryPolicy",
    "generated_files",
    "json_schema",
    "load",
    "parse",
    "parse_stored",
    "read_json",
    "warnings",
]
