"""`cnncli serve` as a process: where it listens, and how it ends."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from io import BytesIO

import pytest
from click.testing import CliRunner
from PIL import Image

from cnncli.cli.commands.serve import command


@contextmanager
def serving(place, *options):
    """The process, and the port that it says it listens on."""
    line = [sys.executable, "-m", "cnncli", "serve", "run", "--port", "0", *options]
    process = subprocess.Popen(line, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline()
        yield process, int(re.fullmatch(r"serving bars at http://127\.0\.0\.1:(\d+) · Ctrl-C ends it\n", said)[1])
    finally:
        process.kill()
        process.communicate()


def test_what_came_before_the_end_is_answered(place):
    picture = BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    content, answers = picture.getvalue(), []
    with serving(place) as (process, port):

        def ask(connection):
            connection.send(content[10:])
            answers.append(json.loads(connection.getresponse().read()))

        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(3)]
        for connection in connections:  # each has sent half of its image when the signal comes
            connection.putrequest("POST", "/predict")
            connection.putheader("Content-Length", str(len(content)))
            connection.endheaders()
            connection.send(content[:10])
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        other.request("GET", "/healthz")
        assert other.getresponse().read() == b'{"status":"ok"}'
        process.send_signal(signal.SIGTERM)
        threads = [threading.Thread(target=ask, args=[connection]) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
    assert [answer["predictions"][0]["class"] in ("0", "1") for answer in answers] == [True] * 3


def test_a_port_in_use_is_told_in_a_line(place, monkeypatch):
    monkeypatch.chdir(place)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command, ["run", "--port", str(port)])
    assert str(result.exception) == (f"can't listen on 127.0.0.1:{port}: Address already in use; --port takes another")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--queue", "3"], "--queue must be at least --max-images; received 3 and 64"),
        (["--host", "nowhere.invalid"], "can't listen on nowhere.invalid:8000: "),
    ],
)
def test_options_that_can_not_be_met_are_told(place, monkeypatch, options, words):
    monkeypatch.chdir(place)
    result = CliRunner().invoke(command, ["run", *options])
    assert str(result.exception).startswith(words)


def test_the_extra_is_named_where_it_is_missing(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr("cnncli.extras.find_spec", lambda name: None)
    result = CliRunner().invoke(command, ["run"])
    assert str(result.exception) == "serve needs a web server: pip install 'cnncli[serve]'"
