"""The whole system on one machine, on real parts: `make demo`.

__main__  the command: start everything, play the fleet, wait for the messages
settings  the demo's chat, queue, secrets and config
fleet     seven couriers and what happens to them
output    what the demo prints
"""

from sandbox.demo.settings import CHAT, SECRETS, demo_config

__all__ = ["CHAT", "SECRETS", "demo_config"]
