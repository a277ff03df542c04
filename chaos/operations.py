"""What is done at the root while its calls are counted: each operation says what holds before it and after it."""

import os
import time

from trio import SMALL_BUFFER, Broken

LITTER_SECONDS = 5
SMALL, OTHER = b"small" * 100, b"other" * 120
LARGE, OTHER_LARGE = b"large" * 20000, b"OTHER" * 21000
assert len(SMALL) < SMALL_BUFFER < len(LARGE)


class Operation:
    """`path` is what the client's request is about; `before` and `after` are all files, {path: bytes}."""

    path = "/d/file"
    before, after = {}, {}
    # Acknowledged before the faults begin: nothing but `after` is right in the end.
    is_owed = False
    # The statuses of success.
    good = (200, 201)

    def prepare(self, trio):
        for path, body in self.before.items():
            need(trio.put(path, body), 201)

    def act(self, trio):
        """The client's answer; none where there is no client."""
        raise NotImplementedError

    def is_over(self, trio, answer):
        """Whether all calls have been made."""
        return True

    def finish(self, trio, answer):
        """What is to be done before all nodes are the same."""

    def problem(self, trio, answer, good):
        """What else is wrong in the end; `good`: the client was told that all is well."""
        return None


def need(answer, *statuses):
    if answer.status not in statuses:
        raise Broken(f"status {answer.status} in place of {statuses}")
    return answer


class Put(Operation):
    def __init__(self, body, old=None, path=None, beside=True):
        self.path = path or self.path
        self.body = body
        # So that the directory is there.
        kept = {os.path.dirname(self.path) + "/kept": b"kept"} if beside else {}
        self.before = kept | ({self.path: old} if old else {})
        self.after = self.before | {self.path: body}

    def act(self, trio):
        return trio.put(self.path, self.body)

    def problem(self, trio, answer, good):
        if good and os.stat(trio.root.file(self.path)).st_mtime_ns != answer.version:
            return "the file has another version"
        return None


class Queue(Put):
    """With `filedist_ack local`: it is over when the children have it."""

    def is_over(self, trio, answer):
        return trio.settle(0) is None


class Delete(Operation):
    good = (200, 404)

    def __init__(self, old=SMALL, again=False):
        self.again = again
        kept = {"/d/kept": b"kept"}
        self.before = kept | ({self.path: old} if old else {})
        self.after = kept

    def prepare(self, trio):
        super().prepare(trio)
        if self.again:
            need(trio.ask("DELETE", self.path), 200)
            need(trio.put(self.path, self.before[self.path]), 201)

    def act(self, trio):
        return trio.ask("DELETE", self.path)

    def problem(self, trio, answer, good):
        if self.path in trio.root.tree():
            return None
        root, *children = (node.tombstone(self.path) for node in trio.nodes)
        if good and root != answer.version:
            return f"the tombstone is {root}"
        if root and children != [root] * 2:
            return f"the tombstone is {root}, the children's {children}"
        return None


class DeleteDirectory(Delete):
    path = "/d/empty"

    def __init__(self):
        super().__init__(old=None)

    def prepare(self, trio):
        super().prepare(trio)
        for node in trio.nodes:
            os.mkdir(node.file(self.path))

    def problem(self, trio, answer, good):
        left = [node.name for node in trio.nodes if os.path.exists(node.file(self.path))]
        return f"the directory is still there: {left}" if good and left else None


class Away:
    """The same while a child is away; it is back when the client has its answer."""

    def __init__(self, operation):
        self.operation = operation
        self.path, self.before, self.after = operation.path, operation.before, operation.after
        self.is_owed, self.good = operation.is_owed, operation.good
        self.is_over, self.finish, self.problem = operation.is_over, operation.finish, operation.problem

    def prepare(self, trio):
        self.operation.prepare(trio)
        trio.set_away(trio.one, True)

    def act(self, trio):
        answer = self.operation.act(trio)
        trio.set_away(trio.one, False)
        return answer


