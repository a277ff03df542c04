"""What a seed means: the shape and settings of the tree, the faults, and what each client does.

Nothing here looks at the machine or at what happens: the same seed and time give the same plan.
"""

import random
from dataclasses import dataclass

# kind: (weight in the mixed scenario, what it is done to, seconds from .. to)
FAULTS = {
    "kill_worker": (6, "node", 0, 0),
    "kill_workers": (3, "node", 0.8, 2.5),      # one every 0.2 s
    "kill_master": (2, "node", 0.2, 1.5),       # its workers go on without it; then a new one is started
    "kill_node": (3, "node", 0.1, 2.5),
    "stop_node": (2, "node", 0.2, 3.5),
    "stop_worker": (3, "node", 0.2, 3.5),
    "reload": (3, "node", 0, 0),
    "upgrade": (1, "node", 0, 0),
    "cut": (3, "link", 0.2, 4),
    "hole": (2, "link", 0.2, 4.5),
    "deaf": (2, "link", 0.2, 4.5),
    "slow": (1, "link", 0.5, 4),
    "reset": (3, "link", 0, 0),
    "trip": (3, "link", 1, 3),
    "trip_up": (3, "link", 1, 3),
    "backlog": (2, "link", 2, 5),               # cut; when it is up, the parent's workers are killed
    "fill_disk": (2, "disk", 0.5, 3),
    "slow_disk": (4, "disk", 0.8, 4),
    "step_clock": (3, "clock", 0, 0),
    "evict": (3, "path", 0, 0),
}

SCENARIOS = {
    "mixed": {kind: weight for kind, (weight, *_) in FAULTS.items()},
    "calm": {},
    # The root's workers only, one every 0.2 s all the time.
    "kills": None,
}

# Where changes of a path enter is one node; it and all below it have the path.
ROOT_PATHS = (
    "/hot", "/b/warm.bin", "/c.html", "/b/one", "/b/two", "/deep/er/and/deeper/file.txt",
    "/b/sp ace%41+.txt", '/é<&">?#.html',
)
MID_PATHS = ("/only/below/one", "/only/below/two")

# Weight, and from .. to how many bytes.
SIZES = (
    (4, (0, 0)), (6, (1, 64)), (40, (160, 4096)), (20, (4097, 20000)), (21, (60000, 500000)), (9, (1000000, 4000000)),
)
MODES = (("length", 74), ("chunked", 14), ("slow", 7), ("abort", 5))
WRITERS, MID_WRITERS, READERS = 6, 1, 3
# Files that are written once, so that nothing later makes up for what was lost: how many clients do so, and how many
# files a second there are names for.
ONCE_WRITERS, ONCE_A_SECOND = 2, 60


ONCE = [f"o{number}" for number in range(ONCE_WRITERS)]


@dataclass
class Fault:
    at: float
    kind: str
    target: str
    length: float
    n: int                  # what else there is to choose
    amount: float           # 0 .. 1, of whatever the fault has more or less of


@dataclass
class Settings:
    """Of one node."""
    threads: bool
    buffer: str
    ack: str
    peers: str              # parameters of `server` in its upstream
    keepalive: int
    catch_up: str


