"""Alembic migrations. Each one works while the code before it still runs."""
