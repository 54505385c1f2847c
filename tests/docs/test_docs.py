"""Every command of the documentation, executed: each page in a clone of its own, block after block, as a reader would.

A line before each block, which no reader sees, says how: `<!-- test: run -->`. `run` ends by itself; `call` too, and takes
for granted that `./test-local.sh` serves; `serve` goes on serving until the page ends or serves anew. Behind a comma may
stand what the output has to show. Programs that would leave this machine are found first in stand-ins/.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from places import ROOT, Servers

PAGES = ["README.md", "SECURITY.md", "infrastructure/README.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
SHELLS = ("bash", "sh", "shell", "console")

# A line that names the test, the fence, its body.
BLOCK = re.compile(r"^(?:<!-- test: (?P<mark>[^>]*?) -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$", re.M | re.S)

PATIENCE = 120

# The key that a reader presses whom a program asks something.
RETURN = "\n"

# What a reader has running who calls Easel.
LOCALLY = "./test-local.sh\n"


def blocks(page):
    text = (ROOT / page).read_text()
    for found in BLOCK.finditer(text):
        if found["language"] in SHELLS:
            yield text[: found.start()].count("\n") + 1, found["mark"], found["body"]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_how_it_is_tested(page):
    text = (ROOT / page).read_text()
    assert text.count("<!-- test:") == sum(1 for _ in blocks(page)), "a mark stands before something else than commands"
    for line, mark, _ in blocks(page):
        assert mark and re.fullmatch(r"(run|call|serve)(, shows .+)?", mark), f"{page}:{line}: <!-- test: run --> or its like is missing"


@pytest.fixture(scope="module")
def servers():
    with Servers() as servers:
        yield servers


class Reader:
    """Somebody at a terminal, in a clone."""

    def __init__(self, folder, servers):
        self.clone = folder / "clone"
        self.home = folder / "home"
        self.home.mkdir()
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.clone / name)
        self.environment = servers.environment(self.home)
        self.state = folder / "environment"
        # By the address that answers: the block, its process and its log.
        self.serving = {}

    def shell(self, body):
        # What a block exports is there in the next one.
        keep = f"trap 'export -p > {self.state}' EXIT\n"
        if self.state.exists():
            keep = f"source {self.state}\n{keep}"
        return ["bash", "-c", f"set -eo pipefail\n{keep}{body}"]

    def run(self, body):
        return subprocess.run(
            self.shell(body), cwd=self.clone, env=self.environment, input=RETURN * 20, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, errors="replace", text=True,
        )

    def serve(self, body, servers):
        """Starts it, in place of what served the same before, and waits until it answers."""
        url = servers.emulated if "easel emulate" in body else servers.easel
        self.stop(url)
        log = open(self.home / f"serving-{len(self.serving)}.log", "w+")
        process = subprocess.Popen(
            self.shell(body), cwd=self.clone, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        self.serving[url] = (body, process, log)
        deadline = time.monotonic() + PATIENCE
        while not servers.answers(url):
            assert process.poll() is None and time.monotonic() < deadline, self.said(url)
            time.sleep(0.05)
        return lambda: self.said(url)

    def said(self, url):
        return pathlib.Path(self.serving[url][2].name).read_text(errors="replace")

    def stop(self, url):
        if url not in self.serving:
            return
        _, process, log = self.serving.pop(url)
        # The group is the block's own session: its shell and what that started.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
                break
        log.close()


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page, servers, tmp_path):
    reader = Reader(tmp_path, servers)
    try:
        for line, mark, body in blocks(page):
            kind, _, shown = (mark or "").partition(", shows ")
            if kind == "call" and reader.serving.get(servers.easel, ("",))[0] != LOCALLY:
                reader.serve(LOCALLY, servers)
            if kind == "serve":
                said = reader.serve(body, servers)
            else:
                done = reader.run(body)
                assert done.returncode == 0, f"{page}:{line}: status {done.returncode}\n{done.stdout}"
                said = lambda: done.stdout
            deadline = time.monotonic() + PATIENCE
            while shown and shown not in said():
                assert kind == "serve" and time.monotonic() < deadline, f"{page}:{line}: no {shown!r} in\n{said()}"
                time.sleep(0.05)
            if "curl" in body and not shown:
                # curl is content with any answer; the page is not.
                assert not re.search(r'"error":\s*[{"]|^{"message"', said()), f"{page}:{line}:\n{said()[:2000]}"
    finally:
        for url in list(reader.serving):
            reader.stop(url)
