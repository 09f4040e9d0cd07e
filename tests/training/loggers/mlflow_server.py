"""A server that answers as MLflow's does, as far as a training asks it; checked against mlflow 3.17."""

import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

API, ARTIFACTS = "/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/artifacts/"


class Runs:
    """What a server has. `status`: with which it refuses every request, if not 0. `root`: of the artifacts."""

    def __init__(self):
        self.experiments, self.runs, self.artifacts = {}, {}, {}
        self.headers, self.requests = [], []
        self.status, self.root = 0, "mlflow-artifacts:"
        self.heard = threading.Event()

    @property
    def run(self):
        (run,) = self.runs.values()
        return run

    def points(self, key):
        return [(point["step"], point["value"]) for point in self.run["metrics"][key]]

    def ask(self, path, about):
        """The status and the answer to a request."""
        if path == "experiments/get-by-name":
            number = self.experiments.get(about["experiment_name"])
            return (200, {"experiment": {"experiment_id": number}}) if number else (404, _missing("no experiment"))
        if path == "experiments/create":
            self.experiments[about["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[about["name"]]}
        if path == "runs/create":
            number = f"{len(self.runs) + 1:032x}"
            info = {"run_id": number, "status": "RUNNING", "artifact_uri": f"{self.root}/1/{number}/artifacts"}
            self.runs[number] = {"info": {**about, **info}, "metrics": defaultdict(list), "params": {}}
            return 200, {"run": {"info": info, "data": {}}}
        run = self.runs.get(about["run_id"])
        if run is None:
            return 404, _missing("no run")
        if path == "runs/update":
            run["info"].update(about)
        elif path == "runs/log-batch":
            for param in about.get("params", ()):
                if run["params"].setdefault(param["key"], param["value"]) != param["value"]:
                    return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "params can't be changed"}
            for metric in about.get("metrics", ()):
                run["metrics"][metric["key"]].append(metric)
        last = [points[-1] for points in run["metrics"].values()]
        params = [{"key": key, "value": value} for key, value in run["params"].items()]
        return 200, {"run": {"info": run["info"], "data": {"metrics": last, "params": params}}}


def _missing(message):
    return {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}


@contextmanager
def server():
    """The address of a server, and what it has."""
    runs = Runs()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *about):
            """Say nothing."""

        def _answer(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            runs.headers.append(dict(self.headers))
            runs.requests.append(parts.path)
            if runs.status:
                status, answer = runs.status, {"error_code": "X", "message": "refused"}
            elif parts.path.startswith(ARTIFACTS):
                runs.artifacts[parts.path.removeprefix(ARTIFACTS)] = body
                status, answer = 200, {}
            else:
                query = {key: value for key, (value,) in parse_qs(parts.query).items()}
                status, answer = runs.ask(parts.path.removeprefix(API), json.loads(body) if body else query)
            runs.heard.set()
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}", runs
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
