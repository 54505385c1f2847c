"""botocore as the judge of our signatures, and of the emulator's judgement."""

import base64
import http.server
import io
import json
import threading

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from PIL import Image

from easel import EXAMPLE_ID, EXAMPLE_SECRET, Easel, picture

TOKEN = "an/example+session=token"


def small_picture():
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


class Recorder(http.server.ThreadingHTTPServer):
    """A Bedrock that keeps each request as it arrived and answers with one small picture."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append((self.command, self.path, self.headers, body))
        answer = json.dumps({"images": [small_picture()], "seeds": [1], "finish_reasons": [None]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def signed_by_botocore(request, credentials, region):
    """The Authorization header that botocore would send with this very request."""
    method, path, headers, body = request
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    signed = {name: headers[name] for name in names}
    again = AWSRequest(method, f"http://{headers['host']}{path}", headers=signed, data=body)
    again.context["timestamp"] = headers["x-amz-date"]
    judge = SigV4Auth(credentials, "bedrock", region)
    judge._inject_signature_to_request(
        again, judge.signature(judge.string_to_sign(again, judge.canonical_request(again)), again)
    )
    return again.headers["Authorization"]


def check(recorder, credentials, region, path):
    (request,) = recorder.requests
    assert request[1] == path
    headers = request[2]
    assert headers["authorization"] == signed_by_botocore(request, credentials, region)
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    # What botocore signs has to be signed here too; user-agent and the like never are.
    wanted = {"accept", "content-type", "host", "x-amz-date"} | ({"x-amz-security-token"} if credentials.token else set())
    assert wanted <= set(signed)
    assert headers.get("x-amz-security-token") == credentials.token


def write_config(folder, endpoint, **params):
    # YAML reads JSON.
    params = {"model": "bedrock/amazon.nova-canvas-v1:0", "aws_region_name": "us-east-1"} | params
    params["aws_bedrock_runtime_endpoint"] = endpoint
    entry = {"model_name": "painter", "litellm_params": params}
    path = folder / "config.yaml"
    settings = {"model_list": [entry], "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"}}
    path.write_text(json.dumps(settings))
    return path


ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/us.stability/core:1"
KEYS = {"aws_access_key_id": EXAMPLE_ID, "aws_secret_access_key": EXAMPLE_SECRET}


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("params", "region", "path"),
    [
        ({}, "us-east-1", "/model/amazon.nova-canvas-v1%3A0/invoke"),
        (
            {"model": "bedrock/stability.stable-image-core-v1:1", "aws_region_name": "us-west-2"},
            "us-west-2",
            "/model/stability.stable-image-core-v1%3A1/invoke",
        ),
        (
            {"model": "bedrock/us.stability.stable-image-ultra-v1:1", "aws_region_name": "us-west-2"},
            "us-west-2",
            "/model/us.stability.stable-image-ultra-v1%3A1/invoke",
        ),
        (
            {"model": "bedrock/stability.stable-image-core-v1:1", "model_id": ARN, "aws_region_name": "us-west-2"},
            "us-west-2",
            "/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aapplication-inference-profile%2F"
            "us.stability%2Fcore%3A1/invoke",
        ),
    ],
    ids=["nova", "stability", "inference profile", "ARN"],
)
def test_keys_in_the_config(recorder, tmp_path, params, region, path, token):
    session = {"aws_session_token": token} if token else {}
    config = write_config(tmp_path, recorder.url, **KEYS, **params, **session)
    with Easel("http://127.0.0.1:9", config, environment={}) as easel:
        status, _, answer = easel.paint(model="painter", prompt="ein Fuchs, größer als 雪 \"im\" Schnee")
    assert status == 200, answer
    assert picture(answer["data"][0]["b64_json"]).size == (64, 64)
    check(recorder, Credentials(EXAMPLE_ID, EXAMPLE_SECRET, token), region, path)


def test_credentials_from_the_environment(recorder, tmp_path):
    environment = {
        "AWS_ACCESS_KEY_ID": EXAMPLE_ID,
        "AWS_SECRET_ACCESS_KEY": EXAMPLE_SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
    }
    with Easel("http://127.0.0.1:9", write_config(tmp_path, recorder.url), environment) as easel:
        status, _, answer = easel.paint(model="painter")
    assert status == 200, answer
    check(
        recorder,
        Credentials(EXAMPLE_ID, EXAMPLE_SECRET, TOKEN),
        "us-east-1",
        "/model/amazon.nova-canvas-v1%3A0/invoke",
    )


@pytest.mark.parametrize("how", ["variable", "config"])
def test_credentials_from_a_profile(recorder, tmp_path, how):
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n"
        f"[painter]\naws_access_key_id = {EXAMPLE_ID}\naws_secret_access_key = {EXAMPLE_SECRET}\n"
    )
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    params = {}
    if how == "variable":
        environment["AWS_PROFILE"] = "painter"
    else:
        params["aws_profile_name"] = "painter"
    with Easel("http://127.0.0.1:9", write_config(tmp_path, recorder.url, **params), environment) as easel:
        status, _, answer = easel.paint(model="painter")
    assert status == 200, answer
    check(
        recorder, Credentials(EXAMPLE_ID, EXAMPLE_SECRET), "us-east-1", "/model/amazon.nova-canvas-v1%3A0/invoke"
    )


def test_credentials_in_the_home_folder(recorder, tmp_path):
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        f"[default]\naws_access_key_id = {EXAMPLE_ID}\naws_secret_access_key = {EXAMPLE_SECRET}\n"
    )
    with Easel("http://127.0.0.1:9", write_config(tmp_path, recorder.url), {"HOME": str(tmp_path)}) as easel:
        status, _, answer = easel.paint(model="painter")
    assert status == 200, answer
    check(
        recorder, Credentials(EXAMPLE_ID, EXAMPLE_SECRET), "us-east-1", "/model/amazon.nova-canvas-v1%3A0/invoke"
    )


def test_no_credentials_at_all(recorder, tmp_path):
    with Easel("http://127.0.0.1:9", write_config(tmp_path, recorder.url), environment={}) as easel:
        easel.await_log("missing credentials")
        status, headers, answer = easel.paint(model="painter")
    assert (status, answer["error"]["code"]) == (500, "upstream_auth")
    assert "AWS_BEARER_TOKEN_BEDROCK" in answer["error"]["message"]
    assert headers["x-should-retry"] == "false"
    assert not recorder.requests


# The other way round: AWS's own client calls the emulator, whose judgement the Rust tests rely on. By signatures
# only: boto3 shows an API key to nobody without TLS.


def bedrock(emulator, **more):
    settings = {"aws_access_key_id": EXAMPLE_ID, "aws_secret_access_key": EXAMPLE_SECRET, "region_name": "us-east-1"}
    config = Config(retries={"max_attempts": 0}, proxies={})
    return boto3.client("bedrock-runtime", endpoint_url=emulator.url, config=config, **(settings | more))


NOVA = {
    "taskType": "TEXT_IMAGE",
    "textToImageParams": {"text": "A serene mountain landscape"},
    "imageGenerationConfig": {"numberOfImages": 2, "quality": "standard", "height": 512, "width": 640, "seed": 5},
}


@pytest.mark.parametrize(
    ("model", "body", "size"),
    [
        ("amazon.nova-canvas-v1:0", NOVA, (640, 512)),
        ("stability.stable-image-core-v1:1", {"prompt": "A serene mountain landscape"}, None),
        ("us.stability.stable-image-core-v1:1", {"prompt": "A serene mountain landscape"}, None),
    ],
)
def test_boto3_is_let_in_by_the_emulator(emulator, model, body, size):
    answer = bedrock(emulator).invoke_model(modelId=model, body=json.dumps(body))
    pictures = [picture(image) for image in json.loads(answer["body"].read())["images"]]
    assert pictures
    if size:
        assert [image.size for image in pictures] == [size] * 2


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"aws_secret_access_key": EXAMPLE_SECRET[::-1]}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIDOTHER"}, "UnrecognizedClientException"),
    ],
)
def test_boto3_with_wrong_keys_is_refused_by_the_emulator(emulator, wrong, code):
    with pytest.raises(ClientError) as error:
        bedrock(emulator, **wrong).invoke_model(modelId="amazon.nova-canvas-v1:0", body=json.dumps(NOVA))
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_errors_reach_boto3_as_its_own_exceptions(emulator):
    client = bedrock(emulator)
    body = json.dumps({"prompt": "a fox emulate:throttle"})
    with pytest.raises(client.exceptions.ThrottlingException):
        client.invoke_model(modelId="stability.stable-image-core-v1:1", body=body)
    with pytest.raises(client.exceptions.ValidationException):
        client.invoke_model(modelId="amazon.nova-canvas-v1:0", body=json.dumps(NOVA | {"unknown": 1}))
