"""Who uses the tree while it suffers: writers, readers, and a watcher who looks at the disks."""

import contextlib
import http.client
import itertools
import json
import os
import random
import threading
import time
from urllib.parse import quote

from history import ACKED, REFUSED, UNKNOWN, UNSENT, Change, Problem
from plan import ONCE

TIMEOUT = 6.0
PIECE = 1 << 16


class Activity:
    """When each path was last touched by a client; and a way to keep clients off it for a moment."""

    def __init__(self):
        self.lock = threading.Condition()
        self.running, self.last, self.paused = {}, {}, set()

    @contextlib.contextmanager
    def change(self, path):
        with self.lock:
            self.lock.wait_for(lambda: path not in self.paused, 5)
            self.running[path] = self.running.get(path, 0) + 1
        try:
            yield
        finally:
            with self.lock:
                self.running[path] -= 1
                self.last[path] = time.monotonic()

    @contextlib.contextmanager
    def pause(self, path, seconds):
        """Yields whether nothing has happened to the path for so long."""
        with self.lock:
            self.paused.add(path)
            quiet = not self.running.get(path) and time.monotonic() - self.last.get(path, 0) > seconds
        try:
            yield quiet
        finally:
            with self.lock:
                self.paused.discard(path)
                self.lock.notify_all()


