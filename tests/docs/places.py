"""What the commands of the documentation reach instead of AWS: an emulated Bedrock, the same behind TLS, and moto."""

import contextlib
import datetime
import ipaddress
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAND_INS = pathlib.Path(__file__).resolve().parent / "stand-ins"
BINARY = pathlib.Path(os.environ.get("EASEL_BIN", ROOT / "target/release/easel"))

# The keys that the pages show.
KEYS = ("emulated", "your_api_key_here")

# AWS's published example pair, which the emulator knows.
PAIR = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Servers:
    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.ports = {name: free_port() for name in ("bedrock", "moto", "easel", "emulated")}
        keys = [argument for key in KEYS for argument in ("--api-key", key)]
        self._start([BINARY, "emulate", "--port", str(self.ports["bedrock"]), *keys], "bedrock")
        self._start([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.ports["moto"])], "moto")
        self.ports["tls"] = self._behind_tls(self.ports["bedrock"])
        self._prepare_moto()
        return self

    def __exit__(self, *_):
        self.stack.close()

    @property
    def easel(self):
        return f"http://127.0.0.1:{self.ports['easel']}/health/liveliness"

    @property
    def emulated(self):
        return f"http://127.0.0.1:{self.ports['emulated']}/health"

    def answers(self, url):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _start(self, command, name):
        clean = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", **PAIR}
        process = subprocess.Popen(command, env=clean, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(process.wait, timeout=20)
        self.stack.callback(process.terminate)
        deadline = time.monotonic() + 60
        while not self.answers(f"http://127.0.0.1:{self.ports[name]}/"):
            assert process.poll() is None and time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.05)

    def _prepare_moto(self):
        """The secret that a page calls by a name to fill in."""
        import boto3

        client = boto3.client(
            "secretsmanager", region_name="us-west-2", endpoint_url=f"http://127.0.0.1:{self.ports['moto']}",
            aws_access_key_id=PAIR["AWS_ACCESS_KEY_ID"], aws_secret_access_key=PAIR["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_secret(Name="ARN_OF_MASTER_KEY", SecretString="a key")

    def _behind_tls(self, port):
        """A listener with a certificate in the names of Bedrock, which hands bytes on to a port."""
        names = [x509.DNSName(f"bedrock-runtime.{region}.amazonaws.com") for region in ("us-west-2", "us-east-1")]
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Easel's tests")])
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
            .add_extension(x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        plain = serialization.NoEncryption()
        (self.folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
        (self.folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.stack.callback(listener.close)
        threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()
        return listener.getsockname()[1]

    def _accept(self, listener, port):
        while True:
            try:
                caller, _ = listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((caller, upstream), (upstream, caller)):
                threading.Thread(target=_pipe, args=(source, sink), daemon=True).start()

    def environment(self, home):
        """A terminal's, in which everything leads to the servers of the test."""
        painter = "".join(f"{name.lower()} = {value}\n" for name, value in PAIR.items())
        (home / ".aws").mkdir()
        (home / ".aws/credentials").write_text(f"[default]\n{painter}[painter]\n{painter}")
        (home / ".aws/config").write_text("[default]\nregion = us-west-2\n")
        beside = pathlib.Path(sys.executable)
        return {
            "HOME": str(home),
            # moto's packages for the stand-ins that are written in Python.
            "PATH": os.pathsep.join([str(STAND_INS), str(beside.parent), os.environ["PATH"]]),
            "PORT": str(self.ports["easel"]),
            "LITELLM_MASTER_KEY": "sk-test-1234567890",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "AWS_REGION": "us-west-2",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['moto']}",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://127.0.0.1:{self.ports['bedrock']}",
            "DOCS_EASEL": str(BINARY.resolve()),
            "DOCS_AWS": str(beside.with_name("aws")),
            "DOCS_CURL": shutil.which("curl"),
            "DOCS_CERTIFICATE": str(self.folder / "certificate.pem"),
            "DOCS_TLS_PORT": str(self.ports["tls"]),
            "DOCS_EMULATED_PORT": str(self.ports["emulated"]),
        }


def _pipe(source, sink):
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
