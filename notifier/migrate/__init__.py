"""What `notifier migrate` does: the migrations, then sql/, without locking anybody out."""

from notifier.migrate.migrations import migrate

__all__ = ["migrate"]
