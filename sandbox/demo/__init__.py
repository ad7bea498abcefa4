"""The main job on real parts: `python -m sandbox.demo`."""
