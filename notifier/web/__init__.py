"""The HTTP server: what the mission service calls, the board, health and metrics."""
