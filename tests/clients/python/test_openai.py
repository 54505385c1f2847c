"""The OpenAI SDK for Python as its users use it: pictures from text, and errors. The suites named test_openai run
with the current release and with one of the 1.x line."""

import asyncio

import openai
import pytest

from easel import KEY, PATIENCE, picture


def size(image):
    return picture(image.b64_json).size


def test_a_prompt_alone_is_enough(client):
    answer = client.images.generate(prompt="A cute baby sea otter")
    assert [size(image) for image in answer.data] == [(1024, 1024)]
    assert answer.data[0].url is None
    assert isinstance(answer.created, int)
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (0, 0, 0)
    assert answer.usage.input_tokens_details.text_tokens == 0
    assert answer.usage.input_tokens_details.image_tokens == 0


@pytest.mark.parametrize("model", ["nova-canvas", "stable-image-core"])
def test_several_pictures_come_and_differ(client, model):
    answer = client.images.generate(model=model, prompt="otters", n=3)
    pictures = [picture(image.b64_json) for image in answer.data]
    assert len(pictures) == 3
    assert len({image.tobytes() for image in pictures}) == 3


def test_every_parameter_of_a_nova_user(client):
    raw = client.images.with_raw_response.generate(
        prompt="otter",
        model="amazon.nova-canvas-v1:0",
        n=2,
        quality="hd",
        response_format="b64_json",
        size="512x768",
        style="vivid",
        user="u1",
        extra_body={"negative_prompt": "x", "seed": 42},
    )
    answer = raw.parse()
    assert [size(image) for image in answer.data] == [(512, 768)] * 2
    assert raw.headers["x-request-id"]
    assert raw.headers["x-litellm-call-id"]
    assert raw.headers["x-easel-model"] == "amazon.nova-canvas-v1:0"
    assert raw.headers["x-easel-seed"].split(",")[0] == "42"
    assert float(raw.headers["x-litellm-response-cost"]) > 0
    assert "premium" in raw.headers["x-easel-mapped"]


def test_the_same_seed_paints_the_same_picture(client):
    def paint(seed):
        answer = client.images.generate(model="nova-canvas", prompt="otter", size="512x512", extra_body={"seed": seed})
        return answer.data[0].b64_json

    assert paint(7) == paint(7)
    assert paint(7) != paint(8)


def test_nulls_are_absent(client):
    answer = client.images.generate(prompt="otter", model="gpt-image-1", n=None, quality=None, size=None)
    assert len(answer.data) == 1
    assert answer.output_format == "png"


@pytest.mark.parametrize("asked", ["256x256", "512x512", "1024x1024", "1792x1024", "1024x1536", "auto"])
def test_every_size_that_clients_send_works(client, asked):
    raw = client.images.with_raw_response.generate(prompt="otter", model="nova-canvas", size=asked)
    answer = raw.parse()
    width, height = size(answer.data[0])
    # openai 1.x does not know every size that OpenAI reports, but keeps what it is told.
    assert answer.size == f"{width}x{height}"
    if asked not in ("256x256", "auto"):
        assert answer.size == asked
    assert ("size=256x256" in raw.headers.get("x-easel-mapped", "")) == (asked == "256x256")


def test_some_pictures_filtered_is_said(client):
    answer = client.images.generate(prompt="otter emulate:filter-some", model="nova-canvas", n=3)
    assert len(answer.data) == 2
    assert all(size(image) == (1024, 1024) for image in answer.data)
    assert answer.easel["warnings"]


def test_models_are_listed_and_found(client):
    ids = [model.id for model in client.models.list()]
    assert ids[:3] == ["nova-canvas", "amazon.nova-canvas-v1:0", "dall-e-3"]
    assert len(set(ids)) == len(ids)
    model = client.models.retrieve("amazon.nova-canvas-v1:0")
    assert (model.id, model.object) == ("amazon.nova-canvas-v1:0", "model")
    with pytest.raises(openai.NotFoundError) as error:
        client.models.retrieve("nothing")
    assert error.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("wish", "param", "code"),
    [
        ({"size": "1024*768"}, "size", "invalid_value"),
        ({"n": 11}, "n", "invalid_value"),
        ({"response_format": "png"}, "response_format", "invalid_value"),
        ({"stream": True, "partial_images": 4}, "partial_images", "invalid_value"),
        ({"output_format": "bmp"}, "output_format", "invalid_value"),
        ({"background": "transparent"}, "background", "invalid_value"),
        ({"prompt": ""}, "prompt", "missing_required_parameter"),
        ({"prompt": "otter emulate:filter-input"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-all"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-all", "model": "stable-image-core"}, None, "content_policy_violation"),
    ],
)
def test_what_the_caller_did_wrong_names_the_parameter(client, wish, param, code):
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(**({"model": "nova-canvas", "prompt": "otter"} | wish))
    assert (error.value.param, error.value.code) == (param, code)
    assert error.value.type == "invalid_request_error"
    assert error.value.request_id


