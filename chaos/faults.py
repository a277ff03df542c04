"""Carries out the faults of a plan, each at its time."""

import os
import signal
import threading
import time

from history import Problem
from node import DidNotStart

# A path is evicted where nothing has happened to it for so long.
QUIET_SECONDS = 0.1


class Injector:
    def __init__(self, plan, tree, history, activity):
        self.plan, self.tree, self.history, self.activity = plan, tree, history, activity
        self.stopping = threading.Event()
        self.thread, self.threads = None, []
        self.evicted = {}       # (node, path): the highest version that was evicted
        self.counts = {}
        self.latest = "-"

    def start(self):
        self.thread = threading.Thread(target=self.run, name="faults")
        self.thread.start()

    def run(self):
        for fault in self.plan.faults:
            if self.stopping.wait(max(0, fault.at - self.history.now())):
                return
            thread = threading.Thread(target=self.carry_out, args=(fault,), name=f"{fault.kind} {fault.target}")
            self.threads.append(thread)
            thread.start()

    def stop(self):
        """Faults that last end now."""
        self.stopping.set()
        if self.thread:
            self.thread.join()
        for thread in self.threads:
            thread.join(20)

    def carry_out(self, fault):
        try:
            did = getattr(self, fault.kind)(fault, self.tree.nodes[fault.target])
        except DidNotStart as error:
            self.history.problem(Problem("start", str(error), node=fault.target))
            return
        except (OSError, ValueError) as error:
            did = f"not done: {error}"
        if did is None:
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        else:
            self.history.fault(fault.kind, fault.target, skipped=did)

    def began(self, fault, **more):
        self.latest = f"{fault.kind} {fault.target}"
        self.history.fault(fault.kind, fault.target, **more)

    def last(self, fault):
        """Until the fault's time is over, or the run's."""
        self.stopping.wait(fault.length)
        self.history.write("end of fault", kind=fault.kind, target=fault.target)

    # --- processes ---

    def kill_worker(self, fault, node):
        with node.lock:
            pid = node.kill_worker(fault.n)
        if not pid:
            return "no worker runs"
        self.began(fault, pid=pid)

    def kill_workers(self, fault, node):
        self.began(fault, seconds=fault.length)
        self.kill_repeatedly(fault, node, fault.length)

    def kill_repeatedly(self, fault, node, seconds):
        end, n = time.monotonic() + seconds, fault.n
        while time.monotonic() < end and not self.stopping.wait(0.2):
            n += 1
            with node.lock:
                self.history.write("kill", node=node.name, pid=node.kill_worker(n))

    def kill_master(self, fault, node):
        with node.lock:
            if not node.master():
                return "no master runs"
            self.began(fault, pid=node.master(), seconds=fault.length, workers="quit" if fault.n % 2 else "killed")
            node.signal(node.master(), signal.SIGKILL)
            node.reap()
            self.last(fault)
            node.restart_master() if fault.n % 2 else node.restart()

    def kill_node(self, fault, node):
        with node.lock:
            self.began(fault, seconds=fault.length)
            node.kill_all()
            self.last(fault)
            node.start()

    def stop_node(self, fault, node):
        with node.lock:
            self.began(fault, seconds=fault.length)
            node.signal_all(signal.SIGSTOP)
            self.last(fault)
            node.resume()

    def stop_worker(self, fault, node):
        workers = node.workers()
        if not workers:
            return "no worker runs"
        pid = workers[fault.n % len(workers)]
        self.began(fault, pid=pid, seconds=fault.length)
        node.signal(pid, signal.SIGSTOP)
        self.last(fault)
        node.signal(pid, signal.SIGCONT)

    def reload(self, fault, node):
        with node.lock:
            self.began(fault)
            node.reload()

    def upgrade(self, fault, node):
        with node.lock:
            if not node.master():
                return "no master runs"
            self.began(fault)
            if not node.upgrade():
                return "no new master within 3 s"

    # --- links ---

    def link(self, fault, mode, amount=0):
        self.began(fault, seconds=fault.length, amount=amount)
        self.tree.link_forwarder.set(fault.target, mode, amount)
        if fault.length:
            self.last(fault)
            # Half of the time, what was held is lost.
            if fault.n % 2:
                self.tree.link_forwarder.set(fault.target, "reset")
            self.tree.link_forwarder.set(fault.target, "up")

    def cut(self, fault, _node):
        self.link(fault, "cut")

    def hole(self, fault, _node):
        self.link(fault, "hole")

    def deaf(self, fault, _node):
        self.link(fault, "deaf")

    def slow(self, fault, _node):
        self.link(fault, "slow")

    def reset(self, fault, _node):
        self.link(fault, "reset")

    def trip(self, fault, _node):
        self.link(fault, "trip", int(10 ** (1 + 5 * fault.amount)))

    def trip_up(self, fault, _node):
        self.link(fault, "trip_up", int(1 + 400 * fault.amount))

    def backlog(self, fault, node):
        self.link(fault, "cut")
        self.kill_repeatedly(fault, self.tree.nodes[self.plan.parents[node.name]], 2)

    # --- disks and clocks ---

    def fill_disk(self, fault, node):
        if node.disk not in self.tree.mounts:
            return "no disk of its own"
        leave = int(fault.amount * 100000) if fault.n % 2 else 0
        self.began(fault, seconds=fault.length, leave=leave)
        filler = threading.Thread(target=node.fill_disk, args=(leave,))
        filler.start()
        self.last(fault)
        node.empty_disk()
        filler.join(5)

    def slow_disk(self, fault, node):
        if not self.tree.shim:
            return "no shim"
        delay = 0.002 * 10 ** fault.amount
        self.began(fault, seconds=fault.length, delay=round(delay, 4))
        node.control.set(delay=delay)
        self.last(fault)
        node.control.set(delay=0)

    def step_clock(self, fault, node):
        if not self.tree.shim:
            return "no shim"
        to = round((fault.amount * 2 - 1) * 120, 3)
        self.began(fault, to=to)
        node.control.set(clock=to)

    # --- files ---

    def evict(self, fault, node):
        """Removes a file by hand, of a path that is at rest: all below have it, and nobody changes it."""
        subtree = self.plan.below(node.name)
        paths = [path for path, entry in self.plan.paths.items() if node.name in self.plan.below(entry)]
        for turn in range(len(paths)):
            path = paths[(fault.n + turn) % len(paths)]
            versions = {version_of(self.tree.nodes[name].file(path)) for name in subtree}
            with self.activity.pause(path, QUIET_SECONDS) as quiet:
                again = {version_of(self.tree.nodes[name].file(path)) for name in subtree}
                if not quiet or len(versions) != 1 or versions != again or None in versions:
                    continue
                version = versions.pop()
                self.evicted[node.name, path] = max(version, self.evicted.get((node.name, path), 0))
                self.began(fault, path=path, version=version)
                os.remove(node.file(path))
                return None
        return "no path is at rest"


def version_of(file):
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return None
