"""What the programs in benches/ share: nginx processes, measuring, and the line that says a figure.

Exit codes: 0 all figures meet their targets, 1 one misses it, 2 this machine lacks something.
"""

import atexit
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(HERE)

# command: the Debian package that has it
PACKAGES = {
    "callgrind_annotate": "valgrind",
    "curl": "curl",
    "find": "findutils",
    "ip": "iproute2",
    "nginx": "nginx",
    "openssl": "openssl",
    "perf": "linux-perf",
    "strace": "strace",
    "tc": "iproute2",
    "valgrind": "valgrind",
    "wrk": "wrk",
}


def cannot_run(*lines):
    print(f"{os.path.basename(sys.argv[0])}: cannot run here:", *lines, sep="\n    ", file=sys.stderr)
    sys.exit(2)


def median(values):
    return statistics.median(values)


def size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def has_room_for(files, directory):
    """Whether that many small files, and some more, may be made there."""
    try:
        room = os.statvfs(directory)
    except OSError:
        return False
    return room.f_favail > files * 1.1 and room.f_bavail * room.f_frsize > files * 1000


def wait_for(what, condition, seconds=10.0, step=0.01):
    """Waits until condition() is true, and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(step)


class Bench:
    """One program's directory, processes and figures. All of it is gone when the program ends."""

    def __init__(self, needs=(), root=False, seconds=300, shm=False):
        self.name = os.path.basename(sys.argv[0])
        self.nodes = []
        self.processes = []
        self.undo = []
        self.missed = False
        # nginx takes a variable of this name for inherited sockets.
        os.environ.pop("NGINX", None)
        os.environ["PATH"] += ":/usr/sbin:/sbin:/usr/local/sbin"

        self.nginx = os.environ.get("FILEDIST_NGINX") or os.environ.get("TEST_NGINX_BINARY")
        self.module = os.path.abspath(
            os.environ.get("FILEDIST_MODULE")
            or os.environ.get("NGINX_FILEDIST_MODULE")
            or os.path.join(CHECKOUT, "target/release/ngx_http_filedist_module.so")
        )
        needs = list(needs) + ([] if self.nginx else ["nginx"])
        missing = [command for command in needs if not shutil.which(command)]
        if missing:
            packages = " ".join(sorted({PACKAGES[command] for command in missing}))
            cannot_run(f"missing: {', '.join(missing)}", f"as root: apt-get install {packages}")
        if root and os.geteuid() != 0:
            cannot_run("network namespaces and shaped links need root", f"sudo {sys.argv[0]}")
        self.nginx = self.nginx or shutil.which("nginx")
        if not os.path.exists(self.module):
            cannot_run(f"there is no {self.module}", "first: make build (or name another in FILEDIST_MODULE)")

        temporary = os.environ.get("TMPDIR", "/tmp")
        if shm:
            # tmpfs, or the disk would be measured
            temporary = "/dev/shm" if os.access("/dev/shm", os.W_OK) else temporary
        self.dir = tempfile.mkdtemp(prefix=f"filedist-{self.name}-", dir=temporary)
        self.next_port = int(os.environ.get("FILEDIST_PORT", 9300))
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, self.ended)
        signal.alarm(seconds)
        self.seconds = seconds

    def ended(self, number, _frame):
        if number == signal.SIGALRM:
            print(f"{self.name}: still not done after {self.seconds} s, so ended", file=sys.stderr)
        sys.exit(1)

    def close(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        for node in self.nodes:
            node.stop()
        for process in self.processes:
            stop(process)
        for action in reversed(self.undo):
            action()
        if os.environ.get("FILEDIST_KEEP"):
            print(f"{self.name}: kept {self.dir}", file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- what is needed for a measurement ---

    def port(self):
        """A port that is free on every address, and below those that clients get."""
        for port in range(self.next_port, 32768):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", port))
                except OSError:
                    continue
            self.next_port = port + 1
            return port
        raise OSError("no free port")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def mkdir(self, *parts):
        os.makedirs(self.path(*parts), exist_ok=True)
        return self.path(*parts)

    def file(self, name, length):
        """A file of that length that does not compress, to be uploaded."""
        block = os.urandom(1 << 20)
        with open(self.path(name), "wb") as out:
            while length > 0:
                out.write(block[:length])
                length -= len(block)
        return self.path(name)

    def start(self, *command, **options):
        """A process that ends with the program."""
        process = subprocess.Popen(command, **options)
        self.processes.append(process)
        return process

    def node(self, name, http, **options):
        """A running nginx process: see Node."""
        node = Node(self, name, http, **options)
        self.nodes.append(node)
        node.run()
        return node

    # --- figures ---

    def figure(self, what, value, target=None, unit="", noise=""):
        """Prints the line of a figure. target: ("<", 4) or (">=", 0.3) or ("==", 0), or none."""
        number = f"{value:.3f}" if isinstance(value, float) else str(value)
        verdict, wanted = "", ""
        if target:
            compare, limit = target
            met = {"<": value < limit, "<=": value <= limit, ">=": value >= limit, "==": value == limit}[compare]
            verdict = "ok" if met else "MISS"
            self.missed |= not met
            wanted = f"{compare} {limit}"
        line = f"{self.name + ': ' + what:<62} {number + unit:>12}  {wanted:<9} {verdict:<4}  {noise}"
        print(line.rstrip(), flush=True)

    def finish(self):
        """Ends the program, with what the logs of nginx say if they say something bad."""
        for node in self.nodes:
            for line in node.complaints():
                print(f"{self.name}: {node.name}: {line}", file=sys.stderr)
                self.missed = True
        sys.exit(1 if self.missed else 0)


def spread(values, digits=3):
    """The noise of a figure: the runs' extremes, and how many there were."""
    return f"{min(values):.{digits}f}..{max(values):.{digits}f} in {len(values)} runs"


def interval(values):
    """Where the median of more and more runs would lie, with 95 % confidence (sign test)."""
    values = sorted(values)
    outside = max(0, int(len(values) / 2 - 0.98 * len(values) ** 0.5))
    return values[outside], values[-1 - outside]


def sure(values):
    return "median sure to %.3f..%.3f, %d pairs" % (*interval(values), len(values))


def stop(process, seconds=5):
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Node:
    """An nginx process with one worker, whose directory is that of its name.

    In `http`, DIR is that directory, for roots and state directories, which are created.
    prefix: a command that runs nginx, as `ip netns exec` does; cpu: run on this processor only;
    single: one process, no worker.
    """

    def __init__(self, bench, name, http, module=True, prefix=(), cpu=None, single=False):
        self.name = name
        self.dir = bench.mkdir(name)
        self.prefix, self.cpu, self.single = list(prefix), cpu, single
        self.command = [bench.nginx, "-p", self.dir, "-c", f"{self.dir}/nginx.conf", "-e", f"{self.dir}/error.log"]
        http = http.replace("DIR", self.dir)
        for made in re.findall(r"\b(?:root|filedist_state)\s+([^;]+);", http):
            os.makedirs(made, exist_ok=True)
        lines = [
            f"load_module {bench.module};" if module else "",
            "user root;" if os.geteuid() == 0 else "",
            "daemon off;",
            "master_process off;" if single else "worker_processes 1;",
            f"pid {self.dir}/nginx.pid;",
            f"error_log {self.dir}/error.log error;",
            "events { worker_connections 4096; }",
            "worker_rlimit_nofile 16384;" if os.geteuid() == 0 else "",
            "http {",
            "    access_log off;",
            *(f"    {which}_temp_path {self.dir}/{which};" for which in
              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
            http,
            "}",
        ]
        with open(f"{self.dir}/nginx.conf", "w") as out:
            out.write("\n".join(lines) + "\n")

    def run(self):
        pin = (lambda: os.sched_setaffinity(0, {self.cpu})) if self.cpu is not None else None
        self.process = subprocess.Popen(
            self.prefix + self.command, stdin=subprocess.DEVNULL, preexec_fn=pin
        )
        wait_for(f"{self.name}: pid file", lambda: self.worker() and size(f"{self.dir}/nginx.pid"), 30)

    def worker(self):
        """The process that serves."""
        if self.process.poll() is not None:
            sys.exit(f"{self.name}: nginx has ended, see above")
        if self.single:
            return self.process.pid
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            pids = children.read().split()
        return int(pids[0]) if pids else None

    def vm_hwm(self):
        """The most memory that the worker ever had, in KB."""
        with open(f"/proc/{self.worker()}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))

    def reset_vm_hwm(self):
        """Has VmHWM start again from what is in use now."""
        with open(f"/proc/{self.worker()}/clear_refs", "w") as clear_refs:
            clear_refs.write("5")

    def cpu_seconds(self):
        """The processor time that the worker has used."""
        with open(f"/proc/{self.worker()}/schedstat") as schedstat:
            return int(schedstat.read().split()[0]) / 1e9

    def complaints(self):
        try:
            with open(f"{self.dir}/error.log", errors="replace") as log:
                return [line.rstrip() for line in log if re.search(r"\[(alert|crit|emerg)\]|panicked", line)]
        except FileNotFoundError:
            return []

    def stop(self):
        if hasattr(self, "process"):
            stop(self.process)


def processors():
    """One processor for nginx and one for its client, or none where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def parent(listen, children, name="root", scheme="http", directives="", server=""):
    """The configuration of a node that delivers to `children` (address:port). directives: of the location that
    does so; server: of the server."""
    servers = " ".join(f"server {child};" for child in children)
    return f"""
    upstream children_of_{name} {{ {servers} filedist_fanout; keepalive 32; }}
    server {{
        listen {listen};
        root DIR/files/{name};
        filedist_state DIR/state/{name};
        client_max_body_size 0;
        {server}
        location / {{
            filedist on;
            proxy_pass {scheme}://children_of_{name};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout http_404;
            {directives}
        }}
    }}
"""


def leaf(listen, name="leaf", directives=""):
    """The configuration of a node without children."""
    return f"""
    server {{
        listen {listen};
        root DIR/files/{name};
        filedist_state DIR/state/{name};
        client_max_body_size 0;
        filedist on;
        {directives}
    }}
"""
