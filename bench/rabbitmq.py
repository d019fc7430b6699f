"""A private RabbitMQ node: own folder, ports, name, cookie and epmd; nothing shared.

The law of this file: a node never touches the machine's own RabbitMQ (its configuration, data,
cookie or epmd), and both processes are children that die with `close`. The tests build on it
(`tests.harness.rabbitmq`).
"""

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench.ports import free_port
from runtime.errors import EnvironmentUnready

START_S_MAX = 90.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONFIGURATION = """\
loopback_users = none
listeners.tcp.1 = 127.0.0.1:{port}
num_acceptors.tcp = 2
disk_free_limit.absolute = 1MB
log.file.level = warning
consumer_timeout = 1800000
"""
_MANAGEMENT = """\
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
collect_statistics_interval = 1000
"""
# An Erlang VM's idle schedulers spin by default, on the cores that the contenders need. Where those
# are busy it spins against itself: each file that rabbitmqctl looks at then takes a time slice of
# somebody else's, and it 10 s instead of one.
_NO_SPINNING = "+sbwt none +sbwtdcpu none +sbwtdio none"


def server_home() -> Path | None:
    """Folder of the installed server's scripts (``sbin``), or None where there is none."""
    roots = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_*"))
    found = [root / "sbin" for root in roots if (root / "sbin" / "rabbitmq-server").exists()]
    return found[-1] if found and shutil.which("erl") and shutil.which("epmd") else None


class RabbitMQ:
    """One node, with RabbitMQ's own defaults. `start` waits until it answers a client.

    After `kill`, `start` brings the same node back with the data it kept. With ``management`` its
    HTTP API is at `management_url`, and its figures are a second old at most.
    """

    host = "127.0.0.1"
    user = "guest"
    password = "guest"  # noqa: S105 - of a node that only this machine reaches

    def __init__(self, *, management: bool = False) -> None:
        home = server_home()
        if home is None:
            raise EnvironmentUnready(
                "no RabbitMQ server is installed here", hint="apt-get install rabbitmq-server"
            )
        self._sbin = home
        self._root = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        self.port = free_port()
        self.management_port = free_port() if management else None
        self._epmd_port = free_port()
        self.node = f"ordermill-{self.port}@localhost"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._vhosts_made = 0
        self._environment = self._write_files()

    @property
    def management_url(self) -> str:
        """The address of the management API, without an account."""
        assert self.management_port is not None, "it has no management API"
        return f"http://{self.host}:{self.management_port}"

    @property
    def pid(self) -> int:
        """Process id of the running server (the Erlang VM itself, not a wrapper)."""
        assert self._server is not None, "the node is not running"
        return self._server.pid

    def start(self) -> None:
        """Start the node and wait until it answers; EnvironmentUnready with its log if not."""
        assert self._server is None, "the node is already running"
        if self._epmd is None:
            self._epmd = self._spawn(["epmd", "-port", str(self._epmd_port)], "epmd.out")
        self._server = self._spawn([str(self._sbin / "rabbitmq-server")], "server.out")
        limit = time.monotonic() + START_S_MAX
        while not self._is_ready():
            if self._server.poll() is not None or time.monotonic() > limit:
                text = self.log()
                self.kill()
                raise EnvironmentUnready(f"RabbitMQ did not start:\n{text[-4000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the node at once (SIGKILL); its data stays."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def close(self) -> None:
        """Kill the node and remove everything it wrote."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        shutil.rmtree(self._root, ignore_errors=True)

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl`` with these arguments (about a second) and return what it printed."""
        done = subprocess.run(
            [str(self._sbin / "rabbitmqctl"), "--quiet", "--node", self.node, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EnvironmentUnready(
                f"rabbitmqctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node and return it printed."""
        return self.control("eval", expression)

    def vhost(self) -> str:
        """Return the name of a virtual host that nobody has used."""
        name = f"v{self._vhosts_made}"
        self._vhosts_made += 1
        user, every = f'<<"{self.user}">>', '<<".*">>'
        self.evaluate(
            f'begin ok = rabbit_vhost:add(<<"{name}">>, <<>>, [], {user}), '
            f'ok = rabbit_auth_backend_internal:set_permissions({user}, <<"{name}">>, '
            f"{every}, {every}, {every}, {user}) end."
        )
        return name

    def fresh_url(self) -> str:
        """Return the address of a virtual host that nobody has used, with user and password."""
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/{self.vhost()}"

    def log(self) -> str:
        """Everything the node has printed or logged so far."""
        files = [self._root / "server.out", *sorted((self._root / "log").glob("*.log"))]
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    def _write_files(self) -> dict[str, str]:
        root = self._root
        configuration, plugins = _CONFIGURATION.format(port=self.port), ""
        if self.management_port is not None:
            configuration += _MANAGEMENT.format(port=self.management_port)
            plugins = "rabbitmq_management"
        (root / "rabbitmq.conf").write_text(configuration)
        (root / "enabled_plugins").write_text(f"[{plugins}].\n")
        (root / "rabbitmq-env.conf").write_text("")
        cookie = root / ".erlang.cookie"
        cookie.write_text(f"cookie{self.port}")
        cookie.chmod(0o400)
        return {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "HOME": str(root),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": self.host,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_BASE": str(root),
            "RABBITMQ_MNESIA_BASE": str(root / "mnesia"),
            "RABBITMQ_LOG_BASE": str(root / "log"),
            "RABBITMQ_CONFIG_FILE": str(root / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(root / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(root / "server.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _NO_SPINNING,
            "RABBITMQ_CTL_ERL_ARGS": _NO_SPINNING,
            # The script then becomes the Erlang VM instead of its parent: `pid` is the server.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, command: list[str], output: str) -> subprocess.Popen[bytes]:
        # A session of its own keeps a Ctrl-C in the terminal from killing the node before us.
        with (self._root / output).open("ab") as sink:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        """Whether a client that says which protocol it speaks is answered with Connection.Start."""
        with closing(socket.socket()) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect((self.host, self.port))
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return probe.recv(1) == b"\x01"
            except OSError:
                return False
