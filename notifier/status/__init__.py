"""`notifier status`: what the database says (snapshot.py), what a person must do about it
(advice.py), and both as text or JSON (report.py)."""
