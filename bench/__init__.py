"""Speeds beside bare Celery, Celery with SQLAlchemy, and procrastinate, measured in turns: ratios, never absolutes."""
