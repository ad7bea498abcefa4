"""Whether anything is lost, or sent twice without a reason: `python -m sandbox.torture`."""
