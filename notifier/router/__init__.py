"""What `make router` does: a database whose functions and views stand for those of many shards."""

from notifier.router.build import make_router, update_router

__all__ = ["make_router", "update_router"]
