"""The notifier: turns rows of monitoring_notifications into messages and tickets."""