class Plan:
    def __init__(self, seed, seconds, nodes=7, scenario="mixed", rate=3.0, without=(), deletes=0.22, wide=0):
        self.seed, self.seconds, self.rate, self.deletes = seed, seconds, rate, deletes
        dice = self.dice("tree")
        # Two levels: the root, two nodes in the middle, and leaves below them in turn.
        self.parents = {"root": None, "mid1": "root", "mid2": "root"}
        for number in range(nodes - 3):
            self.parents[f"leaf{number + 1}"] = f"mid{number % 2 + 1}"
        # The leaves of a wide node: it has so many children in all.
        for number in range(wide - sum(parent == "mid1" for parent in self.parents.values())):
            self.parents[f"wide{number + 1}"] = "mid1"
        self.links = [name for name, parent in self.parents.items() if parent]
        self.fsync = dice.random() < 0.25
        self.settings = {name: self.node_settings(dice) for name in self.parents}
        for name in dice.sample(["root", "mid1", "mid2", "mid2"], dice.randint(0, 2)):
            self.settings[name].ack = "local"
        self.clock_node = dice.choice(["root", "root", *self.parents])
        self.paths = dict.fromkeys(ROOT_PATHS, "root") | dict.fromkeys(MID_PATHS, "mid1")
        self.once = [f"/once/{number % 7}/{number}" for number in range(int(seconds * ONCE_A_SECOND) + 100)]
        self.all_paths = self.paths | dict.fromkeys(self.once, "root")
        self.faults = self.kills() if scenario == "kills" else self.mixed(SCENARIOS[scenario], set(without))

    def dice(self, what):
        return random.Random(f"{self.seed} {what}")

    def below(self, node):
        """The node and all below it."""
        return [node] + [each for child, parent in self.parents.items() if parent == node for each in self.below(child)]

    @staticmethod
    def node_settings(dice):
        return Settings(
            threads=dice.random() < 0.5,
            buffer=dice.choice(["1k", "8k", "16k", "16k", "1m"]),
            ack="children",
            peers=dice.choice(["", "max_fails=0", "max_fails=1 fail_timeout=1s", "max_fails=2 fail_timeout=2s"]),
            keepalive=dice.choice([0, 4, 16]),
            catch_up=f"concurrency={dice.choice([1, 4, 8])} max_backoff={dice.choice([1, 2])}s",
        )

    def kills(self):
        dice = self.dice("faults")
        count = int(self.seconds / 0.2)
        return [Fault(0.2 * n, "kill_worker", "root", 0, dice.getrandbits(30), 0) for n in range(1, count)]

    def mixed(self, weights, without):
        """Faults at random times, one at a time to the same process, link or disk."""
        dice = self.dice("faults")
        cards = [kind for kind, weight in weights.items() for _ in range(weight) if kind not in without]
        deck, faults, busy, now = [], [], {}, 0.3
        while cards and (now := now + dice.expovariate(self.rate)) < self.seconds:
            # Dealt from a shuffled deck, so that a short run, too, sees most kinds.
            deck = deck or dice.sample(cards, len(cards))
            kind = deck.pop()
            _, sort, least, most = FAULTS[kind]
            length = dice.uniform(least, most)
            free = [name for name in self.targets(sort) if busy.get((sort, name), 0) <= now]
            target, n, amount = dice.choice(free or ["-"]), dice.getrandbits(30), dice.random()
            if free and now + length < self.seconds:
                busy[sort, target] = now + length + 0.1
                faults.append(Fault(round(now, 3), kind, target, round(length, 3), n, amount))
        return faults

    def targets(self, sort):
        """What can be hit; the more often it is named, the more often it is."""
        names = list(self.parents)
        return {
            "node": ["root"] * 3 + ["mid1", "mid2"] * 2 + names,
            "link": self.links,
            "disk": ["root"] * 2 + names,
            "clock": [self.clock_node],
            # Where a file is evicted, its version is forgotten: not where the clock may go back afterwards.
            "path": [name for name in ("root", "mid1", "mid2") if name != self.clock_node],
        }[sort]

    def aftershocks(self):
        """Workers killed while the missing logs are drained at the end: seconds after that began, node, n."""
        dice = self.dice("aftershocks")
        parents = ["root", "mid1", "mid2"]
        return sorted((dice.uniform(0, 2.5), dice.choice(parents), dice.getrandbits(30)) for _ in range(6))

    def changes(self, client, entry):
        """What one client does, without end: (path, kind, size, mode, keep the connection, pause before it)."""
        dice = self.dice(f"client {client}")
        if client in ONCE:
            for path in self.once[ONCE.index(client) :: len(ONCE)]:
                yield path, "PUT", dice.randint(1, 3000), "length", True, dice.expovariate(1 / 0.01), dice.random()
                if dice.random() < 0.1:
                    yield path, "DELETE", 0, "length", True, 0, dice.random()
            return
        paths = [path for path, node in self.paths.items() if node == entry]
        weights = [6, 3] + [1] * (len(paths) - 2)
        while True:
            path = dice.choices(paths, weights)[0]
            kind = "DELETE" if dice.random() < self.deletes else "PUT"
            least, most = dice.choices([limits for _, limits in SIZES], [weight for weight, _ in SIZES])[0]
            size = dice.randint(least, most)
            mode = dice.choices([name for name, _ in MODES], [weight for _, weight in MODES])[0]
            if mode in ("slow", "abort") and size < 4096:
                mode = "length"
            yield path, kind, size, mode, dice.random() < 0.8, dice.expovariate(1 / 0.04), dice.random()
