"""What happened, in memory and as JSON lines: changes, faults, versions as they appeared on the disks."""

import json
import threading
import time
from dataclasses import dataclass, field

# What has become of a change, as far as its client knows.
ACKED = "acknowledged"      # 2xx, and 404 to a DELETE: the path is gone, and stays gone
REFUSED = "refused"         # an answer that says that nothing was changed, or a body that the client broke off
UNSENT = "not sent"         # there was nobody to send it to
UNKNOWN = "unknown"         # no answer


@dataclass(slots=True)
class Change:
    number: int
    client: str
    node: str
    path: str
    kind: str               # PUT, DELETE
    size: int
    mode: str               # length, chunked, slow, abort
    start: float            # seconds since the start of the run
    end: float = 0.0
    state: str = UNKNOWN
    status: int | None = None
    outcome: str | None = None
    version: int | None = None
    why: str | None = None

    def record(self):
        return {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}


@dataclass
class Problem:
    check: str              # the name of the check that failed
    what: str
    path: str | None = None
    node: str | None = None
    at: float | None = None
    details: dict = field(default_factory=dict)


class History:
    def __init__(self, directory):
        self.lock = threading.Lock()
        self.zero = time.monotonic()
        self.changes = {}
        self.problems = []
        self.faults = []
        self.reads = {"whole": 0, "absent": 0, "failed": 0, "cut short": 0}
        self.seen_by_reader = {}    # number of a change: when and where it was first read
        self.out = open(f"{directory}/history.jsonl", "w", buffering=1 << 16, encoding="utf-8")
        self.write("start", wall_clock=time.time())

    def now(self):
        return time.monotonic() - self.zero

    def write(self, event, **fields):
        fields.setdefault("at", round(self.now(), 4))
        line = json.dumps({"event": event, **fields})
        with self.lock:
            if not self.out.closed:
                self.out.write(line + "\n")

    def begin(self, change):
        with self.lock:
            self.changes[change.number] = change
        self.write("invoke", number=change.number, node=change.node, path=change.path, kind=change.kind)

    def finish(self, change):
        change.end = self.now()
        self.write("change", **change.record())

    def fault(self, kind, target, **fields):
        with self.lock:
            self.faults.append((self.now(), kind, target, fields))
        self.write("fault", kind=kind, target=target, **fields)

    def problem(self, problem):
        problem.at = self.now() if problem.at is None else problem.at
        with self.lock:
            self.problems.append(problem)
        self.write("problem", check=problem.check, what=problem.what, path=problem.path, node=problem.node)

    def read(self, kind, numbers=(), node=None):
        with self.lock:
            self.reads[kind] += 1
            if numbers:
                self.seen_by_reader.setdefault(frozenset(numbers), (round(self.now(), 3), node))

    def counts(self):
        with self.lock:
            changes = list(self.changes.values())
        return {state: sum(change.state == state for change in changes) for state in (ACKED, REFUSED, UNSENT, UNKNOWN)}

    def close(self):
        with self.lock:
            self.out.close()
