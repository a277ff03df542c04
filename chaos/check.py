"""What must hold when everything is healed and drained."""

import http.client
import os
import random
import time
from dataclasses import dataclass

import state
from clients import get
from history import ACKED, REFUSED, UNKNOWN, UNSENT, Problem

# A change without an answer may still be carried out later: its bytes may wait in a stopped process or a held link.
LATE_SECONDS = 15.0
# How many nodes are asked for a path, and how often a run of many paths says how far it is.
ASKED, WORD_SECONDS = 8, 10.0
# What the checks are called, in the order of the report.
CHECKS = {
    "torn": "a reader got a body that is no whole one",
    "refused": "a change that was refused or broken off is there, or was read",
    "older": "a file on a disk was replaced by an older version",
    "back": "a file came back after it was gone",
    "ahead": "a child had a file that its parent did not have",
    "receipt": "an acknowledgement without a sound receipt",
    "start": "a node could not be started",
    "drain": "missing logs or journals did not become empty",
    "restless": "there are deliveries although nothing is missing",
    "divergent": "nodes differ",
    "lost": "an acknowledged change is not there, nor one written later",
    "order": "versions are not in the order of the changes",
    "headers": "ETag or Last-Modified differ between nodes, or a GET fails",
    "litter": "temporary or unknown files are left",
    "log": "an error log has an alert, an emergency, or the end of a worker that nobody killed",
}


@dataclass(frozen=True)
class Found:
    """A path on a disk."""
    version: int
    size: int
    body: bytes


