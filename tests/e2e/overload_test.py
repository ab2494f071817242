#!/usr/bin/env python3
"""Three times what the server can take: its memory stays inside its budgets, what it has no room for is answered 429 with
Retry-After, nothing acknowledged is lost, accepted throughput stays, and it recovers at once.

BASALT_OVERLOAD_SECONDS says how long the overload lasts (default 6; five minutes is the long form, and from one minute on throughput is a matter of passing, too). Prints what it
measured.
"""
import asyncio
import os
import sys
import threading
import time
import unittest

from harness import ServerTest, snappy, varint, wait_until, write_request

SECONDS = float(os.environ.get("BASALT_OVERLOAD_SECONDS", "6"))
PEAK_SECONDS = min(20.0, max(3.0, SECONDS / 6))
SERIES = 2000  # a request
TARGETS = 50   # different requests, each of series of its own
CONNECTIONS = 64  # the more wait for the disk at once, the more share a sync
MIB = 1 << 20
# Budgets of the test's configuration, and what a process needs beside them: code, threads, allocator, index and resolver of
# 100,000 series, and what may wait for the disk (64 MiB with this head; tools/serve_setup.h) and be on its way in (engine/http).
HEAD, CACHE = 64 * MIB, 64 * MIB
MOST_RSS = 2 * HEAD + CACHE + 512 * MIB


class Load:
    """Requests of TARGETS targets, each with a time of its own: what is acknowledged can be counted."""

    def __init__(self, port):
        self.port = port
        self.clock = int(time.time()) * 1000 - 3_000_000
        self.old = varint(self.clock)
        self.bodies = [snappy(write_request([({"__name__": "load", "job": str(t), "s": str(s)}, [(self.clock, s)])
                                             for s in range(SERIES)])) for t in range(TARGETS)]
        self.next = 0
        self.acked = 0
        self.refused = 0
        self.without_retry_after = 0
        self.other = {}
        self.unknown = 0  # no answer
        self.latencies = []

    def request(self):
        target, step = self.next % TARGETS, self.next // TARGETS
        self.next += 1
        # One field of each sample, 7 bytes with its tag; the length of the varint is the same for centuries.
        body = self.bodies[target].replace(b"\x10" + self.old, b"\x10" + varint(self.clock + step * 10))
        return (b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                b"Content-Encoding: snappy\r\nContent-Length: %d\r\n\r\n" % len(body)) + body

    async def connection(self, until, offered):
        """Sends when the pace says so, whatever became of the request before."""
        reader = writer = None
        while time.monotonic() < until:
            if not await offered():
                continue
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 16)
                begin = time.monotonic()
                writer.write(self.request())
                await writer.drain()
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                lines = head.decode().lower().split("\r\n")
                status = int(lines[0].split()[1])
                fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
                if int(fields.get("content-length", 0)):
                    await reader.readexactly(int(fields["content-length"]))
                if status == 204:
                    self.acked += 1
                    self.latencies.append(time.monotonic() - begin)
                elif status == 429:
                    self.refused += 1
                    self.without_retry_after += "retry-after" not in fields
                else:
                    self.other[status] = self.other.get(status, 0) + 1
                if fields.get("connection") == "close":
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                self.unknown += 1
                writer = None
        if writer is not None:
            writer.close()

    def run(self, seconds, connections, rate=None):
        """`rate`: requests a second that are offered; None: as fast as they are answered. Returns acknowledged requests/s."""
        begin, before = time.monotonic(), self.acked
        offered_at = [begin]

        async def pace():
            if rate is None:
                return True
            offered_at[0] = max(offered_at[0] + 1 / rate, time.monotonic() - 1)
            await asyncio.sleep(max(0, offered_at[0] - time.monotonic()))
            return True

        async def everything():
            await asyncio.gather(*(self.connection(begin + seconds, pace) for _ in range(connections)))
        asyncio.run(everything())
        return (self.acked - before) / (time.monotonic() - begin)


class Memory(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path = "/proc/%d/status" % pid
        self.most = 0
        self.running = True
        self.start()

    def run(self):
        while self.running:
            with open(self.path, encoding="utf-8") as f:
                self.most = max([self.most] + [int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS")])
            time.sleep(0.1)


class Overload(ServerTest):
    def test_three_times_the_saturating_load(self):
        config = os.path.join(self.directory, "small.yml")
        with open(config, "w", encoding="utf-8") as f:
            f.write("self: {interval: 0s, slo: false}\n"
                    "storage: {head_memory: 64MiB, cache_memory: 64MiB}\n")
        server = self.basalt("--config", config)
        os.nice(5)  # the client must not take what it measures
        load = Load(server.port)
        load.run(1, CONNECTIONS)  # series are made
        peak = load.run(PEAK_SECONDS, CONNECTIONS)
        load.latencies.clear()
        memory = Memory(server.process.child.pid)
        # Enough at once to fill every queue: 512 places for a tenant.
        accepted = load.run(SECONDS, 1200, rate=3 * peak)
        recovered_after = self.recover(load)
        memory.running = False
        memory.join()
        stored = wait_until(lambda: server.scalar("sum(count_over_time(load[2h]))"), "the count", 120)
        report = ("overload: peak %.0f samples/s, offered 3 times that for %g s: accepted %.0f/s (%.0f %%), %d of %d requests "
                  "refused, most memory %d MiB (bound %d), recovered after %.2f s, %d samples acknowledged, %d stored" % (
                      peak * SERIES, SECONDS, accepted * SERIES, 100 * accepted / peak, load.refused, load.next,
                      memory.most // MIB, MOST_RSS // MIB, recovered_after, load.acked * SERIES, stored))
        print(report, file=sys.stderr)
        self.assertEqual(load.other, {}, report)
        self.assertEqual(load.without_retry_after, 0, report)
        self.assertGreaterEqual(stored, load.acked * SERIES, report)
        self.assertLessEqual(stored, (load.acked + load.unknown) * SERIES, report)
        self.assertLess(memory.most, MOST_RSS, report)
        self.assertLess(recovered_after, 5, report)
        if SECONDS >= 60:
            # A few seconds on a machine that does other things, too, say nothing of throughput; nor do they fill queues.
            self.assertGreater(load.refused, 0, "that was no overload: " + report)
            self.assertGreaterEqual(accepted, 0.8 * peak, report)

    def recover(self, load):
        """Until requests are taken, one after another, each within a second."""
        begin = time.monotonic()
        good = 0
        while good < 10:
            self.assertLess(time.monotonic() - begin, 60, "no recovery")
            before, at = load.acked, time.monotonic()
            load.run(0.05, 1)
            good = good + 1 if load.acked > before and time.monotonic() - at < 1 else 0
            if good == 1:
                first = time.monotonic()
        return first - begin


if __name__ == "__main__":
    unittest.main()
