"""What a node keeps beside its files: missing logs, journals, tombstones, locks; and its error log."""

import os
import re
from urllib.parse import quote

# What may lie in a state directory when nothing is open, besides the missing logs and journals.
KNOWN = (
    r"(missing|provide|journal|deleted|catch_up|lock)",
    r"missing/[^/]+(/\d{4}-\d\d-\d\d\.log\.html)?",
    r"journal/[^/]+",
    r"deleted/.+",
    r"catch_up/[^/]+",
)
BAD_LINE = re.compile(r"\[(alert|emerg)\]|panicked|exited on signal")
# What a kill or a stop of ours has nginx say.
OURS = (
    r"(worker|new binary) process \d+ exited on signal 9",
    # A new nginx that waits until the workers of a killed master have let go of the port.
    r"bind\(\) to .* failed \(98:|still could not bind\(\)",
    r"shared memory zone \"[^\"]*\" was locked by",
    r"(kill|sendmsg)\(.*\) failed \((3|9|32|107|111):",
    r"sendmsg\(\) failed",
    r"unlink\(\) .*nginx\.pid.* failed",
    r"\d+#\d+: (\*\d+ )?open socket #\d+ left in connection",
    r"aborting$",
)
OURS = re.compile("|".join(OURS))


def lines(path):
    try:
        with open(path, "rb") as text:
            return [line.decode("utf-8", "backslashreplace") for line in text.read().split(b"\n")]
    except OSError:
        return []


def walk(directory):
    """Paths of all that is below it, relative to it; directories end with a slash."""
    for where, directories, files in os.walk(directory):
        for name in directories:
            yield os.path.relpath(os.path.join(where, name), directory) + "/"
        for name in files:
            yield os.path.relpath(os.path.join(where, name), directory)


def missing(node):
    """(child, line) of each entry that is left."""
    found = []
    for name in walk(os.path.join(node.state, "missing")):
        if name.endswith(".log.html"):
            child = name.split("/")[0]
            found += [(child, line) for line in lines(os.path.join(node.state, "missing", name)) if line.strip()]
    return found


def journal(node):
    """(worker, line) of each open intent."""
    found = []
    for name in walk(os.path.join(node.state, "journal")):
        for line in lines(os.path.join(node.state, "journal", name)):
            if line.strip("\0 \r") and not line.startswith("#"):
                found.append((name, line))
    return found


def unknown(node):
    """Names in the state directory that nobody has heard of."""
    known = re.compile("|".join(f"(?:{pattern})" for pattern in KNOWN))
    return [name for name in walk(node.state) if not known.fullmatch(name.rstrip("/"))]


def litter(node, paths):
    """Names below the root that are neither files of the run nor their directories."""
    directories = {path[: at + 1] for path in paths for at, char in enumerate(path) if char == "/" and at}
    return [name for name in walk(node.files) if f"/{name}" not in paths and f"/{name}" not in directories]


def complaints(node):
    found = lines(os.path.join(node.dir, "error.log")) + lines(os.path.join(node.dir, "start.log"))
    return [line for line in found if BAD_LINE.search(line) and not OURS.search(line)]


def mentions(node, needle, file="access.log", most=200):
    found = [line for line in lines(os.path.join(node.dir, file)) if needle in line]
    return found[-most:]


def percent(path):
    """As links of the missing log have it."""
    return quote(path, safe="/-._~+,:=@")
