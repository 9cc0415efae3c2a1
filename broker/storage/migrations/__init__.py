"""Alembic's migrations; broker.storage.engine runs them."""
