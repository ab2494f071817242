"""A server's process: what it costs, and its end, by its own id."""
import os
import signal
import subprocess

_TICKS = os.sysconf("SC_CLK_TCK")


_living = set()


def end_all():
    """Whatever went wrong, nothing that was started here stays."""
    for process in list(_living):
        process.end(kill=True)


class Process:
    def __init__(self, command, directory, log_name):
        self.command = command
        self.log_path = os.path.join(directory, log_name)
        self._log = open(self.log_path, "ab")
        self.child = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                      cwd=directory)
        self.pid = self.child.pid
        _living.add(self)

    def alive(self):
        return self.child.poll() is None

    def log_end(self, count=2000):
        with open(self.log_path, "rb") as f:
            return f.read()[-count:].decode("utf-8", "replace")

    def _read(self, name):
        with open("/proc/%d/%s" % (self.pid, name), encoding="utf-8") as f:
            return f.read()

    def cpu_seconds(self):
        """User and system time of all its threads and of children that have ended."""
        fields = self._read("stat").rsplit(")", 1)[1].split()
        return sum(int(v) for v in fields[11:15]) / _TICKS

    def cpu_ns(self):
        """The same by the scheduler's clock: fine enough for one query, but threads that have ended are forgotten."""
        total = 0
        folder = "/proc/%d/task" % self.pid
        for thread in os.listdir(folder):
            try:
                with open("%s/%s/schedstat" % (folder, thread), encoding="utf-8") as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass  # ended in between
        return total

    def bytes_written(self):
        """What it caused to be sent to the disk."""
        return next(int(line.split()[1]) for line in self._read("io").splitlines() if line.startswith("write_bytes"))

    def memory(self):
        """{"peak": VmHWM, "now": VmRSS, "anonymous": RssAnon} in bytes."""
        kib = {line.split(":")[0]: int(line.split()[1]) for line in self._read("status").splitlines()
               if line.startswith(("VmHWM", "VmRSS", "RssAnon"))}
        return {"peak": kib["VmHWM"] * 1024, "now": kib["VmRSS"] * 1024, "anonymous": kib["RssAnon"] * 1024}

    def listens_on(self, port):
        """True if this very process holds the port: another server on it must never be taken for ours."""
        inodes = set()
        for table in ("net/tcp", "net/tcp6"):
            for line in self._read(table).splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add("socket:[%s]" % fields[9])
        folder = "/proc/%d/fd" % self.pid
        for name in os.listdir(folder):
            try:
                if os.readlink(os.path.join(folder, name)) in inodes:
                    return True
            except OSError:
                pass  # closed in between
        return False

    def end(self, kill=False, seconds=300):
        """SIGTERM (or SIGKILL), and waits."""
        if self.alive():
            self.child.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
        self._log.close()
        _living.discard(self)
        return code
