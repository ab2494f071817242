"""Files of requests, made once a run by compare_generate."""
import json
import os
import time

from .progress import say, tool
from .servers import ROOT

HOST_SERIES = 4318
# Enough that a server that waits for its disk is not waiting alone; targets keep to one.
CONNECTIONS = 16


def tools_directory():
    return os.environ.get("BASALT_COMPARE_TOOLS", os.path.join(ROOT, "build", "bench", "bin"))


def program(name):
    return os.path.join(tools_directory(), "compare_" + name)


class Dataset:
    """`hours` of `series` series at `interval_s`, ending when it was made, so that every server takes it as fresh."""

    def __init__(self, directory, series, hours, interval_s, seed, tail_s=0, connections=None):
        self.directory, self.series, self.hours = directory, series, hours
        self.connections = connections or CONNECTIONS
        self.interval_s, self.seed = interval_s, seed
        self.scrapes = int(hours * 3600 / interval_s)
        self.tail_scrapes = int(tail_s / interval_s)
        whole = (self.scrapes + self.tail_scrapes) * interval_s
        self.start_ms = int(time.time() - whole - interval_s) * 1000
        os.makedirs(directory, exist_ok=True)

    def part(self, name, first, count, order, protocol):
        """`count` scrapes from number `first` on, as a file: what compare_generate says of it, and its path."""
        path = os.path.join(self.directory, "%s-%s-%s.requests" % (name, order, protocol))
        say("generating %s: %s series x %d scrapes, %s, %s" % (
            name, format(self.series, ","), count, order,
            "gRPC stream" if protocol == "stream" else "remote write %s.0" % protocol))
        info = json.loads(tool([
            program("generate"), "--data", os.path.join(ROOT, "..", "shared", "data"), "--series", str(self.series),
            "--seed", str(self.seed), "--start-ms", str(self.start_ms), "--interval-ms", str(int(self.interval_s * 1000)),
            "--first-scrape", str(first), "--scrapes", str(count), "--order", order, "--protocol", protocol,
            # A backlog's requests are large: few keep every server busy, and its targets together in time.
            "--connections", str(4 if order == "backlog" else self.connections), "--out", path]))
        info.update(path=path, order=order, protocol=protocol, scrapes=count, interval_s=self.interval_s, seed=self.seed)
        return info

    def main(self, order="ordered", protocol="1"):
        return self.part("main", 0, self.scrapes, order, protocol)

    def tail(self, order="ordered", protocol="1"):
        """What comes after main."""
        return self.part("tail", self.scrapes, self.tail_scrapes, order, protocol)


def replay(server, info, rate=0):
    """Sends a file to a server by its protocol; what compare_replay says."""
    if info["protocol"] == "stream":
        command = [program("push"), "--file", info["path"], "--to", "127.0.0.1:%d" % server.grpc_port]
    else:
        command = [program("replay"), "--file", info["path"], "--to", server.address, "--rate", str(rate)]
        if info["order"] == "backlog":
            # A request of it is ten minutes of a target: of few targets, a few requests more and Prometheus, which
            # takes what is at most an hour behind its newest sample, refuses the others.
            command += ["--lead", str(min(32, info["targets"]))]
    sent = json.loads(tool(command))
    if sent["broken"]:
        raise RuntimeError("%s went away: %s" % (server.name, server.process.log_end()))
    if sent["refused_requests"]:
        raise RuntimeError("%s refused %d requests; the first: %s" % (server.name, sent["refused_requests"],
                                                                     sent["first_refusal"]))
    if sent["acked_samples"] != info["samples"]:
        raise RuntimeError("%s acknowledged %d of %d samples" % (server.name, sent["acked_samples"], info["samples"]))
    return sent
