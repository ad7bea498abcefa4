"""What detection costs: `make bench`. Run as `python -m sandbox.bench`.

report      figures, the table of them, the progress bar
fleet       the databases that are measured: the same at each run, known to the last mission
baselines   what passes and views are compared with
detection   the figures of passes, views and the trigger
delivery    the figures of the notifier
sink        the server that it sends to
bare_httpx  what its speed is compared with

To measure something else, write a module of functions that take a `fleet.Bench` and add figures
to its report, and name them in FIGURES of __main__.
"""
