"""The events of a mission's history."""

from typing import Final

EVENT_TYPES: Final = (
    "mission_started",
    "point_arrived",
    "point_completed",
    "mission_completed",
    "mission_cancelled",
)
"""The types that open or close intervals; scooters_ops.opens_or_closes_interval() decides in SQL.
Other types are kept in the history and open or close nothing."""
