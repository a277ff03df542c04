"""The library that moves a node's clock and slows its disk down: built here, steered through a mapped file."""

import os
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROL = struct.Struct("=qq")


def build(directory):
    """The path of the library, or None with the reason where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return None, "no C compiler"
    library = os.path.join(directory, "shim.so")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "shim.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return (library, None) if done.returncode == 0 else (None, done.stderr.strip()[:200])


class Control:
    """What the processes of one node are told."""

    def __init__(self, path):
        self.path = path
        self.clock = 0.0
        self.delay = 0.0
        with open(path, "wb") as out:
            out.write(CONTROL.pack(0, 0))

    def set(self, clock=None, delay=None):
        """clock: seconds that are added to the wall clock; delay: at most this long around each call."""
        if clock is not None:
            self.clock = clock
        if delay is not None:
            self.delay = delay
        # In place, by one write: the file is mapped.
        with open(self.path, "r+b", buffering=0) as out:
            out.write(CONTROL.pack(int(self.clock * 1e9), int(self.delay * 1e6)))
