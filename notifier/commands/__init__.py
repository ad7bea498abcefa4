"""What the commands of the command line do.

daemon.py        run, serve
installation.py  migrate, router, move
config.py        config, preview
notifications.py status, retry, acknowledge
test.py          test
"""
