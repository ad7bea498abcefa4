"""Real parts on one machine; the notifier never imports any of this.

postgres       a private PostgreSQL with pg_cron
databases      a migrated database on it
standins       servers that stand in for Telegram and Tracker
demo           the whole system, to watch: make demo
bench          what detection and delivery cost: make bench
torture        whether anything is lost, whatever dies: make torture
plpgsql_check  what plpgsql_check finds in our functions: make lint
commands       how these commands report progress and end
processes      process trees, and signals that must wait
"""
