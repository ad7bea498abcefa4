"""Made-up facts of a notification of each type, for `notifier preview` and for tests.

Each has the shape that `notifier.templates` describes. The times are fixed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_ARRIVED_AT: Final = datetime(2026, 11, 24, 11, 5, 10, tzinfo=UTC)
_SET_OFF_AT: Final = datetime(2026, 11, 24, 10, 31, 48, tzinfo=UTC)

_COURIER_AND_PLACE: Final[Mapping[str, Any]] = {
    "mission_id": "m-20481",
    "performer_id": "c-317",
    "attributes": {"performer_name": "Ivan Petrov", "city": "Moscow", "zone": "North"},
    "point_id": "p-58",
    "point_position": 3,
    "points_total": 7,
}

SAMPLE_FACTS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Still at the point when it was noticed.
    "timeout_in_point": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58__timeout_in_point",
        "type": "timeout_in_point",
        "job_id": None,
        "started_at": _ARRIVED_AT,
        "finished_at": None,
        "eta": timedelta(minutes=8),
        "factor": 1.5,
        "limit": timedelta(minutes=12),
        "elapsed": timedelta(minutes=12, seconds=7),
        "over": timedelta(seconds=7),
    },
    # Its events came late: it had ended already.
    "timeout_between_points": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58__timeout_between_points",
        "type": "timeout_between_points",
        "job_id": None,
        "started_at": _SET_OFF_AT,
        "finished_at": _ARRIVED_AT,
        "eta": timedelta(minutes=15),
        "factor": 1.5,
        "limit": timedelta(minutes=22, seconds=30),
        "elapsed": _ARRIVED_AT - _SET_OFF_AT,
        "over": _ARRIVED_AT - _SET_OFF_AT - timedelta(minutes=22, seconds=30),
    },
    "job_skipped": {
        **_COURIER_AND_PLACE,
        "token": "m-20481_p-58_j-2_job_skipped",
        "type": "job_skipped",
        "job_id": "j-2",
        "job_type": "battery_exchange",
        "skipped_at": _ARRIVED_AT,
    },
}