class Check:
    def __init__(self, plan, tree, history, bodies, evicted, say=print):
        self.say, self.done = say, False
        self.plan, self.tree, self.history, self.bodies, self.evicted = plan, tree, history, bodies, evicted
        self.of_path = {path: [] for path in plan.all_paths}
        for change in history.changes.values():
            self.of_path[change.path].append(change)

    def problem(self, check, what, path=None, node=None, **details):
        self.history.problem(Problem(check, what, path, node, details=details))

    def run(self):
        word = time.monotonic() + WORD_SECONDS
        for number, (path, entry) in enumerate(self.plan.all_paths.items()):
            if time.monotonic() > word:
                self.say(f"checking: {number} of {len(self.plan.all_paths)} paths")
                word = time.monotonic() + WORD_SECONDS
            if path not in self.plan.paths and not self.of_path[path]:
                continue
            found = {name: self.look(name, path) for name in self.plan.below(entry)}
            final, same = self.same(path, found)
            self.acknowledged(path, final)
            self.order(path)
            if same:
                self.served(path, found)
            for name in set(self.plan.parents) - set(found):
                if self.look(name, path):
                    self.problem("divergent", "is on a node that is not below the one where it was written", path, name)
        self.read_refused()
        for name, node in self.tree.nodes.items():
            for left in state.litter(node, self.plan.all_paths):
                self.problem("litter", f"below the root: {left}", None, name)
            for left in state.unknown(node):
                self.problem("litter", f"in the state directory: {left}", None, name)
            bad = state.complaints(node)
            if bad:
                self.problem("log", f"{len(bad)} lines, such as: {bad[0][:300]}", None, name)
        self.done = True

    def look(self, name, path):
        try:
            with open(self.tree.nodes[name].file(path), "rb") as file:
                return Found(os.fstat(file.fileno()).st_mtime_ns, os.fstat(file.fileno()).st_size, file.read())
        except OSError:
            return None

    def describe(self, path, found):
        if not found:
            return "absent"
        numbers, wrong = self.bodies.read(path, found.body)
        return f"version {found.version}, {found.size} bytes, " + (wrong or f"change {sorted(numbers)}")

    def same(self, path, found):
        """All nodes have the same. Returns what that is, or what the newest one has; and whether it is so."""
        final = max(found.values(), key=lambda each: each.version if each else 0)
        differs = {
            name: self.describe(path, each) for name, each in found.items()
            # Where a file was evicted and not written again, it need not be there.
            if each != final and not (each is None and self.evicted.get((name, path), 0) >= final.version)
        }
        if differs:
            names = [name for name, each in found.items() if each == final]
            self.problem(
                "divergent", f"{', '.join(names)}: {self.describe(path, final)}; "
                + "; ".join(f"{name}: {what}" for name, what in differs.items()), path, ", ".join(differs),
            )
        return final, not differs

    def acknowledged(self, path, final):
        """What is there is of the change that was acknowledged last, or of one that may have come after it."""
        changes = self.of_path[path]
        acked = [change for change in changes if change.state == ACKED and change.version]
        last = max(acked, key=lambda change: change.version, default=None)
        if final is None:
            if last and last.kind == "PUT" and not self.possible(changes, "DELETE", last):
                what = f"absent, but change {last.number} was acknowledged with version {last.version}"
                self.problem("lost", what, path)
            return
        numbers, wrong = self.bodies.read(path, final.body)
        if wrong:
            self.problem("torn", f"on the disk: {wrong}", path)
            return
        candidates = [change for change in changes if change.number in numbers and change.kind == "PUT"]
        if all(change.state in (REFUSED, UNSENT) for change in candidates):
            self.problem("refused", f"is there: {self.describe(path, final)}", path)
        elif not any(change.version in (final.version, None) for change in candidates):
            self.problem("order", f"has another version than its acknowledgement: {self.describe(path, final)}", path)
        if not last:
            return
        if final.version < last.version:
            what = f"change {last.number} ({last.kind}) was acknowledged with version {last.version}, here is"
            self.problem("lost", f"{what} {self.describe(path, final)}", path)
        elif final.version > last.version and not any(self.may_follow(change, last) for change in candidates):
            what = f"change {last.number} began after this one had ended: {self.describe(path, final)}"
            self.problem("lost", what, path)

    def possible(self, changes, kind, last):
        return any(change.kind == kind and self.may_follow(change, last) for change in changes)

    @staticmethod
    def may_follow(change, last):
        """Whether a change without an answer may have been carried out after `last`."""
        return change.state == UNKNOWN and change.end + LATE_SECONDS >= last.start

    def order(self, path):
        """A change that began when another had been acknowledged has the greater version; and no two have the same."""
        acked = [change for change in self.of_path[path] if change.state == ACKED and change.version]
        ended, highest = sorted(acked, key=lambda change: change.end), None
        at = 0
        for change in sorted(acked, key=lambda change: change.start):
            while at < len(ended) and ended[at].end < change.start:
                if highest is None or ended[at].version > highest.version:
                    highest = ended[at]
                at += 1
            if highest and change.version <= highest.version:
                self.problem(
                    "order", f"change {change.number} has version {change.version}, and change {highest.number}, "
                    f"which was acknowledged before that began, {highest.version}", path,
                )
                break
        versions = {}
        for change in acked:
            other = versions.setdefault(change.version, change)
            if other is not change and "PUT" in (change.kind, other.kind):
                what = f"changes {other.number} and {change.number} both have version {change.version}"
                self.problem("order", what, path)

    def served(self, path, found):
        # On the disks they are all the same. A request to each of many nodes for each path would take long.
        dice = random.Random(f"{self.plan.seed} {path}")
        answers = {}
        for name in dice.sample(sorted(found), min(ASKED, len(found))):
            each = found[name]
            try:
                status, body, headers = get(self.tree.nodes[name], path)
            except (OSError, http.client.HTTPException) as error:
                self.problem("headers", f"GET: {error!r}", path, name)
                continue
            if each and (status != 200 or body != each.body):
                what = f"GET: {status}, {len(body)} bytes, and on the disk is {self.describe(path, each)}"
                self.problem("headers", what, path, name)
            if status == 200:
                answers[name] = headers["ETag"], headers["Last-Modified"]
            elif status != 404:
                self.problem("headers", f"GET: {status}", path, name)
        if len(set(answers.values())) > 1:
            self.problem("headers", f"{answers}", path)

    def read_refused(self):
        for numbers, (at, node) in self.history.seen_by_reader.items():
            changes = [self.history.changes[number] for number in numbers if number in self.history.changes]
            if changes and all(change.state in (REFUSED, UNSENT) for change in changes):
                change = changes[0]
                what = f"change {change.number} ({change.mode}, {change.status or change.why}) was read at {at} s"
                self.problem("refused", what, change.path, node)