def test_a_wrong_key(easel):
    stranger = openai.OpenAI(base_url=f"{easel.url}/v1", api_key="sk-not-the-key", max_retries=0)
    for call in (lambda: stranger.images.generate(prompt="otter"), stranger.models.list):
        with pytest.raises(openai.AuthenticationError) as error:
            call()
        assert error.value.code == "invalid_api_key"


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.images.generate(model="dall-e-9", prompt="otter")
    assert (error.value.param, error.value.code) == ("model", "model_not_found")


def test_a_retired_model(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.images.generate(model="dall-e-3", prompt="otter emulate:end-of-life")
    assert error.value.code == "model_not_found"
    assert "retired" in str(error.value)


def test_throttling_says_when_to_come_back(client):
    with pytest.raises(openai.RateLimitError) as error:
        client.images.generate(model="nova-canvas", prompt="otter emulate:throttle-retry-after=7")
    assert error.value.code == "rate_limit_exceeded"
    assert error.value.response.headers["retry-after"] == "7"
    assert error.value.response.headers["retry-after-ms"] == "7000"


# Failures that the operator has to mend, or that may have been paid for. The SDK tries a 5xx again by itself, which
# would pay twice or say the same: one request has to reach Easel, and one call Bedrock.
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("access-denied", 500, "upstream_auth"),
        ("bearer-expired", 500, "upstream_auth"),
        ("call-with-bearer", 500, "upstream_auth"),
        ("reset-before-head", 502, "upstream_error"),
        ("empty", 502, "upstream_error"),
        ("not-json", 502, "upstream_error"),
    ],
)
def test_what_would_not_help_is_not_tried_again(easel, fault, status, code):
    calls, requests = easel.count("easel_bedrock_calls_total"), easel.count("easel_requests_total", status=status)
    client = openai.OpenAI(base_url=f"{easel.url}/v1", api_key=KEY, timeout=PATIENCE)
    assert client.max_retries == 2
    with pytest.raises(openai.APIStatusError) as error:
        client.images.generate(model="nova-canvas", prompt=f"otter emulate:{fault}")
    assert (error.value.status_code, error.value.code) == (status, code)
    assert error.value.response.headers["x-should-retry"] == "false"
    assert easel.count("easel_bedrock_calls_total") - calls == 1
    assert easel.count("easel_requests_total", status=status) - requests == 1


@pytest.mark.parametrize("model", ["nova-canvas", "stable-image-core"])
@pytest.mark.parametrize("fault", ["reset-mid-body", "truncated-json", "short-length", "long-length", "stall"])
def test_a_reply_that_breaks_in_mid_picture_is_never_a_picture(client, easel, fault, model):
    broken = easel.count("easel_replies_broken_total")
    with pytest.raises(openai.APIError):
        client.images.generate(model=model, prompt=f"otter emulate:{fault}", extra_body={"timeout": 3})
    assert easel.count("easel_replies_broken_total") - broken == 1


def test_no_answer_in_time(client):
    with pytest.raises(openai.APIStatusError) as error:
        client.images.generate(model="nova-canvas", prompt="otter emulate:slow=30", extra_body={"timeout": 0.5})
    assert (error.value.status_code, error.value.code) == (504, "upstream_timeout")
    assert error.value.response.headers["x-should-retry"] == "false"


def test_many_at_once_with_the_async_client(easel):
    async def paint():
        async with openai.AsyncOpenAI(base_url=f"{easel.url}/v1", api_key=KEY, max_retries=0) as client:
            calls = [client.images.generate(prompt=f"otter {k}", size="512x512") for k in range(4)]
            answers = await asyncio.gather(*calls)
            with pytest.raises(openai.BadRequestError):
                await client.images.generate(prompt="otter", size="nonsense")
            return answers

    answers = asyncio.run(paint())
    assert [size(answer.data[0]) for answer in answers] == [(512, 512)] * 4
    assert len({answer.data[0].b64_json for answer in answers}) == 4
