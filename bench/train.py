"""Has Easel do what it is for while the compiler's counters run, so that it can be built for just that.

Some ten thousands of requests to an Easel that was built with `-C profile-generate`: many small pictures and a few large
ones over plain HTTP and TLS, from a Bedrock of this file that answers with what it holds; then everything else that is asked
of Easel, some of it of the emulator. What is never run here is built to be short and not to be quick, so whatever a picture
may go through belongs here. Must not need more than Python and openssl.

    train.py EASEL    the counters are written when Easel ends, where it was built to
"""

import base64
import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from shared import free_port, png

KEY = "sk-train-41d07c"
MODEL = "stability.stable-image-core-v1:1"

# Bytes of a reply, and how often it is asked for over each of plain HTTP and TLS. What runs once for a request has to show
# beside what runs once for a byte, so the large ones are few.
SIZES = {"4KB": (4_000, 10_000), "100KB": (100_000, 200), "2MB": (2_000_000, 10), "10MB": (10_000_000, 3)}
CALLERS = 8


def rgba(width, height, row):
    """A PNG of which `row` says the pixels at y."""
    return png(width, height, 6, zlib.compress(b"".join(b"\0" + row(y) for y in range(height)), 1))


PICTURE = rgba(640, 512, lambda y: b"".join(bytes((x % 256, y % 256, x * y % 256, 255)) for x in range(640)))
MASK = rgba(640, 512, lambda y: b"\0\0\0\xff" * 200 + b"\0\0\0\0" * 200 + b"\0\0\0\xff" * 240)
# Has to be made smaller: Nova Canvas takes four million pixels.
LARGE = rgba(2200, 2000, lambda y: bytes((y % 256, 90, 160, 255)) * 2200)


class Bedrock(http.server.BaseHTTPRequestHandler):
    """Answers a POST below /SIZE with a reply of that size, whose bytes nobody decodes; below /picture with a small picture."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    replies = {
        name: json.dumps({"seeds": [1], "finish_reasons": [None], "images": [base64.b64encode(picture).decode()]}).encode()
        for name, picture in [
            ("picture", PICTURE), *((name, PICTURE[:8] + os.urandom(length * 3 // 4 - 80)) for name, (length, _) in SIZES.items())]
    }

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        reply = self.replies[self.path.split("/")[1]]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


def bedrock(context=None):
    """One on a free port of loopback, over TLS where there is a context; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bedrock)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def certificate(folder):
    """A certificate for localhost that is its own authority; its file and that of its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:false"],
        check=True, capture_output=True)
    return cert, key


@contextlib.contextmanager
def running(command, port, env, log):
    """A program that answers on a port, until it is told to end; which it has to do well, for then its counters are written."""
    with open(log, "w") as out:
        process = subprocess.Popen(list(map(str, command)), env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                sys.exit(f"{command[0]} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        if process.wait(60) != 0:
            sys.exit(f"{command[0]} ended with {process.returncode}")


def config(plain, tls, painter):
    """The aliases: 4KB-plain and its like, those that the emulator paints, and models that have ended, at an address of their own."""
    plain, tls = f"http://127.0.0.1:{plain}", f"https://localhost:{tls}"
    key, signed = {"api_key": "emulated"}, {"aws_access_key_id": "train", "aws_secret_access_key": "train"}
    emulated = {"core": MODEL, "sd3": "stability.sd3-5-large-v1:0", "inpaint": "us.stability.stable-image-inpaint-v1:0"}
    private = {"nova": "amazon.nova-canvas-v1:0", "titan": "amazon.titan-image-generator-v2:0"}
    deployments = [
        *((f"{size}-{way}", MODEL, f"{base}/{size}", key) for size in SIZES for way, base in (("plain", plain), ("tls", tls))),
        *((name, model, f"http://127.0.0.1:{painter}", key) for name, model in emulated.items()),
        *((name, model, f"{plain}/picture", key) for name, model in private.items()),
        ("signed", MODEL, f"{plain}/4KB", signed),
    ]
    return {
        "model_list": [
            {"model_name": name, "litellm_params": {
                "model": f"bedrock/{model}", "aws_region_name": "us-east-1" if model.startswith("amazon") else "us-west-2",
                "aws_bedrock_runtime_endpoint": endpoint, **who}}
            for name, model, endpoint, who in deployments
        ],
    }


def form(*fields):
    """A form as its bytes and its content type, of names and values; pictures are bytes."""
    parts = []
    for name, value in fields:
        head = f'--easel\r\ncontent-disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += '; filename="picture.png"\r\ncontent-type: image/png'
            parts.append(head.encode() + b"\r\n\r\n" + value + b"\r\n")
        else:
            parts.append(f"{head}\r\n\r\n{value}\r\n".encode())
    return b"".join(parts) + b"--easel--\r\n", "multipart/form-data; boundary=easel"


class Callers:
    def __init__(self, port):
        self.port, self.local = port, threading.local()
        self.pool = concurrent.futures.ThreadPoolExecutor(CALLERS)

    def ask(self, path, body=None, kind="application/json", key=KEY):
        """One request on a connection that this thread keeps; its status and its bytes."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.request("POST" if body else "GET", path, body, {"authorization": f"Bearer {key}", "content-type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def many(self, times, path, body=None, kind="application/json", key=KEY, expect=200):
        """The same of all callers together; the last answer. One that is not as expected ends everything."""
        for status, answer in self.pool.map(lambda _: self.ask(path, body, kind, key), range(times)):
            if status != expect:
                sys.exit(f"{path} of {str(body)[:200]} is answered with {status}: {answer[:500]}")
        return answer


