"""The programs that compare.py asks, and the recorder between them and the emulator. Must not judge an answer."""

import http.client
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.parse
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-of-our-own-0001"
LOGS = pathlib.Path("target/litellm-logs")


@dataclass
class Answer:
    status: int
    text: str

    @property
    def json(self):
        try:
            value = json.loads(self.text)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


@dataclass
class Call:
    path: str
    body: dict | None
    signed: str


def ask(url, method, path, body, headers):
    """One request, as it is: no header is added but those of HTTP itself, and no redirect followed."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    try:
        connection.request(method, path, body.encode() if body is not None else None, headers)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, f"{type(error).__name__}: {error}")
    finally:
        connection.close()


class Recorder:
    """A proxy in front of the emulator that keeps path, body and scheme of signing of each call."""

    def __init__(self, upstream):
        self.calls = []
        recorder, address = self, urllib.parse.urlsplit(upstream)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                signed = (self.headers.get("authorization") or "none").split()[0]
                try:
                    recorder.calls.append(Call(self.path, json.loads(body), signed))
                except ValueError:
                    recorder.calls.append(Call(self.path, None, signed))
                # The Host stays the caller's: it is signed.
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
                try:
                    connection.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() not in ("connection", "accept-encoding"):
                            connection.putheader(name, value)
                    connection.endheaders(body)
                    response = connection.getresponse()
                    content = response.read()
                except (OSError, http.client.HTTPException):
                    # The emulator broke off, so this does.
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """Starts programs, and stops them by their ids."""

    def __init__(self, easel, litellm):
        self.programs = {"easel": easel, "litellm": litellm}
        self.started = []
        self.recorders = []
        self.emulator = None
        LOGS.mkdir(parents=True, exist_ok=True)

    def start(self, name, arguments, port, path, extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | extra
        with open(LOGS / f"{name}.log", "a") as log:
            process = subprocess.Popen(arguments, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.started.append(process)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            if ask(url, "GET", path, None, {}).status == 200:
                return url
            time.sleep(0.3)
        raise SystemExit(f"{name} did not start; see {LOGS}/{name}.log")

    def recorder(self):
        if self.emulator is None:
            port = free_port()
            arguments = [self.programs["easel"], "emulate", "--port", str(port)]
            self.emulator = self.start("emulator", arguments, port, "/health", {})
        self.recorders.append(Recorder(self.emulator))
        return self.recorders[-1]

    def bedrock(self, endpoint):
        return {
            "LITELLM_MASTER_KEY": KEY,
            "AWS_BEARER_TOKEN_BEDROCK": "emulated",
            "AWS_BEDROCK_RUNTIME_ENDPOINT": endpoint,
        }

    def litellm(self, config, endpoint):
        port = free_port()
        arguments = [self.programs["litellm"], "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        # Its prices come with it: it asks GitHub for newer ones otherwise.
        extra = self.bedrock(endpoint) | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        return self.start("litellm", arguments, port, "/health/liveliness", extra)

    def easel(self, config, endpoint):
        port = free_port()
        arguments = [self.programs["easel"], "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        return self.start("easel", arguments, port, "/health/liveliness", self.bedrock(endpoint))

    def wait_for_rest(self, url, row, table, request_of):
        """Waits until LiteLLM asks Bedrock again: it puts even a lone deployment to rest after some failures."""
        plain = {"title": "", "config": row["config"]}
        for _ in range(12):
            if ask(url, *request_of(plain, table, "tiny")).status != 429:
                return
            time.sleep(1)

    def stop(self):
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for recorder in self.recorders:
            recorder.server.shutdown()
        self.started, self.recorders, self.emulator = [], [], None
