"""The rows of the view scooters_ops.metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from notifier.metrics import PREFIX

METRICS = "select name, labels, value, help from scooters_ops.metrics order by name"
"""Names, labels and help texts are the view's. A name that ends in _total is a counter; names that
end in _bucket and _sum make a histogram."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)  # the registry hashes its collectors
class DatabaseMetrics:
    """rows  what METRICS returned; None: the database did not answer"""

    rows: Rows | None

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        is_up = self.rows is not None
        help_ = "Whether the database answered this scrape; if not, its metrics are missing."
        yield GaugeMetricFamily(f"{PREFIX}database_up", help_, value=float(is_up))
        named: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.rows or ():
            # The view may be a newer version's: one odd row must not hide the rest.
            if row["value"] is not None:
                named.setdefault(row["name"], []).append(row)
        for name, rows in named.items():
            base, _, part = name.rpartition("_")
            if part == "bucket" and f"{base}_sum" in named:
                yield _histogram(base, rows, named[f"{base}_sum"])
            elif part != "sum" or f"{base}_bucket" not in named:
                yield _numbers(name, rows)


def _numbers(name: str, rows: Rows) -> Metric:
    """A counter or a gauge."""
    labels = _labels(rows)
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(f"{PREFIX}{name}", rows[0]["help"] or "", labels=labels)
    for row in rows:
        family.add_metric(_texts(row, labels), row["value"])
    return family


def _histogram(name: str, buckets: Rows, sums: Rows) -> Metric:
    """`buckets` have the label le. Prometheus wants the buckets of each series to rise, and takes
    the last one, which has no bound, for the count."""
    labels = _labels(sums)
    family = HistogramMetricFamily(f"{PREFIX}{name}", sums[0]["help"] or "", labels=labels)
    for series in sums:
        texts = _texts(series, labels)
        own = {
            bound: row["value"]
            for row in buckets
            if _texts(row, labels) == texts and (bound := _bound(row)) is not None
        }
        if inf in own:
            bounded = [(str(bound), own[bound]) for bound in sorted(own) if bound < inf]
            family.add_metric(texts, [*bounded, ("+Inf", own[inf])], series["value"])
    return family


def _bound(row: Mapping[str, Any]) -> float | None:
    try:
        return float(row["labels"]["le"])
    except (KeyError, TypeError, ValueError):
        return None


def _labels(rows: Rows) -> list[str]:
    return sorted({label for row in rows for label in row["labels"]})


def _texts(row: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    """To Prometheus an empty label and a missing one are the same."""
    values = (row["labels"].get(label) for label in labels)
    return ["" if value is None else str(value) for value in values]
