"""Is anything lost, or sent twice without a reason, whatever dies and whenever? `make torture`.

__main__   the command and its report
scenarios  what is done to the notifiers, to PostgreSQL and to the stand-ins, and when
harness    the private PostgreSQL and the databases of the trials
settings   what a trial is like
scene      one trial's database, stand-ins and notifications
trial      the notifier processes of one trial, and everything that is done to it
runner     a notifier that is killed at a chosen step of a delivery
evidence   what the stand-ins and the table say
verdict    whether they agree
digests    of which alerts each message tells
attention  the silences, digests, overrides and calendars that people change meanwhile
steps      whether messages and tickets end with the truth
"""
