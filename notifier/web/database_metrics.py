"""The rows of the view scooters_ops.metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from notifier.metrics import PREFIX

METRICS = "select name, labels, value, help from scooters_ops.metrics order by name"
"""Names, labels and help texts are the view's; a name that ends in _total is a counter."""


@dataclass(frozen=True, eq=False)  # the registry hashes its collectors
class DatabaseMetrics:
    """rows  what METRICS returned; None: the database did not answer"""

    rows: Sequence[Mapping[str, Any]] | None

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        is_up = self.rows is not None
        help_ = "Whether the database answered this scrape; if not, its metrics are missing."
        yield GaugeMetricFamily(f"{PREFIX}database_up", help_, value=float(is_up))
        for name, group in groupby(self.rows or (), key=lambda row: row["name"]):
            # The view may be a newer version's: one odd row must not hide the rest.
            rows = [row for row in group if row["value"] is not None]
            if not rows:
                continue
            labels = sorted({label for row in rows for label in row["labels"]})
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(f"{PREFIX}{name}", rows[0]["help"] or "", labels=labels)
            for row in rows:
                # To Prometheus an empty label and a missing one are the same.
                values = (row["labels"].get(label) for label in labels)
                texts = ["" if value is None else str(value) for value in values]
                family.add_metric(texts, row["value"])
            yield family
