"""Easel's binary and this folder's place, and a running program that is stopped by process id."""

import contextlib
import os
import pathlib
import re
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("EASEL_BIN", str(ROOT / "target/release/easel"))

# Nothing of this machine gets in, least of all its credentials. The pair is AWS's published example.
BARE = {
    "HOME": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": "us-west-2",
}


def run(*arguments, environment=None, folder=None):
    """A command that ends by itself."""
    command = [BINARY, *arguments]
    return subprocess.run(command, env=BARE | (environment or {}), cwd=folder, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def running(*arguments, environment=None):
    """A command that serves; its address, once its log says so."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"EASEL_DATA_DIR": folder, "TMPDIR": folder}
        process = subprocess.Popen(
            [BINARY, *arguments], env=BARE | places | (environment or {}), cwd=folder, stderr=subprocess.PIPE, text=True
        )
        try:
            log = []
            for line in process.stderr:
                log.append(line)
                if match := re.search(r"listen\w* on (https?://\S+:\d+)", line):
                    break
            else:
                raise AssertionError("it ends at once:\n" + "".join(log))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield match[1].rstrip(";,").replace("0.0.0.0", "127.0.0.1")
        finally:
            process.terminate()
            process.wait(timeout=20)
