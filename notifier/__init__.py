"""The notifier: turns rows of monitoring_notifications into messages and tickets."""

__version__ = "1.0.0"
