"""The daemon: notifications become messages and tickets.

    notifier.py   its life: start, connect, reconnect, stop
    work_loop.py  its work on one connection: record, renew, plan, lease
    leases.py     what it has leased: sends in flight, results to record
    sending.py    one send: render, call the channel, report the result
    retry.py      what an outcome means: sent, try again later, give up
    setup.py      what follows from the config in force: channels and templates
    refusals.py   steps that the database refuses
    outage.py     the time without a database
    signals.py    what wakes the work loop

One loop does everything that touches the database: it records results, plans, and leases as many
recipients as each channel has free slots. A task of its own sends each leased recipient. The loop
runs again when something wakes it (NOTIFY, a finished task, SIGTERM), and at least every
poll_seconds. Results that arrive within a few milliseconds of each other are recorded together;
nothing else waits for them. The loop plans and looks for a new config when a NOTIFY arrives, and
every poll_seconds.

A lost connection stops only the loop: tasks go on, their results wait, and the loop records them
before anything else once the database is back. A step that the database refuses for good is retried
with back-off while the loop goes on with the other steps. If a newer version has migrated the
database meanwhile, the notifier finishes what is in flight and ends.

LISTEN needs a session. Behind a pooler that gives it none, the notifier polls every poll_seconds.
"""
