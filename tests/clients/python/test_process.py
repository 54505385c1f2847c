"""What only a process shows: its size, its start, its memory, and the bytes of its status line."""

import json
import socket
import subprocess
import time

import pytest

from easel import BINARY, CONFIG, KEY, PATIENCE, Easel, picture

MB = 1_000_000


def test_the_binary_is_under_30_mb(capsys):
    size = BINARY.stat().st_size / MB
    with capsys.disabled():
        print(f"\n  binary: {size:.1f} MB")
    assert size < 30


def test_it_is_alive_within_100_ms_and_idle_in_25_mb(emulator, capsys):
    starts = []
    for _ in range(5):
        began = time.perf_counter()
        with Easel(emulator.url) as easel:
            status, _, _ = easel.ask("GET", "/health/liveliness", headers={})
            starts.append((time.perf_counter() - began) * 1000)
            assert status == 200
            # Idle is after the first request and the look for credentials, not before.
            easel.await_log("listening")
            memory = easel.memory("VmRSS")
    with capsys.disabled():
        times = ", ".join(f"{milliseconds:.0f}" for milliseconds in starts)
        print(f"\n  alive after {min(starts):.0f} ms (of {times}); idle memory: {memory:.1f} MB")
    # Other work on the machine makes a start slower, never faster.
    assert min(starts) < 100
    assert memory < 25


def test_liveliness_needs_no_key_and_takes_head(easel):
    for path in ("/health/liveliness", "/health/liveness", "/health/readiness"):
        assert easel.ask("GET", path, headers={})[0] == 200
        status, _, body = easel.ask("HEAD", path, headers={})
        assert (status, body) == (200, b"")


def raw_request(easel, body, key=KEY):
    text = json.dumps(body).encode()
    head = (
        "POST /v1/images/generations HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{easel.port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [
        ({"prompt": "otter", "size": "1024*768"}, KEY, 400),
        ({"prompt": "otter", "model": "größer"}, KEY, 404),
        ({"prompt": "otter", "size": "9" * 1000}, KEY, 400),
        ({"prompt": "otter\r\nX-Evil: 1", "size": "1\r\nX-Evil: 1"}, KEY, 400),
        ({"prompt": "otter emulate:access-denied"}, KEY, 500),
        ({"prompt": "otter"}, "sk-wrong", 401),
    ],
)
def test_the_status_line_carries_the_error(easel, body, key, status):
    """Open WebUI shows its user the reason phrase and nothing else."""
    with socket.create_connection(("127.0.0.1", easel.port), timeout=PATIENCE) as connection:
        connection.sendall(raw_request(easel, body, key))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    version, got, reason = head.split(b"\r\n")[0].split(b" ", 2)
    assert (version, int(got)) == (b"HTTP/1.1", status)
    assert b"\r\nX-Evil" not in head
    message = json.loads(content)["error"]["message"]
    printable = "".join(c if " " <= c <= "~" else "?" for c in message)[:200]
    assert reason.decode("ascii") == printable


def test_memory_does_not_grow_with_pictures(emulator, capsys):
    """Sixteen readers who do not read, with eighty pictures on their way, and then all of them read."""
    readers, count, side = 16, 5, 1024
    with Easel(emulator.url) as easel:
        assert easel.ask("GET", "/health/liveliness", headers={})[0] == 200
        idle = easel.memory("VmRSS")
        connections = []
        for k in range(readers):
            connection = socket.socket()
            # A small window, so that what is not read waits in the emulator and not in the kernel.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", easel.port))
            body = {"prompt": f"otter {k}", "n": count, "size": f"{side}x{side}", "model": "nova-canvas"}
            connection.sendall(raw_request(easel, body))
            connections.append(connection)
        # Every head is there, so every first picture has begun.
        begun = [connection.recv(1000) for connection in connections]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in begun)
        total, last = 0, b""
        answers = list(begun)
        while open_ones := [k for k, connection in enumerate(connections) if connection]:
            for k in open_ones:
                piece = connections[k].recv(65536)
                total += len(piece)
                if k == 0:
                    last += piece
                if not piece:
                    connections[k].close()
                    connections[k] = None
                else:
                    answers[k] = (answers[k] + piece)[-100:]
        peak = easel.memory("VmHWM")
    assert all(answer.rstrip().endswith(b"0") for answer in answers), "a reply without its closing chunk"
    assert last.count(b'"b64_json"') + begun[0].count(b'"b64_json"') == count
    with capsys.disabled():
        print(f"\n  {total / MB:.0f} MB to {readers} slow readers; memory: idle {idle:.1f} MB, peak {peak:.1f} MB")
    assert total > readers * count * MB
    assert peak - idle < 60


def begin(easel, prompt):
    """A request whose reply has begun: the connection and what has come so far."""
    connection = socket.create_connection(("127.0.0.1", easel.port), timeout=PATIENCE)
    connection.sendall(raw_request(easel, {"prompt": prompt, "model": "nova-canvas"}))
    come = b""
    while b"iVBORw0KGgo" not in come:
        piece = connection.recv(4096)
        assert piece, come
        come += piece
    return connection, come


def whole(connection, come):
    """The rest of a chunked reply, put together."""
    with connection:
        come += b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, rest = come.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    content = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return json.loads(content)
        content, rest = content + rest[:length], rest[length + 2 :]


def test_a_picture_leaves_while_it_still_comes(easel):
    began = time.monotonic()
    connection, come = begin(easel, "otter emulate:slow-body=2")
    assert time.monotonic() - began < 2
    assert picture(whole(connection, come)["data"][0]["b64_json"]).size == (1024, 1024)
    assert time.monotonic() - began > 2


def test_a_reply_under_way_survives_the_stop(emulator):
    with Easel(emulator.url) as easel:
        connection, come = begin(easel, "otter emulate:slow-body=1")
        easel.process.terminate()
        assert picture(whole(connection, come)["data"][0]["b64_json"]).size == (1024, 1024)
        assert easel.process.wait(timeout=PATIENCE) == 0


def test_the_containers_healthcheck(emulator):
    def health(port):
        return subprocess.run([BINARY, "health", "--port", str(port)], env={}, capture_output=True).returncode

    with Easel(emulator.url) as easel:
        assert health(easel.port) == 0
    assert health(easel.port) == 1


def test_wrong_usage_ends_with_a_reason(tmp_path):
    """Exit status 64, as BSD's sysexits has it for a command line or a config that cannot be used."""
    broken = tmp_path / "config.yaml"
    broken.write_text("model_list: [{model_name: x}]\n")
    result = subprocess.run([BINARY, "--config", broken], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert result.returncode == 64
    assert "model_list[0].litellm_params" in result.stderr
    result = subprocess.run(
        [BINARY, "--config", CONFIG, "--host", "0.0.0.0", "--port", "0"],
        cwd=tmp_path,
        env={"LITELLM_MASTER_KEY": KEY},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 64
    assert "LITELLM_MASTER_KEY" in result.stderr