def train(callers):
    images, edits = "/v1/images/generations", "/v1/images/edits"
    wish = {"prompt": "A sunset over mountains", "size": "1024x1024"}
    for way in ("plain", "tls"):
        for size, (_, times) in SIZES.items():
            callers.many(times, images, wish | {"model": f"{size}-{way}"})
        for more in ({"stream": True}, {"response_format": "url"}, {"n": 4}):
            callers.many(500, images, wish | {"model": f"4KB-{way}"} | more)
            callers.many(5, images, wish | {"model": f"2MB-{way}"} | more)
    callers.many(500, images, wish | {"model": "signed"})

    for model in ("core", "sd3", "nova", "titan"):
        callers.many(4, images, wish | {"model": model, "n": 2})
    pictures = [PICTURE, LARGE]
    for more in ({"output_format": "jpeg", "output_compression": 80}, {"output_format": "webp", "output_compression": 80}, {"output_format": "webp"}):
        answer = callers.many(3, images, wish | {"model": "nova"} | more)
        pictures.append(base64.b64decode(json.loads(answer)["data"][0]["b64_json"]))
    callers.many(3, images, wish | {"model": "core", "seed": 7, "negative_prompt": "rain"})
    for model in ("nova", "titan", "inpaint"):
        callers.many(3, edits, *form(("model", model), ("prompt", "A boat"), ("image", PICTURE), ("mask", MASK)))
    for picture in pictures:
        callers.many(1, edits, *form(("model", "sd3"), ("prompt", "A boat"), ("image", picture)))
        callers.many(1, "/v1/images/variations", *form(("model", "nova"), ("image", picture)))

    for path in ("/v1/models", "/health/liveliness", "/health/readiness", "/metrics"):
        callers.many(50, path)
    callers.many(50, images, wish | {"model": "core"}, key="sk-wrong", expect=401)
    callers.many(50, images, {"model": "core"}, expect=400)
    callers.many(50, images, wish | {"model": "core", "n": 99}, expect=400)
    callers.many(2, images, {"model": "core", "prompt": "emulate:validation"}, expect=400)


def main():
    easel = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        cert, key = certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        painter, port = free_port(), free_port()
        (folder / "config.yaml").write_text(json.dumps(config(bedrock(), bedrock(context), painter)))
        # Nothing of this machine's: no AWS, no settings.
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_MASTER_KEY": KEY, "SSL_CERT_FILE": str(cert),
               "EASEL_DATA_DIR": str(folder / "data")}
        # What it takes to paint would outweigh all that is done with pictures.
        uncounted = env | {"LLVM_PROFILE_FILE": "/dev/null"}
        stack.enter_context(running([easel, "emulate", "--port", painter], painter, uncounted, folder / "emulator.log"))
        stack.enter_context(running([easel, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", port], port, env, folder / "easel.log"))
        train(Callers(port))


if __name__ == "__main__":
    main()
