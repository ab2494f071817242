"""One line on stderr that says what is being done; nothing that takes a second is silent."""
import subprocess
import sys
import time

_started = time.monotonic()


def say(text):
    print("%7.1f s  %s" % (time.monotonic() - _started, text), file=sys.stderr, flush=True)


def tool(command):
    """Runs one of our programs, whose own progress line is shown on a terminal. Returns what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          stderr=None if sys.stderr.isatty() else subprocess.PIPE) as child:
        try:
            printed, said = child.communicate()
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        raise RuntimeError("%s failed: %s" % (command[0], (said or "").split("\r")[-1].strip()))
    return printed
