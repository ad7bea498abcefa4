"""What detection and delivery cost: `make bench`.

__main__    the command
context     what every figure is measured with
fleet       what a fleet consists of, and which of its missions fall due when
databases   the databases of the fleets, and the sessions that measure in them
detection   the figures of passes, views and the trigger
baselines   what passes and views are compared with
delivery    the figures of the notifier
processes   the notifier and the sink, as processes
sink        the server that the notifier sends to
bare_httpx  what the notifier's speed is compared with
queues      the figures of queues that people would pick instead, whose workers are
            procrastinate_worker.py and graphile_worker.js
report      figures, the table of them, the progress bar

To measure something else, write functions that take a `context.Bench` and add figures to its
report, and list them in FIGURES of __main__.
"""
