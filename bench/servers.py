"""The servers of a measurement: a mock of Bedrock that costs next to nothing, and the proxies before it: nginx, HAProxy,
the least that axum and reqwest can be, and Easel.

Each is started on free ports of loopback and stopped by its process id. Must not measure.
"""

import base64
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib

from shared import free_port, png

ROOT = pathlib.Path(__file__).resolve().parents[1]
HOME = ROOT / "target/bench"
KEY = "sk-bench-5f2c9a"
EASEL = pathlib.Path(os.environ["EASEL_BIN"])
MODEL = "stability.stable-image-core-v1:1"

# Of a reply of Bedrock's, in bytes.
SIZES = {"4 KB": 4_000, "0.1 MB": 100_000, "2 MB": 2_000_000, "10 MB": 10_000_000, "25 MB": 25_000_000}

NGINX = """
worker_processes {workers};
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {http}
}}
daemon off;
"""

# A file as the answer to a POST, which nginx else refuses.
BEDROCK = """
  sendfile on; tcp_nopush on; tcp_nodelay on; ssl_session_cache shared:tls:1m;
  open_file_cache max=100;
  default_type application/json;
  server {{
    listen 127.0.0.1:{plain} backlog=4096; listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_protocols TLSv1.3; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;
    location / {{ root {home}/replies; error_page 405 =200 $uri; rewrite ^/([^/]+)/.*$ /$1 break; }}
  }}
"""

PROXY = """
  upstream plain {{ server 127.0.0.1:{plain}; keepalive 1024; keepalive_requests 1000000; }}
  upstream tls {{ server 127.0.0.1:{tls}; keepalive 1024; keepalive_requests 1000000; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
  proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;
  proxy_ssl_trusted_certificate {home}/ca.pem; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;
  proxy_ssl_protocols TLSv1.3;
  tcp_nodelay on;
  server {{ listen 127.0.0.1:{to_plain} backlog=4096; location / {{ proxy_pass http://plain; }} }}
  server {{ listen 127.0.0.1:{to_tls} backlog=4096; location / {{ proxy_pass https://tls; }} }}
"""

HAPROXY = """
global
  nbthread {workers}
  maxconn 8192
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend to_plain
  bind 127.0.0.1:{to_plain} backlog 4096
  default_backend plain
backend plain
  server bedrock 127.0.0.1:{plain}
frontend to_tls
  bind 127.0.0.1:{to_tls} backlog 4096
  default_backend tls
backend tls
  server bedrock 127.0.0.1:{tls} ssl verify required ca-file {home}/ca.pem sni str(localhost) verifyhost localhost
"""


def noise(length):
    """A PNG of about so many bytes, whose pixels cannot be packed."""
    return png(1024, 1024, 2, zlib.compress(os.urandom(max(length - 100, 100)), 0))


