"""A node: the processes of its nginx, its configuration and its disk."""

import os
import signal
import subprocess
import threading
import time

import shim

START_SECONDS = 8.0


class DidNotStart(Exception):
    pass


class Node:
    """Its nginx is a daemon in a process group of its own: so what belongs to it is known, also when the master is
    gone, and nothing else is ever signalled. `lock` is held while processes are started or ended."""

    def __init__(self, tree, name, directory, port, link_port):
        self.tree, self.name, self.dir = tree, name, directory
        self.port, self.link_port = port, link_port
        self.disk = os.path.join(directory, "disk")
        self.files, self.state = os.path.join(self.disk, "files"), os.path.join(self.disk, "state")
        self.pid_file = os.path.join(directory, "nginx.pid")
        self.filler = os.path.join(self.disk, "filler")
        self.groups = set()
        self.lock = threading.RLock()
        self.filling = threading.Event()

    def prepare(self, conf):
        os.mkdir(self.files)
        with open(os.path.join(self.dir, "nginx.conf"), "w", encoding="utf-8") as out:
            out.write(conf)
        self.control = shim.Control(os.path.join(self.dir, "control"))
        self.environment = dict(os.environ)
        if self.tree.shim:
            self.environment |= {"LD_PRELOAD": self.tree.shim, "FILEDIST_CHAOS_CONTROL": self.control.path}

    # --- processes ---

    def start(self):
        """Starts nginx, unless the run is at its end. Workers that are about to end may have the port for a moment."""
        conf, log = f"{self.dir}/nginx.conf", f"{self.dir}/error.log"
        command = [self.tree.nginx, "-p", self.dir, "-c", conf, "-e", log]
        end = time.monotonic() + START_SECONDS
        while True:
            if self.tree.closing:
                return
            for name in (self.pid_file, f"{self.pid_file}.oldbin"):
                if os.path.exists(name):
                    os.remove(name)
            try:
                done = subprocess.run(
                    command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                    timeout=START_SECONDS, check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise DidNotStart(f"{self.name}: {error}") from error
            with open(os.path.join(self.dir, "start.log"), "a", encoding="utf-8") as log:
                log.write(done.stderr)
            if done.returncode == 0:
                break
            if "Address already in use" not in done.stderr or time.monotonic() > end:
                raise DidNotStart(f"{self.name}: nginx does not start: {done.stderr.strip()[-300:]}")
            time.sleep(0.1)
        while not (self.know_group() and self.workers()) and not self.tree.closing:
            if time.monotonic() > end:
                raise DidNotStart(f"{self.name}: nginx has started no workers")
            time.sleep(0.01)

    def read_pid(self):
        try:
            with open(self.pid_file, encoding="ascii") as text:
                return int(text.read())
        except (OSError, ValueError):
            return None

    def know_group(self):
        """Adds the group of the process in the pid file; true when there is one."""
        pid = self.read_pid()
        state, _, group = self.stat(pid)
        if state is None or self.dir not in self.command(pid):
            return False
        if group not in self.groups:
            self.groups.add(group)
            self.tree.link_forwarder.tell(group=group)
        return True

    @staticmethod
    def stat(pid):
        """State, parent and process group."""
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as text:
                state, parent, group = text.read().rpartition(")")[2].split()[:3]
                return state, int(parent), int(group)
        except (OSError, ValueError):
            return None, None, None

    @staticmethod
    def command(pid):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as text:
                return text.read()
        except OSError:
            return ""

    def master(self):
        """The master's process id, if it runs."""
        pid = self.read_pid()
        state, _, group = self.stat(pid)
        return pid if group in self.groups and state not in ("Z", "X") else None

    def processes(self):
        """Those that run, as (pid, command line)."""
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            state, _, group = self.stat(pid)
            if group in self.groups and state not in ("Z", "X"):
                found.append((pid, self.command(pid)))
        return found

    def workers(self):
        return sorted(pid for pid, command in self.processes() if "worker process" in command)

    def old_workers(self):
        return [pid for pid, command in self.processes() if "shutting down" in command]

    def signal(self, pid, number):
        """To one process of the node."""
        if pid and self.stat(pid)[2] in self.groups:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def signal_all(self, number):
        for group in list(self.groups):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                pass

    def reap(self):
        """Takes note of ended processes, which have become our children; a group of which nothing is left is
        forgotten, as its number may become another's."""
        for group in list(self.groups):
            try:
                while os.waitpid(-group, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                self.groups.discard(group)
                self.tree.link_forwarder.tell(no_group=group)

    def kill_worker(self, n):
        workers = self.workers()
        pid = workers[n % len(workers)] if workers else None
        self.signal(pid, signal.SIGKILL)
        return pid

    def kill_all(self):
        """Kills every process, and waits until it is gone."""
        self.know_group()
        end = time.monotonic() + 5
        while self.groups and time.monotonic() < end:
            self.signal_all(signal.SIGKILL)
            time.sleep(0.01)
            self.reap()

    def resume(self):
        self.signal_all(signal.SIGCONT)

    def restart(self):
        """What is left of the former processes ends at once."""
        self.kill_all()
        self.start()

    def restart_master(self):
        """The workers of a killed master finish what they do beside those of the new one."""
        self.resume()
        for pid in self.workers():
            self.signal(pid, signal.SIGQUIT)
        self.start()

    def reload(self):
        self.signal(self.master(), signal.SIGHUP)

    def upgrade(self):
        """A new master takes over the sockets; the old one quits."""
        old = self.master()
        self.signal(old, signal.SIGUSR2)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            new = self.master()
            if new and new != old and os.path.exists(f"{self.pid_file}.oldbin"):
                break
            time.sleep(0.02)
        else:
            return False
        self.signal(old, signal.SIGQUIT)
        return True

    # --- disk ---

    def fill_disk(self, leave):
        """Until empty_disk(): whatever becomes free is taken, but for `leave` bytes."""
        self.filling.set()
        with open(self.filler, "ab") as filler:
            while self.filling.is_set():
                free = os.statvfs(self.disk)
                size = free.f_bavail * free.f_frsize - leave
                if size >= free.f_frsize:
                    try:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)
                    except OSError:
                        pass
                time.sleep(0.05)
        try:
            os.remove(self.filler)
        except FileNotFoundError:
            pass

    def empty_disk(self):
        self.filling.clear()

    def file(self, path):
        return self.files + path