class Load:
    """All clients of a run."""

    def __init__(self, plan, tree, history, bodies, activity, injector):
        self.plan, self.tree, self.history, self.bodies = plan, tree, history, bodies
        self.activity, self.injector = activity, injector
        self.stopping = threading.Event()
        self.stop_watching = threading.Event()
        self.numbers = itertools.count(1)
        self.threads = []

    def start(self, writers, mid_writers, readers):
        clients = [(f"w{n}", "root") for n in range(writers)] + [(f"m{n}", "mid1") for n in range(mid_writers)]
        clients += [(name, "root") for name in ONCE]
        for name, entry in clients:
            self.thread(self.write, name, entry)
        for n in range(readers):
            self.thread(self.read, f"r{n}")
        self.watcher = threading.Thread(target=Watcher(self).run, name="watcher")
        self.watcher.start()

    def thread(self, run, *args):
        thread = threading.Thread(target=run, args=args, name=args[0])
        self.threads.append(thread)
        thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(4 * TIMEOUT)

    # --- writers ---

    def write(self, name, entry):
        connection = None
        port = self.tree.nodes[entry].port
        for path, kind, size, mode, keep, pause, part in self.plan.changes(name, entry):
            if self.stopping.wait(pause):
                break
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
            change = Change(next(self.numbers), name, entry, path, kind, size if kind == "PUT" else 0, mode, 0)
            body = self.bodies.make(path, change.number, size) if kind == "PUT" else None
            with self.activity.change(path):
                change.start = self.history.now()
                self.history.begin(change)
                try:
                    self.send(connection, change, body, part)
                except ConnectionRefusedError as error:
                    change.state, change.why = UNSENT, str(error)
                except (OSError, http.client.HTTPException) as error:
                    change.why = f"{type(error).__name__}: {error}"
                except (ValueError, KeyError) as error:
                    self.history.problem(Problem("receipt", f"change {change.number}: {error!r}", path, entry))
                self.history.finish(change)
            if not keep or change.state != ACKED:
                connection.close()
                connection = None
            if change.state in (UNKNOWN, UNSENT):
                self.stopping.wait(0.1)

    def send(self, connection, change, body, part):
        target = quote(change.path)
        connection.putrequest(change.kind, target, skip_accept_encoding=True)
        connection.putheader("Accept", "application/json")
        if body is None:
            connection.endheaders()
        else:
            if change.mode == "chunked":
                connection.putheader("Transfer-Encoding", "chunked")
            else:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            try:
                if self.send_body(connection, change, body, part):
                    return
            except (BrokenPipeError, ConnectionResetError):
                pass        # there may be an answer all the same
        self.answer(change, connection.getresponse())

    def send_body(self, connection, change, body, part):
        """True when it was broken off on purpose."""
        if change.mode == "abort":
            # Short of one byte at least; often of no more.
            length = len(body) - 1 if part < 0.5 else int(part * len(body))
            # Broken off before its end: whatever happens, it may not be seen.
            change.state, change.why = REFUSED, f"broken off after {length} bytes"
            connection.send(body[:length])
            self.stopping.wait(part * 0.2)
            connection.close()
            return True
        piece = max(1, len(body) // 12) if change.mode == "slow" else PIECE
        for start in range(0, len(body), piece):
            data = body[start : start + piece]
            if change.mode == "chunked":
                data = b"%x\r\n%s\r\n" % (len(data), data)
            connection.send(data)
            if change.mode == "slow":
                self.stopping.wait(0.02 + part * 0.2)
        if change.mode == "chunked":
            connection.send(b"0\r\n\r\n")
        return False

    @staticmethod
    def answer(change, response):
        text = response.read()
        change.status = response.status
        if 200 <= response.status < 300 or (change.kind == "DELETE" and response.status == 404):
            change.state = ACKED
            receipt = json.loads(text)
            change.outcome, change.version = receipt["outcome"], receipt.get("version")
        else:
            change.state, change.why = REFUSED, text[:200].decode("utf-8", "replace")

    # --- readers ---

    def read(self, name):
        dice = random.Random(f"{self.plan.seed} {name}")
        names, paths = list(self.tree.nodes), list(self.plan.paths)
        while not self.stopping.wait(dice.expovariate(1 / 0.03)):
            node, path = self.tree.nodes[dice.choice(names)], dice.choice(paths)
            try:
                status, body = get(node, path)[:2]
            except http.client.IncompleteRead:
                self.history.read("cut short")
            except (OSError, http.client.HTTPException):
                self.history.read("failed")
            else:
                if status == 200:
                    self.check_body(node, path, body)
                else:
                    self.history.read("absent" if status == 404 else "failed")

    def check_body(self, node, path, body):
        numbers, wrong = self.bodies.read(path, body)
        if wrong:
            number = next(self.numbers)
            with open(os.path.join(self.tree.dir, f"torn-{number}"), "wb") as out:
                out.write(body)
            self.history.problem(Problem("torn", f"{wrong} (kept as torn-{number})", path, node.name))
        else:
            self.history.read("whole", numbers, node.name)


def get(node, path, method="GET", timeout=TIMEOUT):
    """Status, body and header fields. What is shorter than its Content-Length raises IncompleteRead."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=timeout)
    try:
        connection.request(method, quote(path), headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


class Watcher:
    """Looks at each path on each disk again and again: versions of a file only grow, what is gone stays gone, and no
    child has what its parent has not had."""

    def __init__(self, load):
        self.load, self.history = load, load.history
        self.present, self.highest, self.ahead = {}, {}, set()
        # Children before their parents: what a child has when it is looked at, its parent has had by then.
        self.below = {entry: list(reversed(load.plan.below(entry))) for entry in set(load.plan.paths.values())}

    def run(self):
        while not self.load.stop_watching.wait(0.05):
            for path, entry in self.load.plan.paths.items():
                versions = {name: self.look(name, path) for name in self.below[entry]}
                for name, version in versions.items():
                    above = versions.get(self.load.plan.parents[name])
                    if version and above and above < version and (name, path, version) not in self.ahead:
                        self.ahead.add((name, path, version))
                        what = f"has version {version}, its parent {above}"
                        self.history.problem(Problem("ahead", what, path, name))

    def look(self, name, path):
        key = name, path
        try:
            version = os.stat(self.load.tree.nodes[name].file(path)).st_mtime_ns
        except OSError:
            version = None
        if version == self.present.get(key):
            return version
        self.present[key] = version
        self.history.write("seen", node=name, path=path, version=version)
        highest = self.highest.get(key, 0)
        if version is not None:
            if version < highest:
                self.history.problem(Problem("older", f"version {version} after {highest}", path, name))
            elif version == highest and self.load.injector.evicted.get(key, 0) < version:
                self.history.problem(Problem("back", f"version {version} is there again after it was gone", path, name))
            self.highest[key] = max(version, highest)
        return version
