"""After the faults: everything is healed, and what is missing is delivered."""

import threading
import time

import state
from history import Problem


class Drain:
    def __init__(self, plan, tree, history, say):
        self.plan, self.tree, self.history, self.say = plan, tree, history, say
        self.at_start, self.seconds = 0, 0.0

    def left(self):
        """How many entries and intents there are, and how many workers that should have ended."""
        entries = sum(len(state.missing(node)) for node in self.tree.nodes.values())
        intents = sum(len(state.journal(node)) for node in self.tree.nodes.values())
        old = sum(len(node.old_workers()) for node in self.tree.nodes.values())
        return entries, intents, old

    def run(self, most):
        """Waits until nothing is left, for `most` seconds."""
        begin = time.monotonic()
        self.at_start = self.left()[0]
        shocks = threading.Thread(target=self.aftershocks)
        shocks.start()
        shocks.join()
        # What a killed worker leaves is dealt with by the next one that starts. One that was killed when it was
        # shutting down has no successor but this.
        self.tree.reload()
        calm, said = 0, 0.0
        while calm < 2:
            left = self.left()
            calm = calm + 1 if not any(left) else 0
            seconds = time.monotonic() - begin
            if seconds > most:
                self.give_up(left, most)
                break
            if seconds > said + 3:
                said = seconds
                what = f"{left[0]} entries, {left[1]} intents, {left[2]} old workers left"
                self.say(f"draining for {seconds:.0f} s: {what}")
            time.sleep(0.3)
        self.seconds = time.monotonic() - begin

    def aftershocks(self):
        """Workers are killed while they drain."""
        begin = time.monotonic()
        for at, name, n in self.plan.aftershocks():
            time.sleep(max(0, begin + at - time.monotonic()))
            node = self.tree.nodes[name]
            with node.lock:
                self.history.fault("kill_worker", name, pid=node.kill_worker(n), during="drain")

    def give_up(self, left, most):
        for name, node in self.tree.nodes.items():
            entries, intents = state.missing(node), state.journal(node)
            if entries:
                child, line = entries[0]
                what = f"{len(entries)} missing-log entries after {most:.0f} s, such as for {child}: {line}"
                self.history.problem(Problem("drain", what, self.path_in(line), name))
            if intents:
                worker, line = intents[0]
                what = f"{len(intents)} open intents after {most:.0f} s, such as in {worker}: {line}"
                self.history.problem(Problem("drain", what, self.path_in(line), name))
        if left[2]:
            self.history.problem(Problem("drain", f"{left[2]} old workers have not ended after {most:.0f} s"))

    def path_in(self, line):
        """The path that the line is of, for its story."""
        return next((path for path in self.plan.all_paths if path in line or state.percent(path) in line), None)

    def rest(self):
        """With nothing missing and no clients, no node asks another for anything but whether it is there."""
        before = self.requests()
        time.sleep(1.5)
        for name, lines in self.requests().items():
            if more := lines[len(before[name]):]:
                self.history.problem(Problem("restless", f"still gets requests: {more[0]}", None, name))

    def requests(self):
        """What each node was asked, but for what a child of which nobody has heard for ten seconds is asked."""
        def is_probe(line):
            return 'HEAD "/" ' in line and "version=0 " in line

        logs = {name: state.lines(f"{node.dir}/access.log") for name, node in self.tree.nodes.items()}
        return {name: [line for line in lines if not is_probe(line)] for name, lines in logs.items()}
