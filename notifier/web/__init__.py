"""The HTTP face: what the mission service calls, health and metrics; answers come from SQL."""
