"""Runs migrations on the connection that broker.storage.engine opened and locked; opens none itself."""

from alembic import context

from broker.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
