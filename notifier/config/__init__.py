"""The configuration: what config.json may say, how it is read, and what is wrong with it."""

from notifier.config.json_document import read_json
from notifier.config.models import YEAR_SECONDS, Config, NotifierSettings, RetryPolicy
from notifier.config.parsing import load, parse, parse_stored
from notifier.config.problems import ConfigError
from notifier.config.route_warnings import warnings
from notifier.config.seen_warnings import seen_warnings, wanted_values, zone_attributes

__all__ = [
    "YEAR_SECONDS",
    "Config",
    "ConfigError",
    "NotifierSettings",
    "RetryPolicy",
    "load",
    "parse",
    "parse_stored",
    "read_json",
    "seen_warnings",
    "wanted_values",
    "warnings",
    "zone_attributes",
]
