"""The tree: an nginx with two workers for each node, its directories and disk, the links between them."""

import ctypes
import os
import shutil
import socket
import subprocess

import shim
from links import Links
from node import Node

FIRST_PORT, LAST_PORT, STEP = 19000, 19999, 40
DISK = "96m"
PR_SET_CHILD_SUBREAPER = 36


class Tree:
    def __init__(self, plan, directory, nginx, module, old=False):
        self.plan, self.dir, self.nginx, self.module, self.old = plan, directory, nginx, module, old
        self.nodes, self.notes, self.mounts, self.link_forwarder = {}, [], [], None
        self.keep = self.closing = False
        # What a killed master leaves becomes our child, so that we can wait for it.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # nginx takes a variable of this name for inherited sockets.
        os.environ.pop("NGINX", None)

    def start(self):
        self.shim, why = shim.build(self.dir)
        if why:
            self.notes.append(f"no clock steps and no slow disks: {why}")
        options = subprocess.run([self.nginx, "-V"], capture_output=True, text=True, timeout=10, check=True).stderr
        self.threads = "--with-threads" in options
        names = list(self.plan.parents)
        base = self.free_ports(2 * len(names))
        for index, name in enumerate(names):
            directory = os.path.join(self.dir, name)
            os.makedirs(os.path.join(directory, "disk"))
            self.nodes[name] = Node(self, name, directory, base + index, base + len(names) + index)
        self.mount_disks()
        pairs = [(name, self.nodes[name].link_port, self.nodes[name].port) for name in self.plan.links]
        with open(os.path.join(self.dir, "links.log"), "w", encoding="utf-8") as log:
            self.link_forwarder = Links(pairs, log)
        for mount in self.mounts:
            self.link_forwarder.tell(mount=mount)
        for node in self.nodes.values():
            node.prepare(self.conf(node))
            node.start()

    @staticmethod
    def free_ports(count):
        for base in range(FIRST_PORT, LAST_PORT - count, STEP):
            sockets = [socket.socket() for _ in range(count)]
            try:
                for offset, each in enumerate(sockets):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    each.bind(("127.0.0.1", base + offset))
                    each.listen(1)
                return base
            except OSError:
                continue
            finally:
                for each in sockets:
                    each.close()
        raise OSError(f"no {count} free ports in {FIRST_PORT}..{LAST_PORT}")

    def mount_disks(self):
        """A small disk of its own for each node, with its files and its state."""
        if os.geteuid() != 0:
            self.notes.append("no full disks: mounting small ones needs root")
            return
        for node in self.nodes.values():
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "filedist-chaos", node.disk]
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
            if done.returncode:
                self.notes.append(f"no full disks: {done.stderr.strip()}")
                return
            self.mounts.append(node.disk)

    def children(self, node):
        return [self.nodes[name] for name, parent in self.plan.parents.items() if parent == node.name]

    # --- configuration ---

    def conf(self, node):
        settings = self.plan.settings[node.name]
        children = self.children(node)
        new = [] if self.old else [
            f"filedist_fsync {'on' if self.plan.fsync else 'off'};",
            *([f"filedist_ack {settings.ack};", f"filedist_catch_up on {settings.catch_up};"] if children else []),
        ]
        upstream, proxy = [], []
        if children:
            upstream = [
                "upstream children {",
                *(f"    server 127.0.0.1:{child.link_port} {settings.peers};" for child in children),
                "    filedist_fanout;",
                *([f"    keepalive {settings.keepalive};"] if settings.keepalive else []),
                "}",
            ]
            proxy = [
                "proxy_pass http://children;",
                "proxy_http_version 1.1;",
                'proxy_set_header Connection "";',
                "proxy_connect_timeout 1s;",
                "proxy_send_timeout 3s;",
                "proxy_read_timeout 3s;",
            ]
        http = [
            "log_format chaos '$msec $pid $remote_port $request_method \"$request_uri\" $status in=$request_length '",
            "    'out=$body_bytes_sent $request_time version=$http_filedist_version via=$http_filedist_via';",
            f"access_log {node.dir}/access.log chaos;",
            *(f"{kind}_temp_path {node.dir}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
            *upstream,
            *new,
            "server {",
            f"    listen 127.0.0.1:{node.port};",
            f"    root {node.files};",
            f"    filedist_state {node.state};",
            f"    filedist_name {node.name};",
            "    client_max_body_size 0;",
            f"    client_body_buffer_size {settings.buffer};",
            "    client_body_timeout 10s;",
            *(["    aio threads;"] if settings.threads and self.threads else []),
            "    location / {",
            "        filedist on;",
            *(f"        {line}" for line in proxy),
            "    }",
            "    location /__missing__/ { filedist_missing; }",
            "}",
        ]
        main = [
            f"load_module {self.module};",
            *(["user root;"] if os.geteuid() == 0 else []),
            *(["env LD_PRELOAD;", "env FILEDIST_CHAOS_CONTROL;"] if self.shim else []),
            f"worker_processes {1 if node.name.startswith('wide') else 2};",
            "worker_shutdown_timeout 4s;",
            f"pid {node.pid_file};",
            f"error_log {node.dir}/error.log info;",
            # Each change in hand takes one a child, and so does catch-up.
            f"events {{ worker_connections {512 + 64 * len(children)}; }}",
        ]
        return "\n".join([*main, "http {", *(f"    {line}" for line in http), "}", ""])

    # --- the end ---

    def heal(self):
        """Everything runs, and everything is connected. What was started again is said."""
        for name in self.plan.links:
            self.link_forwarder.set(name, "up")
        for node in self.nodes.values():
            node.control.set(clock=0, delay=0)
            node.empty_disk()
        for node in self.nodes.values():
            with node.lock:
                node.resume()
                if not node.master():
                    node.restart()

    def reload(self):
        for node in self.nodes.values():
            node.reload()

    def stop(self):
        """Ends all processes."""
        self.closing = True
        for node in self.nodes.values():
            node.kill_all()

    def close(self):
        """Takes the disks away; what is on them is copied into the directory first, if it is to be kept."""
        for mount in list(self.mounts):
            self.keep_disk(mount)
            for command in (["umount", mount], ["umount", "-l", mount]):
                if subprocess.run(command, stderr=subprocess.DEVNULL, timeout=20, check=False).returncode == 0:
                    break
            self.mounts.remove(mount)
            if os.path.isdir(f"{mount}.kept"):
                os.rmdir(mount)
                os.rename(f"{mount}.kept", mount)
        if self.link_forwarder:
            self.link_forwarder.close()

    def keep_disk(self, mount):
        if self.keep:
            shutil.copytree(mount, f"{mount}.kept", symlinks=True, ignore=shutil.ignore_patterns("filler"))