def reply(length):
    """What Stability answers, of about so many bytes."""
    picture = base64.b64encode(noise((length - 80) * 3 // 4)).decode()
    return json.dumps({"seeds": [1], "finish_reasons": [None], "images": [picture]})


@contextlib.contextmanager
def memory_of_its_own(connections):
    """Gives the mock's sockets memory beside what the machine has for TCP, for as long as it takes; False where that is root's.

    The kernel bounds what all sockets hold together: of a thousand pictures the mock's hold 3.4 GB, and everybody's are
    cut short. Bedrock's are another machine's.
    """
    limits, most = pathlib.Path("/proc/sys/net/ipv4/tcp_mem"), pathlib.Path("/proc/sys/net/ipv4/tcp_wmem")
    usual = limits.read_text()
    pages = connections * int(most.read_text().split()[2]) // resource.getpagesize()
    try:
        limits.write_text(" ".join(str(int(limit) + pages) for limit in usual.split()))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        limits.write_text(usual)


def file_of(size):
    return size.replace(" ", "").replace(".", "_")


class Servers:
    """All of them. `pids` are a proxy's own processes by its name; `ports` where it answers, for plain HTTP and TLS upstream."""

    def __init__(self, litellm=False):
        self.lasting, self.running = contextlib.ExitStack(), contextlib.ExitStack()
        self.litellm = litellm
        self.pids, self.ports, self.paths = {}, {}, {}

    def __enter__(self):
        # Told to stop, it stops them too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        # A thousand callers are two thousand connections.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with contextlib.ExitStack() as failed:
            failed.push(self)
            self._prepare()
            self._bedrock()
            if self.litellm:
                self._litellm()
            self.lasting = self.running.pop_all()
            self.renew()
            failed.pop_all()
        return self

    def __exit__(self, *_):
        self.running.close()
        self.lasting.close()

    def renew(self):
        """Starts the proxies, in place of those that run.

        A proxy keeps its connections to the mock, and how many of them each of the mock's workers has is chance: of 2 MB Easel
        took 725 us where one had all sixteen, and 860 where each had eight. So what is compared is started for each round.
        """
        self.running.close()
        self._nginx()
        self._haproxy()
        self._bare()
        self._easel()

    def url(self, proxy, size):
        """The path and the body that ask a proxy for a picture of a size."""
        if proxy in ("easel", "litellm"):
            return "/v1/images/generations", json.dumps({"model": file_of(size), "prompt": "A sunset over mountains"})
        return f"/{file_of(size)}/model/{MODEL}/invoke", json.dumps({"prompt": "A sunset over mountains"})

    def start(self, name, command, ready, env=None, log=None):
        folder = HOME / name
        folder.mkdir(exist_ok=True)
        with open(log or folder / "log", "w") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env or dict(os.environ))
        self.running.callback(process.wait, timeout=30)
        self.running.callback(process.send_signal, signal.SIGTERM)
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ready), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} does not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.01)
        return process

    def _prepare(self):
        (HOME / "replies").mkdir(parents=True, exist_ok=True)
        for size, length in SIZES.items():
            file = HOME / "replies" / file_of(size)
            if not file.is_file():
                file.write_text(reply(length))
        if (HOME / "cert.pem").is_file():
            return
        run = lambda *command: subprocess.run(["openssl", *command], cwd=HOME, check=True, capture_output=True)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("req", "-x509", *curve, "-keyout", "ca-key.pem", "-out", "ca.pem", "-days", "3650", "-subj", "/CN=bench",
            "-addext", "basicConstraints=critical,CA:true")
        run("req", *curve, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost")
        (HOME / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        run("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
            "-out", "cert.pem", "-days", "3650", "-extfile", "names")

    def _start_nginx(self, name, http, ready, workers):
        folder = HOME / name
        folder.mkdir(exist_ok=True)
        (folder / "nginx.conf").write_text(NGINX.format(workers=workers, folder=folder, http=http))
        nginx = self.start(name, [HOME / "bin/nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"], ready)
        children = pathlib.Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children")
        while len(pids := children.read_text().split()) < workers:
            time.sleep(0.01)
        return [nginx.pid, *map(int, pids)]

    def _bedrock(self):
        self.plain, self.tls = free_port(), free_port()
        http = BEDROCK.format(plain=self.plain, tls=self.tls, home=HOME)
        self._start_nginx("bedrock", http, self.plain, os.cpu_count())

    def _nginx(self):
        to_plain, to_tls = free_port(), free_port()
        http = PROXY.format(plain=self.plain, tls=self.tls, to_plain=to_plain, to_tls=to_tls, home=HOME)
        self.pids["nginx"] = self._start_nginx("nginx", http, to_plain, os.cpu_count())
        self.ports["nginx"] = {"plain": to_plain, "tls": to_tls}

    def _haproxy(self):
        to_plain, to_tls = free_port(), free_port()
        (HOME / "haproxy").mkdir(exist_ok=True)
        config = HOME / "haproxy/haproxy.cfg"
        config.write_text(HAPROXY.format(
            plain=self.plain, tls=self.tls, to_plain=to_plain, to_tls=to_tls, home=HOME, workers=os.cpu_count()))
        process = self.start("haproxy", [HOME / "bin/haproxy", "-db", "-f", config], to_plain)
        self.pids["haproxy"] = [process.pid]
        self.ports["haproxy"] = {"plain": to_plain, "tls": to_tls}

    def _bare(self):
        self.ports["bare"] = {}
        for upstream, base in (("plain", f"http://127.0.0.1:{self.plain}"), ("tls", f"https://localhost:{self.tls}")):
            port = free_port()
            process = self.start(f"bare-{upstream}", [ROOT / "target/release/bare", f"127.0.0.1:{port}", base, "--ca", HOME / "ca.pem"], port)
            self.ports["bare"][upstream] = port
            self.pids[f"bare {upstream}"] = [process.pid]

    def easel_command(self, upstream, port):
        """An Easel's command and environment; with every figure, line and check on."""
        base = f"http://127.0.0.1:{self.plain}" if upstream == "plain" else f"https://localhost:{self.tls}"
        entries = [
            {"model_name": file_of(size), "litellm_params": {
                "model": f"bedrock/{MODEL}", "aws_region_name": "us-west-2", "aws_bedrock_runtime_endpoint": f"{base}/{file_of(size)}"}}
            for size in SIZES
        ]
        folder = HOME / f"easel-{upstream}"
        folder.mkdir(exist_ok=True)
        config = folder / "config.yaml"
        # Kept links pile up, so few are kept. More would be a measure of the machine's free memory: on a virtual one whose
        # host takes back what is free, a page that is new costs ten times what it takes to write it.
        settings = {"links": {"expires_in": 60, "max_size_mb": 100}, "max_in_flight": 4000}
        config.write_text(json.dumps({"model_list": entries, "easel_settings": settings}))
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_MASTER_KEY": KEY, "SSL_CERT_FILE": str(HOME / "ca.pem"),
               "AWS_BEARER_TOKEN_BEDROCK": "bench", "EASEL_DATA_DIR": str(folder / "data")}
        return [EASEL, "--config", config, "--host", "127.0.0.1", "--port", str(port)], env

    def _easel(self):
        self.ports["easel"] = {}
        for upstream in ("plain", "tls"):
            port = free_port()
            command, env = self.easel_command(upstream, port)
            process = self.start(f"easel-{upstream}", command, port, env)
            self.ports["easel"][upstream] = port
            self.pids[f"easel {upstream}"] = [process.pid]

    @contextlib.contextmanager
    def another_easel(self, upstream):
        """One that nobody has asked yet; its port and process id."""
        port = free_port()
        command, env = self.easel_command(upstream, port)
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.01)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)

    def _litellm(self):
        port = free_port()
        folder = HOME / "litellm-run"
        folder.mkdir(exist_ok=True)
        entries = [
            {"model_name": file_of(size), "litellm_params": {
                "model": f"bedrock/{MODEL}", "aws_region_name": "us-west-2", "api_key": "bench",
                "aws_bedrock_runtime_endpoint": f"http://127.0.0.1:{self.plain}/{file_of(size)}"}}
            for size in SIZES
        ]
        (folder / "config.yaml").write_text(json.dumps({"model_list": entries, "general_settings": {"master_key": KEY}}))
        process = self.start("litellm-run", [HOME / "litellm/bin/litellm", "--config", folder / "config.yaml", "--host", "127.0.0.1",
                             "--port", str(port), "--telemetry", "False"], port, {**os.environ, "HOME": str(folder)})
        self.pids["litellm"] = [process.pid]
        self.ports["litellm"] = {"plain": port}

    def processes(self, proxy, upstream):
        return self.pids.get(proxy) or self.pids[f"{proxy} {upstream}"]

    def check(self):
        """That what Easel answers is the picture, and that the proxies answer all of it."""
        for size in SIZES:
            sent = json.loads((HOME / "replies" / file_of(size)).read_text())["images"][0]
            for proxy, ports in self.ports.items():
                for upstream, port in ports.items():
                    path, body = self.url(proxy, size)
                    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
                    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body.encode(), headers)
                    with urllib.request.urlopen(request, timeout=60) as response:
                        told = json.load(response)
                    got = told["images"][0] if "images" in told else told["data"][0]["b64_json"]
                    assert got == sent, f"{proxy} does not answer the picture of {size}"
