"""Starts Open WebUI as docker-compose.yml does, on a free port, and speaks to it as its own page does."""

import pathlib
import re
import secrets
import socket
import sys
import time

import httpx
import yaml

from easel import KEY, ROOT, Program

# How long a picture, an answer or the start may take on a busy machine.
PATIENCE = 120


def environment(easel):
    """The variables that the compose file gives to Open WebUI, with Easel where it is here."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["open-webui"]
    given = {"LITELLM_MASTER_KEY": KEY}

    def value(match):
        name, default = match.groups()
        return given.get(name) or default or ""

    filled = (re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, line) for line in service["environment"])
    variables = dict(line.split("=", 1) for line in filled)
    return {name: value.replace("http://easel:4000", easel.url) for name, value in variables.items()}


def version():
    """The version that the compose file runs."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["open-webui"]
    return service["image"].split(":v")[1]


class OpenWebUI(Program):
    """A new Open WebUI, without accounts."""

    def __init__(self, easel):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = pathlib.Path(sys.executable).with_name("open-webui")
        # Beside what compose sets: what the container's image brings, and nothing that would be fetched from the network.
        own = {
            "DATA_DIR": "data",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "WEBUI_SECRET_KEY": secrets.token_hex(32),
            "OFFLINE_MODE": "true",
            "RAG_EMBEDDING_ENGINE": "openai",
            "ANONYMIZED_TELEMETRY": "false",
        }
        command = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
        super().__init__(command, own | environment(easel), None, port)
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)
        try:
            self._await_health()
        except BaseException:
            self.stop()
            raise

    def _await_health(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.http.get("/health").raise_for_status()
            except httpx.HTTPError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("Open WebUI does not start:\n" + self.text()) from None
                time.sleep(0.3)

    def sign_up(self):
        """The first account, which is the admin's. Gives its token."""
        form = {"name": "Ada", "email": "ada@example.com", "password": "of-one-run"}
        account = self.http.post("/api/v1/auths/signup", json=form).raise_for_status().json()
        assert account["role"] == "admin"
        self.http.headers["Authorization"] = f"Bearer {account['token']}"
        return account["token"]

    def file(self, url):
        """The bytes of a picture that Open WebUI keeps."""
        return self.http.get(url).raise_for_status().content

    def answers(self, chat, count):
        """The answers of a chat, once there are so many and each is whole."""
        deadline = time.monotonic() + PATIENCE
        while True:
            messages = self.http.get(f"/api/v1/chats/{chat}").raise_for_status().json()["chat"]["history"]["messages"]
            answers = [message for message in messages.values() if message["role"] == "assistant"]
            whole = [answer for answer in answers if answer.get("done") or answer.get("error")]
            if len(whole) >= count:
                return whole
            assert time.monotonic() < deadline, messages
            time.sleep(0.3)

    def stop(self):
        self.http.close()
        super().stop()
