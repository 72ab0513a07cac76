"""A RabbitMQ node of its own: own name, own epmd, own cookie, no plugins."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tests.servers.process import Server, answers, find, free_port


class RabbitServer(Server):
    """`rabbitmq-server`; takes some five seconds to start. The guest account is let in from loopback."""

    name = "rabbitmq"
    user = "rabbitmq"

    def __init__(self) -> None:
        # The wrapper on PATH insists on the system's own folders; the script behind it does not.
        self.program = find("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
        self.epmd_program = find("epmd")
        super().__init__()
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._starts = 0

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def environment(self) -> Mapping[str, str]:
        return {
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"nightshift{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            # The script then replaces itself by the Erlang VM, so that our signals and our leash reach the server.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def argv(self) -> Sequence[str]:
        return [str(self.program)]

    def start(self) -> None:
        if self._epmd is None or self._epmd.poll() is not None:
            self._epmd = self.spawn([str(self.epmd_program), "-address", "127.0.0.1", "-port", str(self.epmd_port)])
        self._starts = self._completed_starts()
        super().start()

    def ready(self) -> bool:
        return self._completed_starts() > self._starts and answers(self.port)

    def wipe(self) -> None:
        """Lose every queue and message, and every connection."""
        self.kill9()
        shutil.rmtree(self.folder / "mnesia")
        self.start()

    def remove(self) -> None:
        self.kill9()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
        super().remove()

    def log_tail(self) -> str:
        return super().log_tail() + self._node_log()[-2000:]

    def _completed_starts(self) -> int:
        return self._node_log().count("Server startup complete")

    def _node_log(self) -> str:
        return "".join(log.read_text(errors="replace") for log in sorted((self.folder / "logs").glob("*localhost.log")))
