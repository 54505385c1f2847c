"""Requests as real clients sent them, byte for byte but for Host, and answers in the shape that each reads."""

import base64
import json

import pytest

from easel import ROOT, picture

FOLDER = ROOT / "tests/fixtures/captures"
CAPTURES = [
    pytest.param(request, id=f"{path.stem}-{at}")
    for path in sorted(FOLDER.glob("*.json"))
    for at, request in enumerate(json.loads(path.read_text()))
]


def send(easel, request):
    headers = dict(request["headers"])
    body = request["body"]
    if body is not None:
        body = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return easel.ask(request["method"], request["path"], body, headers)


def test_there_are_captures():
    assert len(CAPTURES) >= 15


@pytest.mark.parametrize("request_sent", CAPTURES)
def test_a_captured_request_is_answered_as_its_client_reads_it(easel, request_sent):
    request = request_sent
    body = request["body"] or {}
    status, headers, answer = send(easel, request)
    assert headers["x-request-id"]
    # The clients offer gzip and more; pictures do not get smaller by it.
    assert headers["content-encoding"] is None
    if request["method"] == "GET":
        check_models(request, status, answer)
        return
    assert status == 200, answer
    if body.get("stream"):
        check_events(headers, answer)
    elif body.get("response_format") == "url":
        check_links(easel, body, answer)
    else:
        check_pictures(body, answer)


def check_models(request, status, answer):
    assert status == 200, answer
    models = [answer] if request["path"].count("/") > 2 else answer["data"]
    assert models
    for model in models:
        assert (model["object"], type(model["id"]), type(model["created"])) == ("model", str, int)
        assert isinstance(model["owned_by"], str)


def check_events(headers, text):
    """As the SDKs read it: lines, and the data of each event as JSON. A plain document would be no picture at all."""
    assert headers.get_content_type() == "text/event-stream"
    lines = [line for line in text.decode().splitlines() if line and not line.startswith(":")]
    assert lines[0] == "event: image_generation.completed"
    name, data = lines[1].split(": ", 1)
    assert (name, len(lines)) == ("data", 2)
    event = json.loads(data)
    members = "b64_json background created_at output_format quality size type usage"
    assert sorted(event) == members.split()
    assert event["size"] == "x".join(map(str, picture(event["b64_json"]).size))


def check_links(easel, body, answer):
    assert len(answer["data"]) == (body.get("n") or 1)
    for image in answer["data"]:
        # LibreChat takes the extension from the address, and .NET wants it short.
        assert list(image) == ["url"]
        assert image["url"].startswith(f"{easel.url}/files/") and image["url"].endswith(".png")
        status, headers, content = easel.ask("GET", image["url"].removeprefix(easel.url), headers={})
        assert (status, headers["content-type"]) == (200, "image/png")
        assert "x".join(map(str, picture(base64.b64encode(content)).size)) == answer["size"]


def check_pictures(body, answer):
    # Booleans are ints to Python, and 1.0 is not what async-openai reads.
    assert type(answer["created"]) is int
    assert len(answer["data"]) == (body.get("n") or 1)
    for image in answer["data"]:
        # Open WebUI and others take the url first, even if it is empty.
        assert "url" not in image
        size = "x".join(map(str, picture(image["b64_json"]).size))
        assert answer["size"] == size
    wanted = body.get("size")
    if wanted not in (None, "auto") and body.get("model") != "gpt-image-1":
        assert answer["size"] == wanted
    assert answer["output_format"] == "png"
    usage = answer["usage"]
    assert sorted(usage) == ["input_tokens", "input_tokens_details", "output_tokens", "total_tokens"]
    assert sorted(usage["input_tokens_details"]) == ["image_tokens", "text_tokens"]
    # Values outside OpenAI's lists break strict clients, so these are left out.
    assert answer.get("quality") in (None, "low", "medium", "high")
    assert answer.get("background") in (None, "opaque", "transparent")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/images/upscales"])
def test_what_is_not_served_is_a_404_in_openais_envelope(easel, path):
    status, _, answer = easel.ask("POST", path, {"prompt": "otter"})
    assert status == 404
    assert sorted(answer["error"]) == ["code", "message", "param", "type"]
    assert answer["error"]["code"] is None
