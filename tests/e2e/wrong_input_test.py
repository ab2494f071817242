#!/usr/bin/env python3
"""Wrong input of every kind gets the right status and a message that names the field; nothing else is disturbed."""
import http.client as http_client
import json
import os
import subprocess
import time
import unittest

from harness import Basalt, ServerTest, basalt_binary, http, snappy, varint, write_request

NOW_MS = int(time.time() * 1000)


class WrongInput(ServerTest):
    def setUp(self):
        super().setUp()
        self.server = self.basalt()
        status, text = self.server.write([({"__name__": "witness"}, [(NOW_MS, 42)])])
        self.assertEqual((status, text), (204, ""))

    def tearDown(self):
        # Whatever came in between, what was there is there.
        self.assertEqual(self.server.scalar("witness", NOW_MS / 1000), 42)

    def post(self, body, **headers):
        sent = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        sent.update({k.replace("_", "-"): v for k, v in headers.items()})
        status, _, text = http("POST", self.server.url + "/api/v1/write", body, sent)
        return status, text.decode()

    def test_bodies_that_cannot_be_decoded(self):
        good = write_request([({"__name__": "x"}, [(NOW_MS, 1)])])
        for name, body, headers, status, words in (
                ("not snappy", b"\xff\xff\xff\xff\xff\xffhello", {}, 400, "snappy"),
                ("snappy cut short", snappy(good)[:-4], {}, 400, "snappy"),
                ("protobuf cut short", snappy(good[:-3]), {}, 400, "timeseries[0]"),
                ("not protobuf", snappy(b"\x0b\x0b\x0b"), {}, 400, "timeseries[0]"),
                ("unknown coding", good, {"Content_Encoding": "br"}, 415, "Content-Encoding"),
                ("unknown type", snappy(good), {"Content_Type": "text/csv"}, 415, "Content-Type"),
                ("claims too much", varint(1 << 31) + b"\x00", {}, 413, "bytes")):
            with self.subTest(name):
                got, text = self.post(body, **headers)
                self.assertEqual(got, status, text)
                self.assertIn(words, text)

    def test_series_that_break_a_rule_are_named_and_the_rest_is_stored(self):
        for name, labels, words in (
                ("duplicate", [("__name__", "x"), ("a", "1"), ("a", "2")], '"a" is there twice'),
                ("empty name", [("", "v"), ("__name__", "x")], "empty name"),
                ("no metric name", [("a", "1")], "__name__")):
            with self.subTest(name):
                good = {"__name__": "good", "case": name}
                status, text = self.server.write([(labels, [(NOW_MS, 1)]), (good, [(NOW_MS, 7)])])
                self.assertEqual(status, 400, text)
                self.assertIn("timeseries[0].labels", text)
                self.assertIn(words, text)
                self.assertEqual(self.server.scalar('good{case="%s"}' % name, NOW_MS / 1000), 7)

    def test_times_outside_of_what_is_accepted(self):
        for ms, words in ((-1, "before 1970"), (NOW_MS + 3_600_000, "too far ahead")):
            status, text = self.server.write([({"__name__": "x"}, [(ms, 1)])])
            self.assertEqual(status, 400)
            self.assertIn(words, text)

    def test_an_oversized_body_is_refused_before_it_is_sent(self):
        connection = http_client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        self.addCleanup(connection.close)
        connection.putrequest("POST", "/api/v1/write")
        connection.putheader("Content-Length", str(65 << 20))
        connection.endheaders()
        self.assertEqual(connection.getresponse().status, 413)

    def test_paths_methods_and_parameters(self):
        for method, path, status, words in (
                ("GET", "/api/v1/nothing", 404, "page not found"),
                ("GET", "/api/v1/write", 405, ""),
                ("POST", "/api/v1/status/buildinfo", 405, ""),
                ("GET", "/api/v1/query", 400, "query"),
                ("GET", "/api/v1/query?query=sum(", 400, "parse error"),
                ("GET", "/api/v1/query?query=up&time=soon", 400, '\\"time\\"'),
                ("GET", "/api/v1/query_range?query=up&start=1&end=0&step=1", 400, "end timestamp"),
                ("GET", "/api/v1/query_range?query=up&start=0&end=1&step=0", 400, "step"),
                ("GET", "/api/v1/query_range?query=up&start=0&end=99999999&step=1", 400, "11,000"),
                ("GET", "/api/v1/series", 400, "match[]"),
                ("GET", "/api/v1/series?match[]=%7B%7D", 400, "match"),
                ("GET", "/api/v1/label/%20%ff/values", 400, "")):
            with self.subTest(method + " " + path):
                got, _, body = http(method, self.server.url + path, b"" if method == "POST" else None)
                self.assertEqual(got, status, body)
                self.assertIn(words, body.decode())
                if status == 400:
                    self.assertEqual(json.loads(body)["errorType"], "bad_data")

    def test_a_bad_tenant(self):
        status, _, _ = http("GET", self.server.url + "/api/v1/query?query=1", headers={"X-Scope-OrgID": "me"})
        self.assertEqual(status, 400)


class WrongStart(ServerTest):
    def serve(self, *flags, http="127.0.0.1:0", grpc="127.0.0.1:0"):
        run = subprocess.run([basalt_binary(), "serve", "--http", http, "--grpc", grpc, *flags],
                             cwd=self.directory, capture_output=True, text=True, timeout=30, check=False)
        self.assertNotEqual(run.returncode, 0)
        return run.stderr

    def test_bad_configuration_names_file_line_and_key(self):
        with open(self.directory + "/c.yml", "w", encoding="utf-8") as f:
            f.write("http:\n  listen: 127.0.0.1:0\n  colour: red\n")
        self.assertIn("c.yml:3: http.colour: unknown key", self.serve("--config", "c.yml"))

    def test_an_address_that_is_none_or_taken_names_its_flag(self):
        self.assertIn('grpc.listen: "127.0.0.1:99999": the port is not', self.serve(grpc="127.0.0.1:99999"))
        first = self.basalt()
        taken = self.serve(http="127.0.0.1:%d" % first.port)
        self.assertIn("--http (http.listen): ", taken)
        self.assertIn("Address already in use", taken)

    def test_a_backup_is_no_data_directory(self):
        first = self.basalt()
        backup = self.directory + "/backup"
        subprocess.run([basalt_binary(), "backup", "--url", first.url, "--to", backup], check=True, capture_output=True)
        before = sorted(os.listdir(backup))
        self.assertIn("is a backup; 'basalt restore'", self.serve("--data", backup))
        self.assertEqual(sorted(os.listdir(backup)), before)

    def test_a_bad_slo_file_names_file_and_line(self):
        with open(self.directory + "/s.yml", "w", encoding="utf-8") as f:
            f.write("version: prometheus/v1\nservice: s\nslos:\n  - name: a\n    objective: 101\n")
        self.assertIn("s.yml:5", self.serve("--slo", "s.yml"))

    def test_a_data_directory_has_one_server(self):
        first = self.basalt()
        text = self.serve("--data", first.data)
        self.assertIn(first.data, text)
        self.assertEqual(first.query("1+1")["result"][1], "2")

    def test_another_partition_count_is_refused(self):
        server = Basalt(self.directory).start()
        self.keep(server)
        self.assertEqual(server.process.terminate(), 0)
        with open(self.directory + "/p.yml", "w", encoding="utf-8") as f:
            f.write("storage: {partitions: 4}\n")
        text = self.serve("--config", "p.yml", "--data", server.data)
        self.assertIn("partitions", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
