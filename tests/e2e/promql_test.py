#!/usr/bin/env python3
"""The same queries, valid and not, to Basalt and to the Prometheus of tools/peers, over the same data.

promql/queries.txt has the queries, promql/known.txt those whose answers differ, with the reason: nearly always that
Basalt has the semantics of Prometheus' main branch, and the peer is 3.5. A difference that is not told there fails, and so does
one that is told and is not there any more. Data and comparing are those of ../shared/accept; without it, or without the peer,
this is skipped.

Two evaluations a query; BASALT_TEST_LONG=1 does five. `promql_test.py --show PATTERN` prints what differs for queries
that match.
"""
import os
import re
import sys
import time
import types
import unittest

from harness import ROOT, ServerTest, basalt_binary, newest_peer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "promql")
ACCEPT = os.path.join(ROOT, "..", "shared", "accept")


def known():
    """{query: reason}; the lines of a reason follow it, behind "## "."""
    out, reason = {}, None
    with open(os.path.join(HERE, "known.txt"), encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("## "):
                reason = line[3:]
            elif line.strip() and not line.startswith("#!"):
                out[line.replace("⏎", "\n")] = reason
    return out


def queries():
    with open(os.path.join(HERE, "queries.txt"), encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f]
    return [line.replace("⏎", "\n") for line in lines if line.strip() and not line.startswith("#!")]


class Pair:
    """Both servers with the data in them."""

    def __init__(self):
        if not os.path.isdir(ACCEPT):
            raise unittest.SkipTest("no ../shared/accept")
        sys.path.insert(0, ACCEPT)
        import dataset
        import differ
        import promqltest
        self.differ = differ
        self.base = int(time.time()) // 86400 * 86400 - 2 * 86400
        self.end = self.base + dataset.SPAN_S
        self.servers = []
        series = dataset.build(self.base * 1000, 1)
        basalt = basalt_binary() + " serve --http 127.0.0.1:{port} --grpc 127.0.0.1:0 --data {data}"
        commands = ((promqltest.PROFILES["prometheus"]["cmd"], newest_peer("prometheus")), (basalt, None))
        self.apis = []
        try:
            for command, binary in commands:
                server = promqltest.Server(types.SimpleNamespace(
                    server_cmd=command, bin=binary, data_root=None, keep_data=False, prefix="", ready_path="/-/ready",
                    start_timeout=60))
                self.servers.append(server)
                differ.load_data(server.url, series, types.SimpleNamespace(write_path="/api/v1/write", rw_version=1, settle=0.5), None)
                self.apis.append(promqltest.Api(server.url, "", {}))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for server in self.servers:
            server.stop()

    def differences(self, query):
        """Of all evaluations: ["@8400 values: 3, reference 4", ...]."""
        text = query
        for name, value in (("MID", (self.base + self.end) // 2), ("BASE", self.base), ("END", self.end)):
            text = re.sub(r"\b%s\b" % name, str(value), text)
        out = []
        for ev in self.differ.evaluations(self.base, self.end, "BASALT_TEST_LONG" not in os.environ):
            theirs, ours = (self.differ.ask(api, text, ev) for api in self.apis)
            found = self.differ.diff(text, theirs, ours, self.differ.Tol(1e-9, 1e-15))
            if found is None and theirs["status"] == "error" and theirs["error"] != ours["error"]:
                found = ("error", "%s\n      reference %s" % (ours["error"], theirs["error"]))
            if found is None and self.differ.annot(theirs) != self.differ.annot(ours):
                found = ("annotations", "%s\n      reference %s" % (self.differ.annot(ours), self.differ.annot(theirs)))
            if found is not None:
                at = "@%g" % (ev[1] - self.base) if ev[0] == "instant" else "%g..%g/%g" % (ev[1] - self.base, ev[2] - self.base, ev[3])
                out.append("%s %s: %s" % (at, found[0], found[1][:400]))
        return out


class PromQL(ServerTest):
    def test_answers_are_those_of_prometheus(self):
        pair = Pair()
        self.addCleanup(pair.stop)
        reasons, unexplained, gone = known(), [], []
        asked = queries()
        self.assertEqual(sorted(set(reasons) - set(asked)), [], "known.txt tells of queries that are not asked")
        for query in asked:
            found = pair.differences(query)
            if found and query not in reasons:
                unexplained.append("%s\n    %s" % (query, found[0]))
            if not found and query in reasons and "BASALT_TEST_LONG" in os.environ:
                gone.append(query)
        self.assertEqual(unexplained, [], "\n" + "\n".join(unexplained))
        self.assertEqual(gone, [], "these do not differ any more")


def show(pattern):
    pair = Pair()
    try:
        for query in queries():
            if re.search(pattern, query):
                for text in pair.differences(query):
                    print("%s\n    %s" % (query.replace("\n", "⏎"), text))
    finally:
        pair.stop()


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--show":
        show(sys.argv[2])
    else:
        unittest.main(warnings="ignore")  # the clients of ../shared leave sockets open
