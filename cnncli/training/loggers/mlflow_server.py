"""MLflow's server, by its REST interface (https://mlflow.org/docs/latest/rest-api.html)."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import HTTPBasicAuth

from cnncli.errors import CnncliError
from cnncli.training.loggers.mlflow_address import PASSWORD, TOKEN, USER, Web
from cnncli.training.loggers.mlflow_store import TAGS, Known, Point, Status, Store
from cnncli.training.loggers.outbox import Unreachable

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
TIMEOUTS = (5.0, 30.0)
"""Seconds to connect, and to wait for an answer."""
MOST_POINTS, MOST_PARAMETERS = 1000, 100
"""Of a request."""
LONGEST_ANSWER = 200
"""Characters of a server's error message that are shown."""


class Server(Store):
    """A server and, once it has been made, a run on it. Raises Unreachable, or CnncliError for a server's refusal."""

    remote = True

    def __init__(self, web: Web) -> None:
        super().__init__()
        self.shown, self.run, self.artifacts = web.url, "", ""
        self.session = requests.Session()
        if web.token:
            self.session.headers["Authorization"] = f"Bearer {web.token}"
        elif web.user:
            self.session.auth = HTTPBasicAuth(web.user.encode(), web.password.encode())
        self.verify: bool | str | None = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
            self.verify = False

    def start(self, experiment: str, name: str, time: int) -> str:
        tags = [{"key": key, "value": value} for key, value in TAGS.items()]
        about = {"experiment_id": self._experiment(experiment), "run_name": name, "start_time": time, "tags": tags}
        self._take(self._ask("POST", "runs/create", about)["run"])
        return self.run

    def resume(self, run: str) -> bool:
        try:
            self._take(self._ask("GET", "runs/get", {"run_id": run})["run"])
        except _MissingError:
            return False
        self._ask("POST", "runs/update", {"run_id": run, "status": "RUNNING"})
        return True

    def artifact(self, name: str, content: bytes | Path) -> None:
        parts = urlsplit(self.artifacts)
        if parts.scheme != "mlflow-artifacts":
            raise CnncliError(
                f"{self.shown} does not take artifacts (it keeps them at {parts.scheme or 'a path of its own'}; "
                "`mlflow server --serve-artifacts` takes them)"
            )
        path = f"{ARTIFACTS}{quote(parts.path.strip('/'))}/{quote(name)}"
        if isinstance(content, bytes):
            self._send("PUT", path, data=content)
        else:
            with content.open("rb") as file:
                self._send("PUT", path, data=file)

    def finish(self, status: Status, time: int) -> None:
        self._ask("POST", "runs/update", {"run_id": self.run, "status": status, "end_time": time})

    def write_points(self, points: Sequence[Point]) -> None:
        for start in range(0, len(points), MOST_POINTS):
            metrics = [
                {"key": point.key, "value": point.value, "timestamp": point.time, "step": point.step}
                for point in points[start : start + MOST_POINTS]
            ]
            self._ask("POST", "runs/log-batch", {"run_id": self.run, "metrics": metrics})

    def write_parameters(self, parameters: Mapping[str, str]) -> None:
        listed = [{"key": key, "value": value} for key, value in parameters.items()]
        for start in range(0, len(listed), MOST_PARAMETERS):
            part = listed[start : start + MOST_PARAMETERS]
            self._ask("POST", "runs/log-batch", {"run_id": self.run, "params": part})

    def _experiment(self, name: str) -> str:
        """The id of an experiment, which is made if there is none."""
        for _ in range(2):
            with suppress(_MissingError):
                found = self._ask("GET", "experiments/get-by-name", {"experiment_name": name})
                return str(found["experiment"]["experiment_id"])
            with suppress(_ExistsError):  # another process has just made it
                return str(self._ask("POST", "experiments/create", {"name": name})["experiment_id"])
        raise CnncliError(f"{self.shown}: the experiment {name!a} can't be made")

    def _take(self, run: Mapping[str, Any]) -> None:
        """Go on with a run, as the server describes it."""
        info, data = run["info"], run.get("data", {})
        self.run, self.artifacts = str(info["run_id"]), str(info.get("artifact_uri", ""))
        steps = {str(metric["key"]): int(metric.get("step", 0)) for metric in data.get("metrics", ())}
        self.known = Known({str(one["key"]) for one in data.get("params", ())}, steps)

    def _ask(self, method: str, path: str, about: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {"params": about} if method == "GET" else {"json": about}
        answer = self._send(method, API + path, **given)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CnncliError(f"{self.shown} is no MLflow server: it does not answer with JSON")
        return found

    def _send(self, method: str, path: str, **given: Any) -> requests.Response:
        """Send a request. Raises Unreachable, CnncliError, _MissingError or _ExistsError."""
        if self.verify is not None:
            given["verify"] = self.verify
        try:
            answer = self.session.request(method, self.shown + path, timeout=TIMEOUTS, allow_redirects=False, **given)
        except requests.exceptions.SSLError:
            raise CnncliError(f"{self.shown}: its certificate is not trusted") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            how = "does not answer" if isinstance(error, requests.Timeout) else "can't be reached"
            raise Unreachable(f"{self.shown} {how}") from None
        except requests.RequestException as error:
            raise CnncliError(f"{self.shown}: {type(error).__name__}") from None
        if not answer.ok or answer.is_redirect:
            raise self._refusal(answer)
        return answer

    def _refusal(self, answer: requests.Response) -> Exception:
        """The exception for a status that is none of success."""
        status = answer.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            return Unreachable(f"{self.shown} answers {status}")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return CnncliError(f"{self.shown} answers {status}: set {USER} and {PASSWORD}, or {TOKEN}")
        with suppress(ValueError, AttributeError):
            about = answer.json()
            code = about.get("error_code")
            message = f"{self.shown} answers {status}: {str(about.get('message', ''))[:LONGEST_ANSWER]}"
            kinds = {"RESOURCE_DOES_NOT_EXIST": _MissingError, "RESOURCE_ALREADY_EXISTS": _ExistsError}
            return kinds.get(code, CnncliError)(message)
        return CnncliError(f"{self.shown} answers {status}")


class _MissingError(CnncliError):
    """The server has no such thing."""


class _ExistsError(CnncliError):
    """The server has such a thing already."""
