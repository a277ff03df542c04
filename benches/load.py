"""What the programs about catch-up share: a client that sees each answer, missing logs, and trees."""

import os
import select
import socket
import sys
import time

from lib import cannot_run, wait_for


def put(path, body):
    return b"PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


def delete(path):
    return b"DELETE %s HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode()


def body(path, number=0, length=4096):
    """Content that is of this path and number only, so that a mixed or a wrong one shows."""
    line = b"%s %d\n" % (path.encode(), number)
    return (line * (length // len(line) + 1))[:length]


class Connection:
    def __init__(self, port, source):
        self.port, self.source = port, source
        self.socket = None
        self.what, self.since = None, 0.0

    def open(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self):
        """Reads the answer: its status, or None where the connection broke; and whether it goes on."""
        data = b""
        try:
            while True:
                piece = self.socket.recv(65536)
                if not piece:
                    return None, False
                data += piece
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    continue
                at = data.find(b"\r\nContent-Length: ", 0, end)
                if at < 0:
                    return int(data[9:12]), False
                if len(data) >= end + 4 + int(data[at + 18:data.find(b"\r", at + 18)]):
                    return int(data[9:12]), data.find(b"\r\nConnection: close", 0, end) < 0
        except OSError:
            return None, False


def drive(port, sources, answered=None):
    """Sends what the sources yield, pairs of anything and a request: a keep-alive connection for each
    source, each request as soon as the one before has its answer.

    answered(anything, status) is called for each; the status is None if the connection broke or was
    silent for 20 s, and a new one goes on with the next request. Returns the number of answers, the
    seconds that they took, and how many were not 2xx, broken ones among them."""
    poll, connections = select.epoll(), {}
    count = wrong = 0

    def send_next(connection):
        for connection.what, request in connection.source:
            try:
                if connection.socket is None:
                    connection.open()
                    connections[connection.socket.fileno()] = connection
                    poll.register(connection.socket.fileno(), select.EPOLLIN)
                connection.since = time.monotonic()
                connection.socket.sendall(request)
                return
            except OSError:
                end(connection, None)
        close(connection)

    def close(connection):
        if connection.socket is not None:
            del connections[connection.socket.fileno()]
            connection.socket.close()
            connection.socket = None

    def end(connection, status, goes_on=False):
        nonlocal count, wrong
        count += 1
        wrong += status is None or status // 100 != 2
        if not goes_on:
            close(connection)
        if answered:
            answered(connection.what, status)

    start = time.monotonic()
    for source in sources:
        send_next(Connection(port, source))
    while connections:
        ready = poll.poll(1)
        for descriptor, _ in ready:
            connection = connections[descriptor]
            end(connection, *connection.answer())
            send_next(connection)
        if not ready:
            now = time.monotonic()
            for connection in [c for c in connections.values() if now - c.since > 20]:
                end(connection, None)
                send_next(connection)
    poll.close()
    return count, time.monotonic() - start, wrong


def wait_or_end(bench, what, condition, seconds, step):
    """Waits until condition() is true. The program has failed if it does not become so."""
    try:
        wait_for(what, condition, seconds, step)
    except TimeoutError as late:
        sys.exit(f"{bench.name}: {late}")


# --- missing logs ---


def logs(directory):
    """The days' files of one child, or below `missing` those of all."""
    return [os.path.join(where, name) for where, _, names in os.walk(directory) for name in names]


def open_entries(directory):
    """Whether entries are left there: lines that are not spaces. Looks at the end of each file first."""
    for path in logs(directory):
        try:
            with open(path, "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 65536))
                if log.read().strip():
                    return True
                log.seek(0)
                while piece := log.read(1 << 20):
                    if piece.strip():
                        return True
        except FileNotFoundError:
            pass
    return False


def count_entries(directory):
    count = 0
    for path in logs(directory):
        with open(path, "rb") as log:
            count += sum(line.endswith(b"<br>\n") for line in log)
    return count


# --- trees ---


def tree(root):
    """All files below: name, mtime in ns and content of each, the content as a hash."""
    found, below = {}, [root]
    while below:
        with os.scandir(below.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                    continue
                with open(entry.path, "rb", buffering=0) as file:
                    content = file.read()
                found[entry.path[len(root):]] = entry.stat().st_mtime_ns, len(content), hash(content)
    return found


def differences(one, other):
    """How many names of two trees are not the same in both, and a few of them."""
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    return len(names), sorted(names)[:5]


# --- processors ---


class Others:
    """What share of a processor others take from the given nodes, from here on."""

    def __init__(self, cpu, nodes):
        self.cpu, self.nodes = cpu, nodes
        self.start = self.now()

    def now(self):
        """The clock; seconds of the nodes on a processor; in which they waited for one; in which it was busy."""
        ours = waited = 0
        for node in self.nodes:
            with open(f"/proc/{node.worker()}/schedstat") as schedstat:
                ran, queued = (int(field) / 1e9 for field in schedstat.read().split()[:2])
            ours, waited = ours + ran, waited + queued
        with open("/proc/stat") as stat:
            fields = next(line for line in stat if line.startswith(f"cpu{self.cpu or 0} ")).split()
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[1:9])
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        return time.monotonic(), ours, waited, busy

    def measure(self):
        """Seconds; the share that others took, 0 where nothing is pinned; the nodes' seconds on a processor."""
        seconds, ours, waited, busy = (now - then for now, then in zip(self.now(), self.start))
        # What others had while the nodes wanted nothing, they did not take.
        others = min(busy - ours, waited) if self.cpu is not None else 0
        return seconds, max(0.0, others / seconds), ours


def need_memory(bench, megabytes):
    room = os.statvfs(bench.dir)
    if room.f_bavail * room.f_frsize < megabytes << 20:
        cannot_run(f"needs {megabytes} MB of free space in {bench.dir}")
