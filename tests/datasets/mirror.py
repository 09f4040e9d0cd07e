"""A server on this machine whose folders answer well or badly, and small datasets that it has."""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np

from cnncli.datasets.sources.catalogue import Idx, Known, Records, Remote

TRAIN, TEST, SIDE = 40, 10, 8


class Mirror:
    """`files` by name, served under folders named after how they answer; `asked` has the paths of all requests."""

    def __init__(self):
        self.files, self.asked, self.closing = {}, [], Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                manner, name = self.path.strip("/").split("/")
                getattr(mirror, manner)(self, mirror.files.get(name, b""))

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"

    def folder(self, manner):
        return f"http://{self.address}/{manner}/"

    def good(self, request, content, status=200, length=None):
        request.send_response(status)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        request.end_headers()
        request.wfile.write(content)

    def missing(self, request, content):
        self.good(request, b"<html>not here</html>", 404)

    def broken(self, request, content):
        self.good(request, b"", 500)

    def broken_once(self, request, content):
        self.good(request, content, 500 if self.asked.count(request.path) == 1 else 200)

    def short(self, request, content):
        self.good(request, content[: len(content) // 2], length=len(content))

    def lying(self, request, content):
        self.good(request, bytes(255 - byte for byte in content))

    def endless(self, request, content):
        request.send_response(200)
        request.end_headers()
        while not self.closing.is_set():
            try:
                request.wfile.write(bytes(1 << 16))
            except OSError:
                return

    def silent(self, request, content):
        self.closing.wait(20)

    def halting(self, request, content):
        self.good(request, content[: len(content) // 2], length=len(content))
        request.wfile.flush()
        self.closing.wait(20)


@contextmanager
def serving():
    mirror = Mirror()
    thread = Thread(target=mirror.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.closing.set()
        mirror.server.shutdown()
        thread.join()
        mirror.server.server_close()


def idx_bytes(array):
    """The idx file of an array of bytes, made from the format's description."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def bars(count, seed):
    """Images (count, 8, 8) of noise with a bar that lies (class 1) or stands (class 0), and their classes."""
    random = np.random.RandomState(seed)
    x, y = random.randint(0, 100, (count, SIDE, SIDE)), random.randint(0, 2, count)
    for image, label in zip(x, y, strict=True):
        place = random.randint(1, SIDE - 1)
        image[(place, slice(None)) if label else (slice(None), place)] = 255
    return x.astype(np.uint8), y


def digits(mirror, *manners):
    """A dataset `mnist` of bars, as four idx files, at the mirror's folders of these manners."""
    members, files, arrays = {}, [], {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        arrays[split] = bars(count, seed=count)
        members[split] = (f"{split}-images.gz", f"{split}-labels.gz")
        for name, array in zip(members[split], arrays[split], strict=True):
            files.append(remote(mirror, name, gzip.compress(idx_bytes(array)), manners))
    known = _dataset("mnist", (SIDE, SIDE, 1), ("stands", "lies"), files, Idx(members))
    return known, arrays


def zipped(mirror, arrays):
    """A dataset of images with rows and columns exchanged, in a zip file."""
    content, members = io.BytesIO(), {}
    with zipfile.ZipFile(content, "w") as archive:
        for split, (x, y) in arrays.items():
            members[split] = (f"gzip/{split}-images.gz", f"gzip/{split}-labels.gz")
            for name, array in zip(members[split], (x.transpose(0, 2, 1), y), strict=True):
                archive.writestr(name, gzip.compress(idx_bytes(array)))
    file = remote(mirror, "gzip.zip", content.getvalue(), ["good"])
    return _dataset("emnist", (SIDE, SIDE, 1), ("stands", "lies"), [file], Idx(members, upright=False))


def photographs(mirror, records, *, label_bytes, left_out=(), odd=()):
    """A dataset of CIFAR's form: `records` are the members' bytes by split and name."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, part in [*odd, *(pair for members in reversed(records.values()) for pair in members.items())]:
            if name not in left_out:
                member = tarfile.TarInfo(name)
                member.size = len(part)
                archive.addfile(member, io.BytesIO(part))
    file = remote(mirror, "cifar.tar.gz", content.getvalue(), ["good"])
    members = {split: tuple(parts) for split, parts in records.items()}
    return _dataset("cifar10", (32, 32, 3), ("a", "b", "c"), [file], Records(members, label_bytes), train=4, test=1)


def remote(mirror, name, content, manners):
    mirror.files[name] = content
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Remote(name, len(content), checksum, tuple(mirror.folder(manner) for manner in manners))


def _dataset(name, shape, classes, files, contents, train=TRAIN, test=TEST):
    samples = {"train": train, "test": test}
    return Known(name, "made up", "http://nowhere", shape, classes, samples, tuple(files), contents)
