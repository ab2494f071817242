"""One line on stderr that says what is being done; nothing that takes a second is silent."""
import subprocess
import sys
import time

_started = time.monotonic()


def say(text):
    print("%7.1f s  %s" % (time.monotonic() - _started, text), file=sys.stderr, flush=True)


def tool(command):
    """Runs one of our programs, whose own progress line is shown on a terminal. Returns what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False,
                          stderr=None if sys.stderr.isatty() else subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError("%s failed: %s" % (command[0], (done.stderr or "").split("\r")[-1].strip()))
    return done.stdout
