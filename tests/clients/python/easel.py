"""Starts Easel and its emulator on free ports, and stops what it started, by process id."""

import base64
import http.client
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("EASEL_BIN", ROOT / "target/release/easel"))
CONFIG = ROOT / "tests/clients/easel.yaml"

# The seed's published key: Easel takes it on loopback only, which is where the suites are.
KEY = "sk-test-1234567890"

# AWS's published example pair, which the emulator knows.
EXAMPLE_ID = "AKIDEXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

# Painting is slow on a busy machine, but a suite that hangs should say so.
PATIENCE = 60


class Program:
    """One running program, in an empty folder and an environment that holds nothing of the machine's."""

    def __init__(self, command, environment, address_in_log, port=None):
        self.folder = tempfile.TemporaryDirectory(prefix="easel-")
        self.log, self._has_news = [], threading.Condition()
        # An empty HOME and no instance metadata: the AWS chain finds only what a test gives it.
        clean = {"HOME": self.folder.name, "AWS_EC2_METADATA_DISABLED": "true"}
        self.process = subprocess.Popen(
            command,
            cwd=self.folder.name,
            env=clean | environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            # Where the port is known, the log need not tell.
            self.port = port or int(self.await_log(address_in_log).group(1))
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self):
        for line in self.process.stderr:
            with self._has_news:
                self.log.append(line)
                self._has_news.notify_all()
        with self._has_news:
            self.log.append(None)
            self._has_news.notify_all()

    def await_log(self, pattern):
        """The first match of a pattern in the log, now or soon."""
        seen, deadline = 0, time.monotonic() + PATIENCE
        with self._has_news:
            while True:
                for line in self.log[seen:]:
                    seen += 1
                    if line is None or time.monotonic() > deadline:
                        raise AssertionError(f"no {pattern!r} in the log:\n" + self.text())
                    if match := re.search(pattern, line):
                        return match
                self._has_news.wait(timeout=1)
                if time.monotonic() > deadline:
                    raise AssertionError(f"no {pattern!r} in the log:\n" + self.text())

    def text(self):
        return "".join(line for line in self.log if line)

    def memory(self, name):
        """A figure of the kernel's, such as VmRSS or VmHWM, in MB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M).group(1)) / 1000

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(timeout=10)
        self.process.stderr.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Emulator(Program):
    def __init__(self, *arguments):
        super().__init__([BINARY, "emulate", "--port", "0", *arguments], {}, r"listens on http://127\.0\.0\.1:(\d+)")


class S3(Program):
    """moto's S3 server, which takes any key."""

    def __init__(self):
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        super().__init__(command, {}, r"Running on http://127\.0\.0\.1:(\d+)")


class Easel(Program):
    """Easel with a config, calling Bedrock at `endpoint`."""

    def __init__(self, endpoint, config=CONFIG, environment=None):
        settings = {"LITELLM_MASTER_KEY": KEY, "AWS_BEDROCK_RUNTIME_ENDPOINT": endpoint}
        if environment is None:
            environment = {"AWS_BEARER_TOKEN_BEDROCK": "emulated"}
        command = [BINARY, "--config", str(config), "--host", "127.0.0.1", "--port", "0"]
        super().__init__(command, settings | environment, r"listening on http://127\.0\.0\.1:(\d+)")

    def ask(self, method, path, body=None, headers=None):
        """One request as plain as it gets: status, headers and the body, read as JSON where it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        if headers is None:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if content and answer.headers.get_content_type() == "application/json":
                content = json.loads(content)
            return answer.status, answer.headers, content
        finally:
            connection.close()

    def paint(self, **members):
        return self.ask("POST", "/v1/images/generations", {"prompt": "a red fox"} | members)

    def count(self, name, **labels):
        """The sum of a counter over the series that carry these labels."""
        status, _, text = self.ask("GET", "/metrics")
        assert status == 200
        total = 0.0
        for line in text.decode().splitlines():
            match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
            if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
                total += float(match[2])
        return int(total)


def picture(b64):
    """A picture, decoded to the last row, which fails if any of it is missing."""
    image = Image.open(io.BytesIO(base64.b64decode(b64, validate=True)))
    image.load()
    return image
