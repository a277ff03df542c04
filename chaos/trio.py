"""A root and two children, whose file-system calls can be counted, killed at, and made to fail (points.c)."""

import ctypes
import hashlib
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import state

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = struct.Struct("=8i")
CALL = struct.Struct("=24s232s")
CALLS = 1024
SMALL_BUFFER = 8 * 1024
PR_SET_PDEATHSIG = 1

# As in points.c.
KILL, KILL_HALF, FAIL, FAIL_DONE, FAIL_HALF = 1, 2, 3, 4, 5
ALWAYS = 2 ** 31 - 1


class Broken(Exception):
    """The nodes do not do what they do without any fault."""


def build_library(directory):
    """The path of the library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise OSError("no C compiler")
    library = os.path.join(directory, "points.so")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "points.c"), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


class Control:
    """What the processes of the root are told, and the calls that they have made since."""

    def __init__(self, path):
        size = HEAD.size + CALLS * CALL.size
        with open(path, "wb") as out:
            out.truncate(size)
        with open(path, "r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), size)

    def arm(self, at=0, until=None, action=0, error=0, changes=False):
        self.mapped[:] = bytes(len(self.mapped))
        until = at if until is None else until
        # First what is to be done, then that it is.
        self.mapped[4:HEAD.size] = HEAD.pack(0, at, until, action, error, 0, 0, changes)[4:]
        self.mapped[:4] = struct.pack("=i", 1)

    def disarm(self):
        self.mapped[:4] = bytes(4)

    @property
    def count(self):
        return HEAD.unpack_from(self.mapped)[5]

    @property
    def hit(self):
        return HEAD.unpack_from(self.mapped)[6]

    def calls(self):
        return [self.call(number) for number in range(1, min(self.count, CALLS) + 1)]

    def call(self, number):
        """(name, path) of a call; what differs from run to run in the path is left out."""
        name, path = CALL.unpack_from(self.mapped, HEAD.size + (number - 1) * CALL.size)
        return name.rstrip(b"\0").decode(), plain(path.rstrip(b"\0").decode("utf-8", "replace"))


def plain(path):
    path = re.sub(r"\d+-[0-9a-f]{8}", "WORKER", path)
    path = re.sub(r"127\.0\.0\.1:\d+", "CHILD", path)
    path = re.sub(r"(\.filedist\.[^.]*)\.\d+", r"\1.N", path)
    path = re.sub(r"#\d+( \(deleted\))?$", "(no name)", path)
    path = re.sub(r"deleted/[0-9a-f]{2}(?=/|$)", "deleted/XX", path)
    path = re.sub(r"/[0-9a-f]{30}$", "/REST", path)
    return re.sub(r"\d{4}-\d\d-\d\d(?=\.log)", "DAY", path)


class Node:
    """The directories of one."""

    def __init__(self, directory, name, port):
        self.dir, self.name, self.port = directory, name, port
        self.disk = os.path.join(directory, "disk")
        self.files, self.state = os.path.join(self.disk, "files"), os.path.join(self.disk, "state")

    def file(self, path):
        return self.files + path

    def tree(self):
        """{path: (bytes, mtime)} of all files."""
        found = {}
        for where, _, names in os.walk(self.files):
            for name in names:
                path = os.path.join(where, name)
                try:
                    with open(path, "rb") as file:
                        found[path[len(self.files):]] = file.read(), os.fstat(file.fileno()).st_mtime_ns
                except FileNotFoundError:
                    pass
        return found

    def directories(self):
        return {where[len(self.files):] for where, _, _ in os.walk(self.files)}

    def tombstone(self, path):
        digits = hashlib.md5(self.file(path).encode()).hexdigest()
        try:
            return int(os.readlink(os.path.join(self.state, "deleted", digits[:2], digits[2:])))
        except FileNotFoundError:
            return None

    def empty(self):
        """Everything goes that was stored, by hand."""
        for directory in (self.files, os.path.join(self.state, "deleted")):
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)

    def litter(self):
        """What may not be left when nothing is under way."""
        found = [name for name in state.walk(self.files) if os.path.basename(name).startswith(".filedist.")]
        found += [f"state/{name}" for name in state.unknown(self)]
        found += [
            f"state/{name}" for name in state.walk(self.state)
            if "/.filedist." in name or name.startswith("provide/") and name != "provide/"
        ]
        return found


class Answer:
    """A client's: status None if there was none."""

    def __init__(self, status, body=b""):
        self.status = status
        try:
            self.receipt = json.loads(body)
        except ValueError:
            self.receipt = {}

    @property
    def version(self):
        return self.receipt.get("version")


