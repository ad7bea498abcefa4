"""What `make router` does: a database whose functions and views stand for those of many shards."""

from notifier.router.build import make_router, update_router
from notifier.router.move import move_shard, undo_move

__all__ = ["make_router", "move_shard", "undo_move", "update_router"]
