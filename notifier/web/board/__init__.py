"""The board: which couriers are late or about to be, who was notified, and why.

    /                             redirects to the board
    /board                        the worst few hundred active missions, the latest notifications
    /board/missions/MISSION       everything about one mission: "why was I paged?"
    /board/static/FILE            the style, the script and the icon

Pages take `lang`, and `fragment=1` for the part that changes, which the script fetches every few
seconds. Their data comes from scooters_ops.board() and scooters_ops.board_mission(). Requests that
ask the same question share one answer while it is fresh: a hundred open boards cost the database
one query per refresh.
"""