class Trio:
    def __init__(self, directory, nginx, module, library, base, variant):
        self.dir, self.nginx, self.module, self.library, self.base = directory, nginx, module, library, base
        self.variant = variant
        self.processes = []

    # --- processes ---

    def start(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        names = ("root", "one", "two")
        self.root, self.one, self.two = self.nodes = [
            Node(os.path.join(self.dir, name), name, self.base + n) for n, name in enumerate(names)
        ]
        for node in self.nodes:
            os.makedirs(node.files)
        self.control = Control(os.path.join(self.dir, "control"))
        environment = os.environ | {
            "LD_PRELOAD": self.library,
            "FILEDIST_POINTS_CONTROL": os.path.join(self.dir, "control"),
            "FILEDIST_POINTS_DISK": self.root.disk,
        }
        self.begin("children", self.children_conf(), os.environ)
        self.begin("root", self.root_conf(), environment)
        for path in ("/start", "/queued/start"):
            end = time.monotonic() + 10
            while self.put(path, b"start").status not in (200, 201):
                if time.monotonic() > end:
                    raise Broken(f"does not start: {self.complaint()}")
                time.sleep(0.02)
        self.settle(10)
        self.seen = {}

    def begin(self, name, conf, environment):
        directory = os.path.join(self.dir, name)
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "nginx.conf"), "w", encoding="utf-8") as out:
            out.write(conf)
        with open(os.path.join(directory, "start.log"), "wb") as log:
            command = [self.nginx, "-p", directory, "-c", f"{directory}/nginx.conf", "-e", f"{directory}/error.log"]
            self.processes.append(subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # Its workers end with it.
                preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
            ))

    def stop(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.processes = []

    def worker(self):
        """The root's, if there is one."""
        master = self.processes[-1].pid
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as text:
            return text.read().split()[:1]

    def wait_for_worker(self, former):
        """Until there is another one."""
        end = time.monotonic() + 10
        while self.worker() in ([], former):
            if time.monotonic() > end:
                raise Broken("no new worker after 10 s")
            time.sleep(0.01)

    def main_conf(self, name, *lines):
        return "\n".join([
            f"load_module {self.module};",
            *(["user root;"] if os.geteuid() == 0 else []),
            "daemon off;",
            "worker_processes 1;",
            f"pid {self.dir}/{name}/nginx.pid;",
            f"error_log {self.dir}/{name}/error.log info;",
            "events { worker_connections 512; }",
            *lines,
            "",
        ])

    def http_conf(self, name):
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        return [
            f"    access_log {self.dir}/{name}/access.log;",
            *(f"    {kind}_temp_path {self.dir}/{name}/{kind};" for kind in temporary),
            f"    client_body_buffer_size {SMALL_BUFFER};",
            "    client_max_body_size 0;",
        ]

    def children_conf(self):
        servers = []
        for node in self.nodes[1:]:
            servers += [
                "    server {",
                f"        listen 127.0.0.1:{node.port};",
                f"        root {node.files};",
                f"        filedist_state {node.state};",
                f"        filedist_name {node.name};",
                # It can be away: as good as dead, and back at once.
                f"        if (-f {node.dir}/away) {{ return 444; }}",
                "        location / { filedist on; }",
                "    }",
            ]
        return self.main_conf("children", "http {", *self.http_conf("children"), *servers, "}")

    def root_conf(self):
        fsync, threads = self.variant
        proxy = [
            "proxy_pass http://children;",
            "proxy_http_version 1.1;",
            'proxy_set_header Connection "";',
            "proxy_connect_timeout 2s;",
            "proxy_read_timeout 5s;",
        ]
        return self.main_conf(
            "root", "env LD_PRELOAD;", "env FILEDIST_POINTS_CONTROL;", "env FILEDIST_POINTS_DISK;", "http {",
            *self.http_conf("root"),
            "    upstream children {",
            *(f"        server {self.child(node)} max_fails=0;" for node in self.nodes[1:]),
            "        filedist_fanout;",
            "        keepalive 8;",
            "    }",
            "    server {",
            f"        listen 127.0.0.1:{self.root.port};",
            f"        root {self.root.files};",
            f"        filedist_state {self.root.state};",
            "        filedist_name root;",
            f"        filedist_fsync {'on' if fsync else 'off'};",
            "        filedist_catch_up on max_backoff=1s;",
            *(["        aio threads;"] if threads else []),
            "        location / {",
            "            filedist on;",
            *(f"            {line}" for line in proxy),
            "        }",
            "        location /queued/ {",
            "            filedist on;",
            "            filedist_ack local;",
            *(f"            {line}" for line in proxy),
            "        }",
            "        location /__missing__/ { filedist_missing manage; }",
            "    }",
            "}",
        )

    def child(self, node):
        """Its name at the root."""
        return f"127.0.0.1:{node.port}"

    # --- a client ---

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.root.port, timeout=12)
        try:
            connection.request(method, path, body, {"Accept": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            return Answer(None)
        finally:
            connection.close()

    def put(self, path, body):
        return self.ask("PUT", path, body)

    def set_away(self, node, away):
        name = os.path.join(node.dir, "away")
        if away:
            open(name, "w", encoding="ascii").close()
        elif os.path.exists(name):
            os.remove(name)

    # --- the state ---

    def left(self):
        """What keeps the trio from being at rest, as a text; none if nothing does."""
        if litter := self.litter():
            return litter
        if intents := state.journal(self.root):
            return f"open intent: {intents[0][0]}: {intents[0][1]}"
        if len(journals := list(state.walk(os.path.join(self.root.state, "journal")))) > 1:
            return f"more than the journal of the worker: {', '.join(sorted(journals))}"
        if entries := state.missing(self.root):
            return f"entry in the missing log of {entries[0][0]}: {entries[0][1]}"
        trees = [node.tree() for node in self.nodes]
        for node, tree in zip(self.nodes[1:], trees[1:]):
            if tree != trees[0]:
                return self.difference(node, trees[0], tree)
        return None

    def litter(self):
        for node in self.nodes:
            if litter := node.litter():
                return f"litter at {node.name}: {', '.join(sorted(litter)[:5])}"
        return None

    def difference(self, node, root, child):
        path = next(path for path in sorted({*root, *child}) if root.get(path) != child.get(path))

        def tell(tree):
            bytes_, version = tree.get(path, (None, None))
            return "nothing" if bytes_ is None else f"{len(bytes_)} bytes, version {version}"
        return f"{path}: root has {tell(root)}, {node.name} {tell(child)}"

    def settle(self, seconds, left=None):
        """Waits until all is at rest; what keeps it from that, as `left` says."""
        end, look = time.monotonic() + seconds, left or self.left
        while True:
            left = look()
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.02)

    def complaint(self):
        """A new line of an error log that may not be there, if there is one."""
        for name in ("root", "children"):
            node = Node(os.path.join(self.dir, name), name, 0)
            found = state.complaints(node)
            if len(found) > self.seen.get(name, 0):
                self.seen[name] = len(found)
                return f"{name}: {found[-1]}"
        return None

    seen = {}

    def reset(self):
        """Everything is as after the start, but for empty directories of missing logs."""
        for node in self.nodes:
            node.empty()
            self.set_away(node, False)
