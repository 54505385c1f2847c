"""Links to a bucket, on an S3 server that others wrote: what is kept, what is not, and who may fetch it."""

import base64
import http.server
import io
import json
import random
import threading
import time

import boto3
import botocore.config
import pytest
from PIL import Image

from easel import EXAMPLE_ID, EXAMPLE_SECRET, KEY, PATIENCE, S3, Easel, picture

NAME = "pictures"
PREFIX = "easel/links"
SECRET = "one-secret-for-all-replicas-of-it"

CONFIG = """
model_list:
  - model_name: nova-canvas
    litellm_params: {{model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1, timeout: 20}}
general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}
easel_settings:
  links:
    secret: {secret}
    expires_in: {expires_in}
    s3: {{bucket: {bucket}, prefix: {prefix}, region: us-east-1, endpoint: "{endpoint}"{keys}}}
"""

IN_CONFIG = f", aws_access_key_id: {EXAMPLE_ID}, aws_secret_access_key: {EXAMPLE_SECRET}"


@pytest.fixture(scope="module")
def s3():
    with S3() as server:
        yield server


@pytest.fixture(scope="module")
def bucket(s3):
    keys = {"aws_access_key_id": EXAMPLE_ID, "aws_secret_access_key": EXAMPLE_SECRET}
    proxies = botocore.config.Config(proxies={})
    client = boto3.resource("s3", endpoint_url=s3.url, region_name="us-east-1", config=proxies, **keys)
    return client.create_bucket(Bucket=NAME)


@pytest.fixture
def start(emulator, s3, bucket, tmp_path):
    """Starts a replica; its keys are in the config, else found by the AWS chain."""
    running = []

    def start(keys=IN_CONFIG, secret=SECRET, expires_in=600, name=NAME, upstream=emulator.url):
        path = tmp_path / f"{len(running)}.yaml"
        settings = {"secret": secret, "expires_in": expires_in, "bucket": name, "prefix": PREFIX, "keys": keys}
        path.write_text(CONFIG.format(endpoint=s3.url, **settings))
        environment = {"AWS_BEARER_TOKEN_BEDROCK": "emulated"}
        if not keys:
            environment |= {"AWS_ACCESS_KEY_ID": EXAMPLE_ID, "AWS_SECRET_ACCESS_KEY": EXAMPLE_SECRET}
        running.append(Easel(upstream, path, environment))
        return running[-1]

    yield start
    for easel in running:
        easel.stop()


def link(easel, **members):
    """The path of a link to a new picture."""
    status, _, answer = easel.paint(response_format="url", **members)
    assert status == 200, answer
    return answer["data"][0]["url"].removeprefix(easel.url)


def follow(easel, s3, path, method="GET"):
    """What is where a link leads to."""
    status, headers, _ = easel.ask(method, path, headers={})
    assert status == 302
    assert headers["location"].startswith(f"{s3.url}/{NAME}/{PREFIX}/")
    where = headers["location"].removeprefix(s3.url)
    return Easel.ask(s3, method, where, headers={})


def names(bucket):
    return {item.key for item in bucket.objects.all()}


@pytest.mark.parametrize("keys", [IN_CONFIG, ""], ids=["keys in the config", "keys from the chain"])
def test_a_link_leads_to_the_bucket(start, s3, keys):
    easel = start(keys)
    path = link(easel, size="512x320")
    status, headers, content = follow(easel, s3, path)
    assert (status, headers["content-type"]) == (200, "image/png")
    name = path.rsplit("/", 1)[1]
    assert headers["content-disposition"] == f'inline; filename="{name}"'
    assert picture(base64.b64encode(content)).size == (512, 320)
    status, headers, content = follow(easel, s3, path, "HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["content-length"]) > 0


def test_an_encoding_that_the_model_lacks(start, s3):
    easel = start()
    path = link(easel, output_format="webp")
    assert path.endswith(".webp")
    _, headers, content = follow(easel, s3, path)
    assert headers["content-type"] == "image/webp"
    assert picture(base64.b64encode(content)).format == "WEBP"


def test_replicas_share_links_by_their_secret(start, s3):
    one, other, stranger = start(), start(), start(secret="x" * 32)
    path = link(one)
    assert follow(other, s3, path)[0] == 200
    assert stranger.ask("GET", path, headers={})[0] == 404


def test_what_breaks_off_is_not_in_the_bucket(start, bucket):
    easel = start()
    before = names(bucket)
    status, headers, _ = easel.paint(prompt="otter emulate:reset-mid-body", response_format="url")
    assert (status, headers["x-should-retry"]) == (502, "false")
    assert names(bucket) == before


class Painter(http.server.BaseHTTPRequestHandler):
    """A Bedrock that answers one picture of more than a part of an upload, to the end or not."""

    picture, breaks = b"", False

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"images": [self.picture.decode()]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: -1000 if self.breaks else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def painter():
    noise = random.Random(1).randbytes(1536 * 1536 * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (1536, 1536), noise).save(file, "PNG")
    Painter.picture = base64.b64encode(file.getvalue())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Painter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()


def test_a_large_picture_goes_up_in_parts(start, s3, painter):
    Painter.breaks = False
    easel = start(upstream=painter.url)
    _, headers, content = follow(easel, s3, link(easel))
    assert len(content) > 5 * 1024 * 1024
    assert base64.b64encode(content) == Painter.picture
    # S3's mark of an upload in parts.
    assert headers["etag"].endswith('-2"')


def test_parts_of_what_breaks_off_are_taken_back(start, bucket, painter):
    Painter.breaks = True
    before = names(bucket)
    easel = start(upstream=painter.url)
    status, _, answer = easel.paint(response_format="url")
    assert (status, answer["error"]["code"]) == (502, "upstream_error")
    deadline = time.monotonic() + PATIENCE
    while list(bucket.multipart_uploads.all()):
        assert time.monotonic() < deadline
    assert names(bucket) == before
    assert easel.count("easel_replies_incomplete_total") == 1


def test_what_has_expired_is_removed_and_nothing_else(start, bucket):
    link(start())
    bucket.put_object(Key=f"{PREFIX}/notes.txt", Body=b"not Easel's")
    bucket.put_object(Key="elsewhere.png", Body=b"not Easel's")
    deadline = time.monotonic() + PATIENCE
    # Each cleans when it starts. S3 tells whole seconds, so the first may find a picture too young.
    while len(names(bucket)) > 2:
        assert time.monotonic() < deadline, names(bucket)
        start(expires_in=0.1)
    assert names(bucket) == {f"{PREFIX}/notes.txt", "elsewhere.png"}


def test_a_bucket_that_is_not_there_is_said_at_start(start):
    easel = start(name="nowhere")
    assert easel.await_log(r"cannot be cleaned: see easel_settings\.links")
    assert KEY not in easel.text() and EXAMPLE_SECRET not in easel.text()
