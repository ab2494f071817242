#!/usr/bin/env python3
"""Orderly ends and sudden ones: what was acknowledged is there afterwards, bit for bit."""
import struct
import threading
import time
import unittest

from harness import Basalt, ServerTest, http

STEP_MS = 1000


class Restart(ServerTest):
    def test_sigterm_ends_within_ten_seconds_with_code_0_and_loses_nothing(self):
        server = self.basalt()
        now = int(time.time() * 1000) - 3_600_000
        for i in range(50):
            status, text = server.write([({"__name__": "a", "n": str(n)}, [(now + i * STEP_MS, i * n)]) for n in range(20)])
            self.assertEqual(status, 204, text)
        before = server.range("a", now / 1000, now / 1000 + 49, 1)
        self.assertEqual(server.process.terminate(10), 0)
        server.start()
        self.assertEqual(server.range("a", now / 1000, now / 1000 + 49, 1), before)
        self.assertEqual(len(before["result"]), 20)

    def test_every_bit_of_a_value_survives_kill_and_settle(self):
        server = self.basalt()
        now = int(time.time() * 1000) - 3_600_000
        values = [0.0, -0.0, 1e-320, 1.7976931348623157e308, float("inf"), float("-inf"), 0.1 + 0.2, 2.0 ** 53 + 2]
        status, text = server.write([({"__name__": "bits"}, [(now + i * STEP_MS, v) for i, v in enumerate(values)])])
        self.assertEqual(status, 204, text)

        def read():
            got = server.range("bits", now / 1000, now / 1000 + len(values) - 1, 1)["result"][0]["values"]
            return [struct.pack("<d", float(v)) for _, v in got]

        expected = [struct.pack("<d", v) for v in values]
        self.assertEqual(read(), expected)
        server.process.kill()
        server.start()
        self.assertEqual(read(), expected)
        status, _, text = http("POST", server.url + "/-/settle", b"", timeout=60)
        self.assertEqual(status // 100, 2, text)
        self.assertEqual(read(), expected)
        server.process.kill()
        server.start()
        self.assertEqual(read(), expected)

    def test_kill_9_during_writes_and_settles_loses_nothing_acknowledged(self):
        server = self.basalt()
        base = int(time.time() * 1000) - 7_200_000
        acked, attempted = set(), set()
        for round_number in range(4):
            stop = threading.Event()

            def settle_now_and_then():
                while not stop.is_set():
                    try:
                        http("POST", server.url + "/-/settle", b"", timeout=10)
                    except OSError:
                        return
                    time.sleep(0.2)

            def write(worker):
                i = 0
                while not stop.is_set():
                    key = (round_number, worker, i)
                    ms = base + (round_number * 2000 + i) * 100
                    attempted.add(key)
                    try:
                        status, _ = server.write([({"__name__": "w", "worker": str(worker)}, [(ms, i + 1)])], 10)
                    except OSError:
                        return
                    if status == 204:
                        acked.add(key)
                    i += 1

            threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
            threads.append(threading.Thread(target=settle_now_and_then))
            for thread in threads:
                thread.start()
            time.sleep(1.5)
            server.process.kill()
            stop.set()
            for thread in threads:
                thread.join()
            server.start()
        found = set()
        for worker in range(4):
            for series in server.query('w{worker="%d"}[3h]' % worker, time.time())["result"]:
                for t, v in series["values"]:
                    ms = round(t * 1000) - base
                    found.add((ms // 200_000, worker, int(float(v)) - 1))
        self.assertGreater(len(acked), 100)
        self.assertEqual(acked - found, set(), "acknowledged and lost")
        self.assertEqual(found - attempted, set(), "found and never sent")

    def test_not_ready_is_said_while_a_port_is_taken(self):
        first = self.basalt()
        second = self.keep(Basalt(self.directory + "/", http_port=first.port, name="second"))
        second.data = self.directory + "/other"
        second.start(wait=False)
        self.assertNotEqual(second.process.child.wait(20), 0)
        self.assertIn(str(first.port), second.process.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
