"""Requests as real clients sent them, byte for byte but for Host, and answers in the shape that each reads."""

import json

import pytest

from easel import ROOT, picture
from pictures import fetched

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
    assert status == 200, answer
    if request["method"] == "GET":
        check_models(request, answer)
    elif body.get("stream"):
        check_events(body, headers, answer)
    else:
        check_pictures(body, answer)


def check_models(request, answer):
    models = [answer] if request["path"].count("/") > 2 else answer["data"]
    assert models
    for model in models:
        assert (model["object"], type(model["id"]), type(model["created"])) == ("model", str, int)
        assert isinstance(model["owned_by"], str)


def check_events(body, headers, answer):
    assert headers.get_content_type() == "text/event-stream"
    events = [event for event in answer.decode().split("\n\n") if event and not event.startswith(":")]
    assert len(events) == (body.get("n") or 1)
    for event in events:
        name, data = event.split("\n")
        assert name == "event: image_generation.completed"
        completed = json.loads(data.removeprefix("data: "))
        assert completed["type"] == "image_generation.completed"
        assert completed["size"] == "x".join(map(str, picture(completed["b64_json"]).size))


def check_pictures(body, answer):
    # Booleans are ints to Python, and 1.0 is not what async-openai reads.
    assert type(answer["created"]) is int
    assert len(answer["data"]) == (body.get("n") or 1)
    said = body.get("response_format")
    linked = said == "url" or (said is None and body.get("model", "").startswith("dall-e"))
    for image in answer["data"]:
        # Open WebUI and others take the url first, even if it is empty.
        assert ("url" in image, "b64_json" in image) == (linked, not linked)
        decoded = fetched(image["url"])[0] if linked else picture(image["b64_json"])
        assert answer["size"] == "x".join(map(str, decoded.size))
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
