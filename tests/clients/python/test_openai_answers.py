"""The OpenAI SDK for Python where pictures come as links or as events, and in other formats than PNG."""

import asyncio
import time
import urllib.error
import urllib.request

import openai
import pytest

from easel import CONFIG, KEY, PATIENCE, Easel, picture
from pictures import card, decoded, encoded, fetched, transparent_mask

try:
    # What breaks while a stream is read comes out of openai 1.x as its HTTP library's error.
    from httpx import HTTPError
except ImportError:
    HTTPError = openai.APIError


def test_a_link_is_a_picture(client):
    answer = client.images.generate(
        model="nova-canvas", prompt="otter", n=2, size="512x768", response_format="url"
    )
    assert [image.b64_json for image in answer.data] == [None, None]
    images = []
    for entry in answer.data:
        # Some clients take the file's name and its extension from the link.
        assert entry.url.startswith("http://127.0.0.1:") and entry.url.endswith(".png")
        image, headers = fetched(entry.url)
        assert image.size == (512, 768)
        assert headers["content-type"] == "image/png"
        assert headers["x-content-type-options"] == "nosniff"
        images.append(image.tobytes())
    assert images[0] != images[1]


@pytest.mark.parametrize(
    ("model", "wish", "linked"),
    [
        ("dall-e-3", {}, True),
        ("dall-e-2", {}, True),
        ("dall-e-3", {"response_format": "b64_json"}, False),
        ("gpt-image-1", {}, False),
        ("gpt-image-1", {"response_format": "url"}, True),
    ],
)
def test_who_says_nothing_gets_what_the_models_name_promises(client, model, wish, linked):
    (entry,) = client.images.generate(model=model, prompt="otter", **wish).data
    image = fetched(entry.url)[0] if linked else decoded(entry)
    assert image.size == (1024, 1024)
    assert (entry.b64_json if linked else entry.url) is None


def test_a_link_serves_ranges_and_heads(client):
    url = client.images.generate(model="dall-e-3", prompt="otter").data[0].url
    head = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(head, timeout=PATIENCE) as answer:
        length = int(answer.headers["content-length"])
        assert answer.read() == b""
    part = urllib.request.Request(url, headers={"Range": "bytes=1-3"})
    with urllib.request.urlopen(part, timeout=PATIENCE) as answer:
        assert (answer.status, answer.read()) == (206, b"PNG")
        assert answer.headers["content-range"] == f"bytes 1-3/{length}"


def test_a_link_that_was_tampered_with_leads_nowhere(client):
    url = client.images.generate(model="dall-e-3", prompt="otter").data[0].url
    start, _, name = url.rpartition("/")
    other = name.replace(name[0], "0" if name[0] != "0" else "1", 1)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{start}/{other}", timeout=PATIENCE)
    assert error.value.code == 404
    error.value.close()


@pytest.mark.parametrize("model", ["nova-canvas", "gpt-image-1"])
@pytest.mark.parametrize("wish", [{}, {"n": 3}, {"partial_images": 2, "n": 2}])
def test_events_bring_each_picture_whole(client, model, wish):
    began = time.time()
    events = list(client.images.generate(model=model, prompt="otter", stream=True, **wish))
    assert len(events) == wish.get("n", 1)
    for event in events:
        assert event.type == "image_generation.completed"
        check_completed(event, picture(event.b64_json).size, began)
    assert len({event.b64_json for event in events}) == len(events)


def check_completed(event, size, began):
    """All that OpenAI promises is there: its strict clients read no event without."""
    assert event.size == f"{size[0]}x{size[1]}"
    assert int(began) <= event.created_at <= time.time() + 1
    assert isinstance(event.created_at, int)
    assert event.quality in ("low", "medium", "high", "auto")
    assert event.background in ("transparent", "opaque", "auto")
    assert event.output_format == "png"
    usage = event.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (0, 0, 0)
    assert (usage.input_tokens_details.text_tokens, usage.input_tokens_details.image_tokens) == (0, 0)


def test_events_of_an_edit(client):
    began = time.time()
    events = client.images.edit(
        model="nova-canvas", prompt="otter", image=encoded(card()), mask=transparent_mask(), stream=True
    )
    (event,) = list(events)
    assert event.type == "image_edit.completed"
    check_completed(event, (640, 480), began)
    assert picture(event.b64_json).size == (640, 480)


