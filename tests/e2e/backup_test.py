#!/usr/bin/env python3
"""What an operator does for the day when the disk fails or fills: back up, restore, verify, read warnings, make room."""
import json
import os
import shutil
import subprocess
import threading
import time
import unittest

from harness import Basalt, ServerTest, basalt_binary, http, wait_until

NOW = int(time.time())
SERIES = 40


def run(*arguments):
    done = subprocess.run([basalt_binary(), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def noisy(i, t):
    return ((i * 7919 + t) * 2654435761 % 2**32) / 1000.0


def samples(first, last):
    """Of every second of [first, last) before now, the oldest first."""
    return [({"__name__": "noise", "job": "e2e", "instance": str(i)},
             [((NOW - 4000 + t) * 1000, noisy(i, t)) for t in range(first, last)]) for i in range(SERIES)]


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x10]))


class Backups(ServerTest):
    def everything(self, server):
        """Every sample there is, by instance."""
        found = server.query("noise[2h]", at=NOW + 100, nocache=1)["result"]
        return {one["metric"]["instance"]: one["values"] for one in found}

    def test_a_backup_under_writes_comes_back_whole_and_the_next_copies_what_is_new(self):
        server = self.basalt()
        backups, restored = self.directory + "/backups", self.directory + "/restored"
        self.assertEqual(server.write(samples(0, 1200))[0], 204)
        stop, written, errors = threading.Event(), [1200], []

        def write_on():
            while not stop.is_set():
                status, text = server.write(samples(written[0], written[0] + 5))
                if status != 204:
                    errors.append(text)
                    return
                written[0] += 5
        writer = threading.Thread(target=write_on)
        writer.start()
        try:
            acknowledged = written[0]
            code, out, err = run("backup", "--url", server.url, "--to", backups, "--quiet")
        finally:
            stop.set()
            writer.join()
        self.assertEqual((code, errors), (0, []), out + err)
        self.assertEqual(http("POST", server.url + "/-/settle", b"")[0], 200)
        self.assertEqual(run("backup", "--url", server.url, "--to", backups, "--quiet")[0], 0)
        self.assertEqual(run("backup", "--url", server.url, "--to", backups, "--quiet")[0], 0)
        taken = json.loads(run("backup", "list", "--from", backups, "--json")[1])
        self.assertEqual(len(taken), 3)
        sizes = [one["newBytes"] / one["bytes"] for one in sorted(taken, key=lambda one: one["name"])]
        self.assertLess(sizes[2], 0.2, "nothing was written before the third: %s" % sizes)
        self.assertEqual(run("backup", "verify", "--from", backups, "--quiet")[0], 0)
        self.assertEqual(server.get("/api/v1/admin/tsdb/snapshots"), [], "a backup cleans up")

        # The first one, with at least what was acknowledged when it began.
        first = min(one["name"] for one in taken)
        code, out, err = run("restore", "--from", backups, "--name", first, "--data", restored, "--quiet")
        self.assertEqual(code, 0, out + err)
        self.assertEqual(run("verify", "--data", restored)[0], 0)
        copy = Basalt(self.directory, *server.flags, name="restored")
        copy.data = restored
        self.keep(copy).start()
        self.assertEqual(run("verify", "--url", copy.url)[0], 0)
        for instance, values in self.everything(copy).items():
            self.assertGreaterEqual(len(values), acknowledged)
            for t, value in values:
                self.assertEqual(float(value), noisy(int(instance), int(t) - NOW + 4000))
        copy.process.terminate()

        # The newest one is what the server has; restoring over something is refused.
        self.assertNotEqual(run("restore", "--from", backups, "--data", restored, "--quiet")[0], 0)
        shutil.rmtree(restored)
        self.assertEqual(run("restore", "--from", backups, "--data", restored, "--quiet")[0], 0)
        self.assertEqual(self.everything(copy.start()), self.everything(server))
        code, out, _ = run("backup", "prune", "--from", backups, "--keep", "1")
        self.assertEqual((code, len(json.loads(run("backup", "list", "--from", backups, "--json")[1]))), (0, 1), out)
        self.assertEqual(run("backup", "verify", "--from", backups, "--quiet")[0], 0)
        self.assertEqual(run("verify", "--data", server.data)[0], 2, "a server has it open")

    def test_a_damaged_byte_is_named_left_out_warned_of_and_remembered(self):
        server = self.basalt()
        self.assertEqual(server.write(samples(0, 600))[0], 204)
        self.assertEqual(http("POST", server.url + "/-/settle", b"")[0], 200)
        for at in range(600, 700, 10):  # later requests say that the first was durable, so damage is no torn end
            self.assertEqual(server.write(samples(at, at + 10))[0], 204)
        server.process.kill()  # so that the log has something
        self.assertEqual(run("verify", "--data", server.data)[0], 0)
        kinds = {}
        for folder in ("db", "log"):
            for name in os.listdir(os.path.join(server.data, folder)):
                path = os.path.join(server.data, folder, name)
                kind = "MANIFEST" if name.startswith("MANIFEST") else os.path.splitext(name)[1]
                if kind in ("MANIFEST", ".sst", ".log", ".seg") and os.path.getsize(path) > 700:
                    if os.path.getsize(path) > os.path.getsize(kinds.get(kind, os.devnull)):
                        kinds[kind] = path
        self.assertLessEqual({"MANIFEST", ".sst", ".seg"}, set(kinds))
        for kind, path in kinds.items():
            with self.subTest(kind=kind):
                flip(path, 600)
                code, out, err = run("verify", "--data", server.data)
                flip(path, 600)
                self.assertEqual(code, 1, out + err)
                self.assertIn(os.path.basename(path), out)
        self.assertEqual(run("verify", "--data", server.data)[0], 0)

        flip(kinds[".sst"], 600)
        for start in ("found", "remembered"):
            server.start()
            status, _, body = http("GET", server.url + "/api/v1/query?nocache=1&query=count_over_time(noise[2h])&time=%d" % (NOW + 100))
            answer = json.loads(body)
            self.assertEqual(status, 200, start)
            self.assertTrue(any("damaged" in warning for warning in answer["warnings"]), (start, answer["warnings"]))
            self.assertLess(sum(float(one["value"][1]) for one in answer["data"]["result"]), SERIES * 700)
            self.assertEqual(len(server.get("/api/v1/admin/verify")["quarantine"]), 1, start)
            _, _, body = http("GET", server.url + "/api/v1/query?query=vector(1)")
            self.assertNotIn("warnings", json.loads(body), "it needed nothing of it")
            code, out, _ = run("verify", "--url", server.url)
            self.assertEqual(code, 1)
            self.assertIn(os.path.basename(kinds[".sst"]), out)
            self.assertEqual(server.process.terminate(), 0)
        flip(kinds[".sst"], 600)
        server.start()
        self.assertEqual(run("verify", "--url", server.url)[0], 0)
        self.assertEqual(server.get("/api/v1/admin/verify")["quarantine"], [], "it reads well again")
        self.assertEqual(server.scalar("sum(count_over_time(noise[2h]))", NOW + 100), SERIES * 700)

    def test_a_full_disk_refuses_writes_answers_queries_and_ends_by_itself(self):
        small = self.directory + "/small"
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", small], capture_output=True, check=False).returncode:
            self.skipTest("a small file system needs the right to mount")
        self.stack.callback(subprocess.run, ["umount", "-l", small], check=False)
        config = self.directory + "/small.yml"
        with open(config, "w", encoding="utf-8") as f:
            f.write("self: {interval: 0s, slo: false}\nstorage: {disk_reserve: 40MiB, disk_resume: 80MiB, log_size: 8MiB}\n")
        server = Basalt(self.directory, "--config", config)
        server.data = small + "/data"
        self.keep(server).start()
        self.assertEqual(server.write(samples(0, 100))[0], 204)
        ballast = small + "/ballast"
        free = shutil.disk_usage(small).free
        with open(ballast, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, free - (20 << 20))

        def refused():
            status, headers, _ = http("POST", server.url + "/api/v1/import/prometheus", b"late 1\n")
            return status == 429 and headers["Retry-After"]
        wait_until(refused, "writes are refused", 10)
        self.assertEqual(server.write(samples(100, 110))[0], 429)
        status, _, _ = http("POST", server.url + "/api/v1/import/prometheus", b"late 1\n", {"User-Agent": "Prometheus/3.5.3"})
        self.assertEqual(status, 503, "which it sends again, unlike what is answered 429")
        self.assertEqual(server.scalar("sum(count_over_time(noise[2h]))", NOW + 100), SERIES * 100)
        _, _, body = http("GET", server.url + "/-/ready")
        self.assertIn("read-only", body.decode())
        _, _, page = http("GET", server.url + "/metrics")
        self.assertIn("\nbasalt_storage_read_only 1\n", page.decode())
        os.remove(ballast)
        wait_until(lambda: server.write(samples(100, 110))[0] == 204, "writes are taken again", 10)
        self.assertEqual(server.scalar("sum(count_over_time(noise[2h]))", NOW + 100), SERIES * 110)
        self.assertEqual(http("POST", server.url + "/-/settle", b"")[0], 200)
        self.assertEqual(server.process.terminate(), 0)
        self.assertEqual(run("verify", "--data", server.data)[0], 0)


if __name__ == "__main__":
    unittest.main()
