"""Real servers for tests: Basalt's release binary, Debian's Prometheus, Alertmanager and node_exporter.

Everything listens on loopback, on ports that were free a moment ago; everything lives in a temporary directory and is
ended by its own process id. A program that is not there skips the test that needs it, and says so; but a Basalt that
was named (BASALT_BINARY, as tools/test does) and is not there is a failure, or every test would pass by not running.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.environ.get("BASALT_PEERS", os.path.join(ROOT, "build", "peers"))


def basalt_binary(name="basalt"):
    binary = os.environ.get("BASALT_BINARY", os.path.join(ROOT, "build", "release", "basalt"))
    path = os.path.join(os.path.dirname(binary), name)
    if not os.access(path, os.X_OK):
        if "BASALT_BINARY" in os.environ:
            raise AssertionError("no %s, which BASALT_BINARY names" % path)
        raise unittest.SkipTest("no %s; run tools/build (or set BASALT_BINARY)" % path)
    return path


def newest_peer(name):
    """Debian sid's, unpacked beside the system by tools/peers."""
    path = os.path.join(PEERS, "usr", "bin", name)
    if not os.access(path, os.X_OK):
        raise unittest.SkipTest("no %s; run tools/peers" % path)
    return path


def system_peer(name):
    """Debian 12's."""
    path = shutil.which(name)
    if path is None:
        raise unittest.SkipTest("no %s on this system; run tools/deps --test" % name)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def http(method, url, body=None, headers=None, timeout=30):
    """(status, headers, bytes); an HTTP error is an answer."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def wait_until(condition, what, seconds=30.0):
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
            why = ""
        except (OSError, urllib.error.URLError, ValueError) as error:
            why = ": %s" % error
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s%s" % (seconds, what, why))
        time.sleep(0.05)


class Process:
    """A child with its output in a file. Ended by its own id."""

    def __init__(self, name, command, directory, env=None):
        self.name = name
        self.log_path = os.path.join(directory, "%s.log" % name)
        self._log = open(self.log_path, "ab")
        self.child = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      cwd=directory, env=env)

    def alive(self):
        return self.child.poll() is None

    def log(self, last=4000):
        with open(self.log_path, "rb") as f:
            return f.read()[-last:].decode("utf-8", "replace")

    def kill(self):
        if self.alive():
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def terminate(self, seconds=15):
        """Returns the exit code; a child that does not end in time fails the test."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("%s did not end within %g s of SIGTERM:\n%s" % (self.name, seconds, self.log()))

    def close(self):
        self.kill()
        self._log.close()


class Api:
    """Prometheus' HTTP API."""

    def __init__(self, url):
        self.url = url

    def get(self, path, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        status, _, body = http("GET", self.url + path + ("?" + query if query else ""))
        answer = json.loads(body)
        if status != 200:
            raise ValueError("%s: HTTP %d: %s" % (path, status, answer.get("error")))
        return answer["data"]

    def query(self, expression, at=None, **params):
        if at is not None:
            params["time"] = "%.3f" % at
        return self.get("/api/v1/query", query=expression, **params)

    def range(self, expression, start, end, step):
        return self.get("/api/v1/query_range", query=expression, start="%.3f" % start, end="%.3f" % end, step=step)

    def scalar(self, expression, at=None):
        """The value of the only series of an instant vector, or None."""
        result = self.query(expression, at)["result"]
        assert len(result) <= 1, "%s: %d series" % (expression, len(result))
        return float(result[0]["value"][1]) if result else None


class Basalt(Api):
    def __init__(self, directory, *flags, http_port=None, name="basalt"):
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.flags = list(flags)
        self.port = http_port or free_port()
        self.grpc_port = free_port()
        self.name = name
        self.process = None
        super().__init__("http://127.0.0.1:%d" % self.port)

    def start(self, wait=True, seconds=60):
        if self.process is not None:
            self.process.close()
        command = [basalt_binary(), "serve", "--http", "127.0.0.1:%d" % self.port,
                   "--grpc", "127.0.0.1:%d" % self.grpc_port, "--data", self.data] + self.flags
        self.process = Process(self.name, command, self.directory)
        if wait:
            def ready():
                if not self.process.alive():
                    raise AssertionError("basalt ended:\n" + self.process.log())
                return http("GET", self.url + "/-/ready")[0] == 200
            wait_until(ready, "basalt ready", seconds)
        return self

    def write(self, series, seconds_patience=30):
        """series: [(labels dict, [(ms, value), ...]), ...]. (status, text)"""
        status, _, body = http("POST", self.url + "/api/v1/write", snappy(write_request(series)),
                               {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                                "X-Prometheus-Remote-Write-Version": "0.1.0"}, timeout=seconds_patience)
        return status, body.decode("utf-8", "replace")

    def close(self):
        if self.process is not None:
            self.process.close()


class Prometheus(Api):
    def __init__(self, binary, directory, config, name, port, features=()):
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.config_path = os.path.join(self.directory, "prometheus.yml")
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(config)
        self.port = port
        super().__init__("http://127.0.0.1:%d" % self.port)
        self.process = Process(name, [binary, "--config.file=" + self.config_path,
                                      "--storage.tsdb.path=" + os.path.join(self.directory, "tsdb"),
                                      "--web.listen-address=127.0.0.1:%d" % self.port,
                                      "--enable-feature=" + ",".join(
                                          ("exemplar-storage", "promql-at-modifier", "promql-negative-offset", *features))],
                               self.directory)
        wait_until(lambda: http("GET", self.url + "/-/ready")[0] == 200, name + " ready")

    def metric(self, name):
        """The sum of one of its own metrics, from its /metrics page."""
        _, _, body = http("GET", self.url + "/metrics")
        values = [float(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines()
                  if line.startswith((name + "{", name + " "))]
        return sum(values)

    def close(self):
        self.process.close()


class ServerTest(unittest.TestCase):
    """A temporary directory that goes away, and servers that are ended whatever happens."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.directory = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="basalt-e2e-"))

    def keep(self, server):
        self.stack.callback(server.close)
        return server

    def basalt(self, *flags, **options):
        """With no series of its own, unless the flags name a configuration."""
        if "--config" not in flags:
            quiet = os.path.join(self.directory, "quiet.yml")
            with open(quiet, "w", encoding="utf-8") as f:
                f.write("self: {interval: 0s, slo: false}\n")
            flags = (*flags, "--config", quiet)
        return self.keep(Basalt(self.directory, *flags, **options)).start()


# ---- remote write, by hand: nothing but the standard library

def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def label_bytes(name, value):
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def sample_bytes(ms, value):
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ms & (1 << 64) - 1))


def write_request(series):
    out = b""
    for labels, samples in series:
        pairs = sorted(labels.items()) if isinstance(labels, dict) else labels
        out += field(1, b"".join(label_bytes(n, v) for n, v in pairs) + b"".join(sample_bytes(*s) for s in samples))
    return out


def snappy(data):
    """Snappy's block format with literals only: valid, and needs no library."""
    out = bytearray(varint(len(data)))
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out.append(61 << 2)  # a literal whose length - 1 follows in two bytes
        out += struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)
