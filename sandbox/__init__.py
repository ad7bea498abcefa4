"""Real parts on one machine: an embedded PostgreSQL and stand-ins for the channels' servers.

The demo, the tests and the benchmarks run on these; the notifier itself never imports them.
"""
