"""Bodies that say what they are: of which change of which path, how long, and whether they are whole.

A body is a header line, bytes that follow from the change's number, and a digest of all that. One that is too
short for that is a piece of a digest; whose it may be is looked up.
"""

import hashlib
import random
import threading

DIGEST = 16
# Header and digest of any path that is used here.
LEAST = 160
BLOCK = random.Random("filedist").randbytes(1 << 20)


def digest(data):
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


class Bodies:
    def __init__(self):
        self.lock = threading.Lock()
        self.short = {}         # (path, bytes): numbers of the changes that have this body

    def make(self, path, number, size):
        if size < LEAST:
            body = digest(f"{path} {number}".encode()).hex().encode()[:size].ljust(size, b".")
            with self.lock:
                self.short.setdefault((path, body), set()).add(number)
            return body
        head = f"filedist-chaos {number} {size} {path}\n".encode()
        start = number * 7919 % len(BLOCK)
        length = size - len(head) - DIGEST
        filling = (BLOCK[start : start + length] + BLOCK * (length // len(BLOCK) + 1))[:length]
        body = head + filling
        return body + digest(body)

    def read(self, path, body):
        """The numbers of the changes whose body this may be, or none with what is wrong with it."""
        if len(body) < LEAST:
            with self.lock:
                numbers = self.short.get((path, body))
            return (set(numbers), None) if numbers else (None, f"{len(body)} bytes that nobody has sent")
        head, _, _ = body[:LEAST].partition(b"\n")
        try:
            mark, number, size, of = head.decode().split(" ", 3)
            number, size = int(number), int(size)
        except ValueError:
            return None, "the header is broken"
        if mark != "filedist-chaos" or of != path:
            return None, f"the header is of something else: {head[:100]!r}"
        if size != len(body):
            return None, f"change {number} has {size} bytes, here are {len(body)}"
        if digest(body[:-DIGEST]) != body[-DIGEST:]:
            return None, f"change {number}: the digest is wrong"
        return {number}, None