def test_a_stream_can_be_left(client):
    with client.images.generate(model="nova-canvas", prompt="otter", n=3, stream=True) as stream:
        event = next(iter(stream))
    assert picture(event.b64_json).size == (1024, 1024)
    # The client goes on as if nothing had been.
    assert len(client.images.generate(model="nova-canvas", prompt="otter").data) == 1


def test_events_with_the_async_client(easel):
    async def paint():
        async with openai.AsyncOpenAI(base_url=f"{easel.url}/v1", api_key=KEY, max_retries=0) as client:
            stream = await client.images.generate(model="nova-canvas", prompt="otter", n=2, stream=True)
            return [event.b64_json async for event in stream]

    assert [picture(b64).size for b64 in asyncio.run(paint())] == [(1024, 1024)] * 2


@pytest.mark.parametrize(
    ("wish", "error", "code"),
    [
        ({"prompt": "otter emulate:filter-input"}, openai.BadRequestError, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-all"}, openai.BadRequestError, "content_policy_violation"),
        ({"size": "1024*768"}, openai.BadRequestError, "invalid_value"),
        ({"model": "dall-e-9"}, openai.NotFoundError, "model_not_found"),
        ({"prompt": "otter emulate:throttle"}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"prompt": "otter emulate:access-denied"}, openai.InternalServerError, "upstream_auth"),
    ],
)
def test_what_fails_before_the_first_picture_is_an_ordinary_error(client, wish, error, code):
    with pytest.raises(error) as raised:
        client.images.generate(**({"model": "nova-canvas", "prompt": "otter", "stream": True} | wish))
    assert raised.value.code == code


@pytest.mark.parametrize("fault", ["reset-mid-body", "truncated-json", "short-length", "stall"])
def test_a_stream_that_breaks_in_mid_picture_raises(client, fault):
    with pytest.raises((openai.APIError, HTTPError)):
        for event in client.images.generate(
            model="nova-canvas", prompt=f"otter emulate:{fault}", stream=True, extra_body={"timeout": 3}
        ):
            assert picture(event.b64_json) is None, "half a picture looked whole"


def test_what_fails_late_is_an_error_in_the_stream(emulator, tmp_path):
    hasty = tmp_path / "hasty.yaml"
    hasty.write_text(CONFIG.read_text() + "  events: {status_after: 0.05, keep_alive: 0.05}\n")
    with Easel(emulator.url, hasty) as easel:
        client = openai.OpenAI(base_url=f"{easel.url}/v1", api_key=KEY, max_retries=0)
        wish = {"model": "nova-canvas", "stream": True}
        stream = client.images.generate(prompt="otter emulate:slow=30", extra_body={"timeout": 0.5}, **wish)
        assert stream.response.status_code == 200
        with pytest.raises(openai.APIError) as error:
            list(stream)
        assert error.value.code == "upstream_timeout"
        # Comments come while nothing else does, and no SDK takes them for events.
        (event,) = client.images.generate(prompt="otter emulate:slow=0.3", **wish)
        assert picture(event.b64_json).size == (1024, 1024)


@pytest.mark.parametrize("fault", ["reset-mid-body", "truncated-json", "stall"])
def test_a_link_to_a_picture_that_broke_is_never_given(client, fault):
    with pytest.raises(openai.APIError):
        client.images.generate(
            model="nova-canvas", prompt=f"otter emulate:{fault}", response_format="url", extra_body={"timeout": 3}
        )


@pytest.mark.parametrize("model", ["nova-canvas", "stable-image-core", "sd3-5-large"])
@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_every_format_on_every_model(client, model, form):
    answer = client.images.generate(model=model, prompt="otter", output_format=form)
    image = decoded(answer.data[0])
    assert (image.format, image.size) == (form.upper(), (1024, 1024))
    assert answer.output_format == form


def test_compression_makes_pictures_small(client):
    def weight(compression):
        wish = {"output_format": "webp", "output_compression": compression, "extra_body": {"seed": 5}}
        (entry,) = client.images.generate(model="nova-canvas", prompt="otter", **wish).data
        assert decoded(entry).format == "WEBP"
        return len(entry.b64_json)

    assert weight(10) < weight(90)


def test_a_link_has_the_extension_of_its_format(client):
    answer = client.images.generate(model="dall-e-3", prompt="otter", output_format="jpeg")
    assert answer.data[0].url.endswith((".jpg", ".jpeg"))
    image, headers = fetched(answer.data[0].url)
    assert (image.format, headers["content-type"]) == ("JPEG", "image/jpeg")
