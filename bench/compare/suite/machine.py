"""The machine of a run: what a number without it would not mean."""
import os
import platform
import time


def fdatasync_ms(directory, count=300, size=4096):
    """{"p50": .., "p99": ..} of appending 4 KiB and fdatasync, as a log does."""
    path = os.path.join(directory, "fdatasync.probe")
    took = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.posix_fallocate(fd, 0, count * size)
        os.fsync(fd)
        for i in range(count):
            os.pwrite(fd, os.urandom(size), i * size)
            begun = time.perf_counter()
            os.fdatasync(fd)
            took.append((time.perf_counter() - begun) * 1e3)
    finally:
        os.close(fd)
        os.unlink(path)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


def describe(directory):
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpus": os.cpu_count(), "model": model, "memory": memory, "kernel": platform.release(),
            "load": os.getloadavg()[0], "fdatasync_ms": fdatasync_ms(directory)}
