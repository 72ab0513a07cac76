"""Real servers on loopback for tests and benches, each in a temporary folder; gone with the process that started them."""

from tests.servers.n8n import N8nServer
from tests.servers.postgres import PostgresServer
from tests.servers.process import Missing
from tests.servers.rabbit import RabbitServer
from tests.servers.redis import RedisServer

__all__ = ["Missing", "N8nServer", "PostgresServer", "RabbitServer", "RedisServer"]
