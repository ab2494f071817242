#!/usr/bin/env python3
"""`basalt relay` between a sender and a server: the server away for a while, the relay killed in the middle, the server
killed in the middle; nothing is lost and nothing is there twice. A full spool makes senders wait."""
import json
import os
import threading
import time
import unittest

from harness import Basalt, Process, ServerTest, basalt_binary, free_port, http, snappy, wait_until, write_request

NOW = int(time.time()) * 1000
REQUESTS = int(os.environ.get("BASALT_RELAY_REQUESTS", "150"))


class Relay:
    def __init__(self, directory, server, *flags):
        self.directory = directory
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.command = [basalt_binary(), "relay", "--listen", "127.0.0.1:%d" % self.port,
                        "--server", "127.0.0.1:%d" % server.grpc_port,
                        "--spool", os.path.join(directory, "spool"), *flags]
        self.process = None

    def start(self):
        if self.process is not None:
            self.process.close()
        self.process = Process("relay", self.command, self.directory)

        def ready():
            if not self.process.alive():
                raise AssertionError("the relay ended:\n" + self.process.log())
            return http("GET", self.url + "/-/ready")[0] == 200
        wait_until(ready, "relay ready")
        return self

    def write(self, body):
        return http("POST", self.url + "/api/v1/write", body,
                    {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})

    def status(self):
        return json.loads(http("GET", self.url + "/api/v1/status/relay")[2])["data"]

    def close(self):
        if self.process is not None:
            self.process.close()


def request(n, series=20):
    """Request n: one sample of each series; the value says which request."""
    return snappy(write_request([({"__name__": "relayed_total", "series": str(i)}, [(NOW - 600_000 + n * 1000, n)])
                                 for i in range(series)]))


class Sender(threading.Thread):
    """Sends each request until it is answered 204, as senders do."""

    def __init__(self, relay, first, last):
        super().__init__()
        self.relay = relay
        self.range = range(first, last)
        self.sent = 0
        self.start()

    def run(self):
        for n in self.range:
            while True:
                try:
                    if self.relay.write(request(n))[0] == 204:
                        break
                except OSError:
                    pass
                time.sleep(0.02)
            self.sent += 1


class RelayTest(ServerTest):
    def settled(self, relay):
        wait_until(lambda: relay.status()["recordsWaiting"] == 0, "the spool is forwarded", 60)

    def check(self, server, requests):
        """Everything once: the server has taken exactly as many samples as were acknowledged to the sender."""
        self.assertEqual(server.scalar("sum(count_over_time(relayed_total[1h]))"), 20 * requests)
        self.assertEqual(server.scalar("sum(sum_over_time(relayed_total[1h]))"), 20 * sum(range(requests)))

    def test_exactly_once_over_kills_of_both(self):
        server = self.basalt()
        relay = self.keep(Relay(self.directory, server)).start()
        sender = Sender(relay, 0, REQUESTS)
        for quarter, victim in enumerate((relay, server, relay), 1):
            wait_until(lambda: sender.sent >= quarter * REQUESTS // 4, "some are sent", 60)
            victim.process.kill()
            victim.start()
        sender.join()
        self.settled(relay)
        self.check(server, REQUESTS)
        # What the stream repeated was dropped by its number: identical samples are of the two requests at most whose
        # answers a kill of the relay has swallowed, and which the sender has sent again.
        metrics = http("GET", server.url + "/metrics")[2].decode()
        identical = [line for line in metrics.splitlines() if line.startswith("basalt_storage_samples_identical_total ")]
        if identical:
            self.assertLessEqual(float(identical[0].split()[1]), 40, identical)

    def test_a_server_that_is_away(self):
        server = self.basalt()
        relay = self.keep(Relay(self.directory, server)).start()
        server.process.kill()
        for n in range(30):
            self.assertEqual(relay.write(request(n))[0], 204)
        status = relay.status()
        self.assertEqual(status["recordsWaiting"], 30)
        self.assertFalse(status["connected"])
        self.assertIn("waitingSince", status)
        relay.process.kill()
        relay.start()
        self.assertEqual(relay.status()["recordsWaiting"], 30, "it is on the disk")
        self.assertEqual(relay.write(request(30))[0], 204)
        server.start()
        self.settled(relay)
        self.check(server, 31)
        metrics = http("GET", relay.url + "/metrics")[2].decode()
        self.assertIn("basalt_relay_behind_seconds 0", metrics)
        self.assertIn("basalt_relay_connected 1", metrics)
        self.assertEqual(relay.process.terminate(), 0)

    def test_a_full_spool_makes_senders_wait_and_loses_nothing(self):
        server = self.basalt()
        relay = self.keep(Relay(self.directory, server, "--max-spool", "256KiB")).start()
        server.process.kill()
        taken = 0
        while True:
            status, headers, body = relay.write(request(taken, series=200))
            if status != 204:
                break
            taken += 1
            self.assertLess(taken, 1000)
        self.assertEqual(status, 503, body)
        self.assertIn("Retry-After", headers)
        self.assertIn(b"that the server has not taken", body)
        self.assertGreater(taken, 5)
        server.start()
        self.settled(relay)
        self.assertEqual(server.scalar("sum(count_over_time(relayed_total[1h]))"), 200 * taken)
        self.assertEqual(relay.write(request(taken))[0], 204, "and there is room again")

    def test_otlp_and_wrong_requests(self):
        server = self.basalt()
        relay = self.keep(Relay(self.directory, server)).start()
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "temp", "gauge": {"dataPoints": [{"timeUnixNano": str(NOW * 1_000_000), "asDouble": 21.5}]}},
            {"name": "lat", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
                {"timeUnixNano": str(NOW * 1_000_000), "count": "3", "sum": 6, "scale": 0, "zeroCount": "1",
                 "positive": {"offset": 1, "bucketCounts": ["2"]}}]}}]}]}]})
        status, _, answer = http("POST", relay.url + "/v1/metrics", body.encode(), {"Content-Type": "application/json"})
        self.assertEqual(status, 200, answer)
        status, _, answer = relay.write(b"no snappy")
        self.assertEqual(status, 400, answer)
        status, _, answer = http("POST", relay.url + "/api/v1/write", request(0),
                                 {"X-Scope-OrgID": "5", "Content-Type": "application/x-protobuf"})
        self.assertEqual(status, 400)
        self.assertIn(b"this relay writes for tenant 0", answer)
        self.settled(relay)
        self.assertEqual(server.scalar("temp"), 21.5)
        self.assertEqual(server.scalar("histogram_count(lat)"), 3)
        self.assertEqual(server.scalar("histogram_sum(lat)"), 6)


if __name__ == "__main__":
    unittest.main()
