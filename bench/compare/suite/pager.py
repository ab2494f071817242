"""A real Alertmanager, and a door before it that notes when each alert was accepted."""
import http.client
import http.server
import json
import os
import sys
import threading
import time

from .process import Process
from .servers import free_port, peers_directory


class Pager:
    """Give `url` to whoever sends alerts. accepted: {value of label sloth_slo: time of the Alertmanager's 200 for its page}"""

    def __init__(self, directory):
        os.makedirs(directory)
        with open(os.path.join(directory, "alertmanager.yml"), "w", encoding="utf-8") as f:
            f.write("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        self._port = free_port()
        self.process = Process(
            [os.path.join(peers_directory(), "usr", "bin", "prometheus-alertmanager"), "--config.file=alertmanager.yml",
             "--storage.path=state", "--web.listen-address=127.0.0.1:%d" % self._port, "--cluster.listen-address="],
            directory, "alertmanager.log")
        self.accepted = {}
        self._lock = threading.Lock()
        outer = self

        class Door(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802 (the library's name)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.forward(self.path, body)
                if status == 200:
                    outer.note(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                # A server that is killed breaks its connections; everything else is worth a trace.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client_address)

        self._door = Server(("127.0.0.1", 0), Door)
        self.url = "http://127.0.0.1:%d" % self._door.server_address[1]
        self._thread = threading.Thread(target=self._door.serve_forever, daemon=True)
        self._thread.start()
        self._wait_until_ready()

    def _wait_until_ready(self, patience=60):
        begun = time.monotonic()
        while True:
            try:
                if self._ask("GET", "/-/ready", None)[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() - begun > patience or not self.process.alive():
                raise RuntimeError("alertmanager is not ready:\n" + self.process.log_end())
            time.sleep(0.05)

    def _ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def forward(self, path, body):
        return self._ask("POST", path, body)

    def note(self, alerts):
        now = time.time()
        with self._lock:
            for alert in alerts:
                labels = alert["labels"]
                if labels.get("severity") == "page" and "sloth_slo" in labels:
                    self.accepted.setdefault(labels["sloth_slo"], now)

    def close(self):
        self._door.shutdown()
        self._door.server_close()
        self.process.end(kill=True)