class CatchUp(Operation):
    """A child was away for changes of each kind, and is back."""

    is_owed = True
    before = {"/d/kept": b"kept", "/d/old": SMALL, "/d/gone": SMALL}
    after = {"/d/kept": b"kept", "/d/old": OTHER, "/d/new": LARGE, "/d/evicted": OTHER_LARGE}

    def prepare(self, trio):
        super().prepare(trio)
        trio.set_away(trio.one, True)
        need(trio.put("/d/new", LARGE), 201)
        need(trio.put("/d/old", OTHER), 200)
        need(trio.ask("DELETE", "/d/gone"), 200)
        need(trio.put("/d/evicted", OTHER_LARGE), 201)
        self.evicted = os.stat(trio.root.file("/d/evicted")).st_mtime_ns
        os.remove(trio.root.file("/d/evicted"))

    def act(self, trio):
        trio.set_away(trio.one, False)
        # Its answer tells that it is back.
        trio.ask("GET", "/d/nothing")

    def is_over(self, trio, answer):
        directory = os.path.join(trio.root.state, "missing", trio.child(trio.one))
        return not os.path.isdir(directory) or not os.listdir(directory)

    def finish(self, trio, answer):
        """What was evicted is on the children only."""
        path = trio.root.file("/d/evicted")
        if not os.path.exists(path):
            with open(path, "wb") as out:
                out.write(OTHER_LARGE)
            os.utime(path, ns=(self.evicted, self.evicted))


class Provide(Operation):
    """A child has lost its files, and gets them all."""

    is_owed = True
    good = (202,)
    before = after = {"/a": SMALL, "/d/b": LARGE, "/d/e/c": OTHER}

    def prepare(self, trio):
        super().prepare(trio)
        trio.one.empty()

    def act(self, trio):
        return trio.ask("POST", f"/__missing__/{trio.child(trio.one)}/")

    def is_over(self, trio, answer):
        return answer.status not in self.good or trio.settle(0) is None

    def finish(self, trio, answer):
        """Whoever was not told that it is going to be done asks again."""
        if answer.status not in self.good and not trio.settle(LITTER_SECONDS, trio.litter):
            need(self.act(trio), *self.good)


class TakeOver(Operation):
    """A worker has died with changes in hand: one was published and one was not; a temporary file is left."""

    is_owed = True
    before = {"/d/kept": b"kept"}
    after = {"/d/kept": b"kept", "/d/published": SMALL}

    def prepare(self, trio):
        super().prepare(trio)
        version = time.time_ns()
        # No two workers have the same name.
        self.worker = f"1-{version // 1000 % 2 ** 32:08x}"
        published = trio.root.file("/d/published")
        with open(published, "wb") as out:
            out.write(SMALL)
        os.utime(published, ns=(version, version))
        with open(trio.root.file(f"/d/.filedist.{self.worker}.0"), "wb") as out:
            out.write(b"half")
        self.intents = (
            f"{version} PUT /d/published children\n{version} PUT /d/nothing children\n#{version} PUT /d/a children\n"
        )

    def act(self, trio):
        draft = os.path.join(trio.root.dir, "journal")
        with open(draft, "w", encoding="ascii") as out:
            out.write(self.intents)
        os.rename(draft, os.path.join(trio.root.state, "journal", self.worker))

    def is_over(self, trio, answer):
        return trio.settle(0) is None and not os.path.exists(os.path.join(trio.root.state, "journal", self.worker))


OPERATIONS = {
    "put": Put(SMALL),
    "put large": Put(LARGE),
    "put in new directories": Put(SMALL, path="/x/y/file", beside=False),
    "put large in new directories": Put(LARGE, path="/x/y/file", beside=False),
    "put queued": Queue(SMALL, path="/queued/file"),
    "put, child away": Away(Put(SMALL)),
    "overwrite": Put(OTHER, old=SMALL),
    "overwrite large": Put(OTHER_LARGE, old=LARGE),
    "delete": Delete(),
    "delete again": Delete(again=True),
    "delete of nothing": Delete(old=None),
    "delete of a directory": DeleteDirectory(),
    "delete, child away": Away(Delete()),
    "catch-up": CatchUp(),
    "provision": Provide(),
    "take over": TakeOver(),
}
