"""The links between the nodes: a TCP forwarder for each, in a process of its own, whose links can be cut.

Run as a program it is that process: it takes commands as JSON lines on standard input. It is also the one who
cleans up when the chaos run itself is killed: standard input ends then, and it kills the process groups and
unmounts the disks that it was told about.
"""

import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

MODES = {
    "up": "everything passes",
    "cut": "connections are reset, new ones refused",
    "hole": "connections stand, and nothing passes",
    "deaf": "what the parent sends passes, what the child answers does not",
    "slow": "a little passes at a time",
    "reset": "connections are reset, once",
    "trip": "the next connection is reset after so many bytes of the parent's",
    "trip_up": "the next connection is reset after so many bytes of the child's",
}
TICK = 0.05
SLOW_BYTES = 8192
CHUNK = 65536
MOST_HELD = 4 * CHUNK


class Links:
    """The forwarder, as the chaos run sees it."""

    def __init__(self, pairs, log):
        """pairs: (name, port to listen on, port to forward to)."""
        self.lock = threading.Lock()
        # A session of its own: Ctrl-C is for the run.
        self.process = subprocess.Popen(
            [sys.executable, "-I", os.path.abspath(__file__), json.dumps(pairs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )
        if self.process.stdout.readline().strip() != "ready":
            raise OSError("the forwarder of the links did not start; see links.log")

    def tell(self, **command):
        with self.lock:
            try:
                self.process.stdin.write(json.dumps(command) + "\n")
                self.process.stdin.flush()
            except OSError:
                pass        # seen by check()

    def check(self):
        if self.process.poll() is not None:
            raise RuntimeError("the forwarder of the links has ended; see links.log")

    def set(self, link, mode, amount=0):
        self.tell(link=link, mode=mode, amount=amount)

    def close(self):
        self.tell(bye=True)
        try:
            self.process.stdin.close()
            self.process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


class Flow:
    """One direction of a connection."""

    def __init__(self, source, sink, down):
        self.source, self.sink, self.down = source, sink, down
        self.held = bytearray()
        self.ended = False      # the source has said all
        self.closed = False     # and the sink knows


class Connection:
    def __init__(self, link, parent, child):
        self.link = link
        self.sockets = (parent, child)
        self.flows = (Flow(parent, child, True), Flow(child, parent, False))

    def reset(self):
        for side in self.sockets:
            try:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass


class Link:
    def __init__(self, name, port, to):
        self.name, self.port, self.to = name, port, to
        self.mode, self.amount = "up", 0
        self.connections = set()
        self.listener = None

    def passes(self, flow):
        return self.mode not in ("cut", "hole") and (flow.down or self.mode != "deaf")


class Forwarder:
    def __init__(self, pairs):
        self.selector = selectors.DefaultSelector()
        self.links = {name: Link(name, port, to) for name, port, to in pairs}
        self.groups, self.mounts, self.bye = set(), set(), False
        self.rest = b""
        for link in self.links.values():
            self.listen(link)
        os.set_blocking(0, False)
        self.selector.register(0, selectors.EVENT_READ, self.commands)

    def listen(self, link):
        if link.listener is None:
            link.listener = socket.socket()
            link.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            link.listener.bind(("127.0.0.1", link.port))
            link.listener.listen(128)
            link.listener.setblocking(False)
            self.selector.register(link.listener, selectors.EVENT_READ, lambda _events: self.accept(link))

    def accept(self, link):
        try:
            parent, _ = link.listener.accept()
        except OSError:
            return
        child = socket.socket()
        for side in (parent, child):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        child.connect_ex(("127.0.0.1", link.to))
        connection = Connection(link, parent, child)
        link.connections.add(connection)
        self.update(connection)

    def drop(self, connection, reset):
        connection.link.connections.discard(connection)
        if reset:
            connection.reset()
        for side in connection.sockets:
            try:
                self.selector.unregister(side)
            except KeyError:
                pass
            side.close()

    def update(self, connection):
        """Asks for the events that this connection waits for now."""
        wanted = {side: 0 for side in connection.sockets}
        for flow in connection.flows:
            if not connection.link.passes(flow):
                continue
            if not flow.ended and len(flow.held) < MOST_HELD:
                wanted[flow.source] |= selectors.EVENT_READ
            if flow.held or (flow.ended and not flow.closed):
                wanted[flow.sink] |= selectors.EVENT_WRITE
        slow = connection.link.mode == "slow"
        for side, events in wanted.items():
            known = self.selector.get_map().get(side)
            if not events or slow:      # a slow link is moved by the clock
                if known:
                    self.selector.unregister(side)
            elif known is None:
                self.selector.register(side, events, lambda events, side=side: self.move(connection, side, events))
            elif known.events != events:
                self.selector.modify(side, events, known.data)

    def move(self, connection, side, events, most=CHUNK):
        try:
            for flow in connection.flows:
                if not connection.link.passes(flow):
                    continue
                if flow.source is side and events & selectors.EVENT_READ and not flow.ended:
                    self.receive(flow, most)
                if (flow.sink is side or flow.source is side) and self.send(connection, flow, most):
                    return self.drop(connection, reset=True)
        except OSError:
            return self.drop(connection, reset=True)
        if all(flow.closed for flow in connection.flows):
            return self.drop(connection, reset=False)
        return self.update(connection)

    def receive(self, flow, most):
        if len(flow.held) < MOST_HELD:
            try:
                data = flow.source.recv(most)
            except BlockingIOError:
                return
            flow.ended = not data
            flow.held += data

    def send(self, connection, flow, most):
        """Passes on what is held. True when that has tripped the link."""
        link = connection.link
        trips = link.mode == ("trip" if flow.down else "trip_up")
        if flow.held:
            data = bytes(flow.held[: min(most, link.amount) if trips else most])
            try:
                sent = flow.sink.send(data) if data else 0
            except BlockingIOError:
                return False
            del flow.held[:sent]
            if trips:
                link.amount -= sent
                if link.amount <= 0:
                    link.mode = "up"
                    return True
        if flow.ended and not flow.held and not flow.closed:
            flow.closed = True
            flow.sink.shutdown(socket.SHUT_WR)
        return False

    def tick(self):
        for link in self.links.values():
            if link.mode == "slow":
                for connection in list(link.connections):
                    for side in connection.sockets:
                        if connection in link.connections:
                            self.move(connection, side, selectors.EVENT_READ, SLOW_BYTES)

    def commands(self, _events):
        data = os.read(0, 65536)
        if not data:
            raise EOFError
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            self.bye |= command.get("bye", False)
            for key, known in (("group", self.groups), ("mount", self.mounts)):
                if key in command:
                    known.add(command[key])
                known.discard(command.get(f"no_{key}"))
            if "link" in command:
                self.set(self.links[command["link"]], command["mode"], command["amount"])

    def set(self, link, mode, amount):
        if mode in ("cut", "reset"):
            for connection in list(link.connections):
                self.drop(connection, reset=True)
        if mode == "cut":
            if link.listener:
                self.selector.unregister(link.listener)
                link.listener.close()
                link.listener = None
        else:
            self.listen(link)
        if mode != "reset":
            link.mode, link.amount = mode, amount
        for connection in list(link.connections):
            self.update(connection)

    def run(self):
        try:
            while True:
                for key, events in self.selector.select(TICK):
                    # An earlier event of this round may have closed it.
                    if self.selector.get_map().get(key.fd) is key:
                        key.data(events)
                self.tick()
        except EOFError:
            if not self.bye:
                self.clean_up()

    def clean_up(self):
        """The run is gone without a word."""
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.5)
        for mount in self.mounts:
            subprocess.run(["umount", "-l", mount], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forwarder = Forwarder(json.loads(sys.argv[1]))
    print("ready", flush=True)
    forwarder.run()
