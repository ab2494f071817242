"""Basalt and its peers: how each is started, filled, settled and asked. One at a time, on loopback, with its own defaults
except where a line here says why."""
import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

from .process import Process

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def peers_directory():
    return os.environ.get("BASALT_PEERS", os.path.join(ROOT, "build", "peers"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def disk_bytes(directory):
    """(apparent, allocated); a file with several names counts once."""
    apparent = allocated = 0
    seen = set()
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                st = os.lstat(os.path.join(folder, name))
            except OSError:
                continue  # merged away while we looked
            if (st.st_dev, st.st_ino) not in seen:
                seen.add((st.st_dev, st.st_ino))
                apparent += st.st_size
                allocated += st.st_blocks * 512
    return apparent, allocated


class Server:
    """name, title; url once started. `directory` is its own and survives restarts."""
    name = title = ready_path = ""
    protocols = ("1",)

    def __init__(self, directory, flags=()):
        self.directory, self.flags = directory, list(flags)
        os.makedirs(directory)
        self.process = None
        self.port = 0

    # What a subclass says.
    def command(self):
        raise NotImplementedError

    def settle(self):
        """Returns when nothing is left to write, merge or compact."""
        raise NotImplementedError

    def version(self):
        return ""

    def data_directory(self):
        return os.path.join(self.directory, "data")

    # What all share.
    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    @property
    def url(self):
        return "http://" + self.address

    def start(self, patience=900):
        """Seconds from the start of the process until it answers that it is ready."""
        self.port = free_port()
        begun = time.monotonic()
        self.process = Process(self.command(), self.directory, self.name + ".log")
        while True:
            if not self.process.alive():
                raise RuntimeError("%s ended at its start:\n%s" % (self.name, self.process.log_end()))
            try:
                if self.get(self.ready_path, raw=True)[0] == 200 and self.process.listens_on(self.port):
                    return time.monotonic() - begun
            except OSError:
                pass
            if time.monotonic() - begun > patience:
                raise RuntimeError("%s is not ready after %g s:\n%s" % (self.name, patience, self.process.log_end()))
            time.sleep(0.005)

    def get(self, path, raw=False, method="GET", timeout=600, **params):
        """(status, bytes) if raw; otherwise Prometheus' `data`, or RuntimeError with what went wrong."""
        query = urllib.parse.urlencode(params, doseq=True)
        request = urllib.request.Request(self.url + path + ("?" + query if query else ""), method=method,
                                         data=b"" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
        if raw:
            return status, body
        if status != 200:
            raise RuntimeError("%s: HTTP %d: %s" % (path, status, body[:300].decode("utf-8", "replace").strip()))
        return json.loads(body)["data"]

    def metric(self, name):
        """The sum of one of its own metrics."""
        page = self.get("/metrics", raw=True)[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith((name + "{", name + " ")))

    def stop(self, kill=False):
        if self.process is not None:
            self.process.end(kill)
            self.process = None

    def remove(self):
        self.stop(kill=True)
        shutil.rmtree(self.directory, ignore_errors=True)


class Basalt(Server):
    name, title, ready_path = "basalt", "Basalt", "/-/ready"
    protocols = ("1", "2", "stream")
    more = ""  # further lines of its configuration

    @staticmethod
    def binary():
        return os.environ.get("BASALT_BINARY", os.path.join(ROOT, "build", "bench", "basalt"))

    def command(self):
        path = os.path.join(self.directory, "basalt.yml")
        self.grpc_port = free_port()
        with open(path, "w", encoding="utf-8") as f:
            # Its own metrics would be samples that the others do not get; the second limit is what counting all
            # samples of a large data set takes.
            f.write("self: {interval: 0s, slo: false}\nquery: {max_samples: 2000000000, timeout: 10m}\n" + self.more)
        return [self.binary(), "serve", "--http", self.address, "--grpc", "127.0.0.1:%d" % self.grpc_port,
                "--data", self.data_directory(), "--config", path, *self.flags]

    def settle(self):
        status, body = self.get("/-/settle", raw=True, method="POST", timeout=3600)
        if status != 200:
            raise RuntimeError("basalt: settle: HTTP %d: %s" % (status, body[:300].decode("utf-8", "replace")))

    def version(self):
        return self.get("/api/v1/status/buildinfo")["version"]


class VictoriaMetrics(Server):
    name, title, ready_path = "victoriametrics", "VictoriaMetrics", "/health"

    def command(self):
        return [os.path.join(peers_directory(), "usr", "bin", "victoria-metrics"),
                "-storageDataPath=" + self.data_directory(), "-httpListenAddr=" + self.address,
                # Its default forgets after a month; the limits are what counting all samples takes.
                "-retentionPeriod=100y", "-search.maxUniqueTimeseries=10000000", "-search.maxSeries=10000000",
                "-search.maxSamplesPerQuery=1000000000000", "-search.maxQueryDuration=10m",
                # It hangs up after two minutes by default, on a busy machine also on requests under way, again and again.
                "-http.connTimeout=24h", *self.flags]

    def settle(self):
        self._quiet()
        merged = self._merges_finished()
        self.get("/internal/force_merge", raw=True)
        while self._merges_finished() == merged:  # it answers before it begins
            time.sleep(0.2)
        self._quiet()

    def _merges_finished(self):
        with open(self.process.log_path, encoding="utf-8") as f:
            return f.read().count("has been successfully finished")

    def _quiet(self, seconds=7, patience=120):
        """Until its files have not changed for longer than the 5 s that it keeps data (and index) in memory, and nothing merges."""
        self.get("/internal/force_flush", raw=True)
        begun = since = time.monotonic()
        before = None
        while time.monotonic() - since < seconds and time.monotonic() - begun < patience:
            now = disk_bytes(self.data_directory())
            if now != before or self.metric("vm_active_merges") != 0:
                before, since = now, time.monotonic()
            time.sleep(0.5)

    def version(self):
        page = self.get("/metrics", raw=True)[1].decode()
        at = page.find('short_version="')
        return page[at + 15:page.find('"', at + 15)] if at >= 0 else ""


class Prometheus(Server):
    name, title, ready_path = "prometheus", "Prometheus", "/-/ready"
    protocols = ("1", "2")
    rules = ""  # further lines of its configuration
    out_of_order = "10m"

    def command(self):
        path = os.path.join(self.directory, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as f:
            # Shards of one target may overtake each other by some seconds.
            f.write("storage: {tsdb: {out_of_order_time_window: %s}}\n%s" % (self.out_of_order, self.rules))
        return [os.path.join(peers_directory(), "usr", "bin", "prometheus"), "--config.file=" + path,
                "--storage.tsdb.path=" + self.data_directory(), "--web.listen-address=" + self.address,
                "--web.enable-remote-write-receiver", "--web.enable-admin-api",
                "--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest",
                "--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request",
                # Without it, counting over all metrics at once is refused: they differ in nothing but their names.
                "--enable-feature=promql-delayed-name-removal",
                "--storage.tsdb.retention.time=100y", "--query.max-samples=2000000000", "--query.timeout=10m", *self.flags]

    def settle(self):
        """It has no way to ask for it: what is in the head becomes a block by a snapshot, which holds everything as blocks
        and is what counts as its bytes on disk."""
        status, body = self.get("/api/v1/admin/tsdb/snapshot", raw=True, method="POST", timeout=3600)
        if status != 200:
            raise RuntimeError("prometheus: snapshot: HTTP %d: %s" % (status, body[:300].decode("utf-8", "replace")))
        self.snapshot = os.path.join(self.data_directory(), "snapshots", json.loads(body)["data"]["name"])

    def settled_bytes(self):
        sizes = disk_bytes(self.snapshot)
        shutil.rmtree(self.snapshot)
        return sizes

    def version(self):
        return self.get("/api/v1/status/buildinfo")["version"]


KINDS = {kind.name: kind for kind in (Basalt, VictoriaMetrics, Prometheus)}


def available(names):
    """The servers of `names` that can be run here; ({name: kind}, [what is missing])."""
    kinds, missing = {}, []
    for name in names:
        if name not in KINDS:
            raise ValueError("--peers: \"%s\" is none of %s" % (name, ", ".join(KINDS)))
        kind = KINDS[name]
        binary = Basalt.binary() if kind is Basalt else os.path.join(
            peers_directory(), "usr", "bin", "victoria-metrics" if kind is VictoriaMetrics else "prometheus")
        if os.access(binary, os.X_OK):
            kinds[name] = kind
        else:
            missing.append("%s: no %s" % (name, binary))
    return kinds, missing
