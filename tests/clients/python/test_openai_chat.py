"""The OpenAI SDK for Python in a chat with a model that paints, as chat UIs use it."""

import base64
import json
import re

import openai
import pytest

from easel import picture
from pictures import card, check_left_half_changed, encoded, fetched, left_half, mean, plain

TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: an otter in the snow
</chat_history>"""


def user(text, *images):
    """A user's message, with pictures as data URLs."""
    parts = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts] if parts else text}


def data_url(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def pictured(images):
    """The pictures of a message or a delta. The SDK knows no member `images`, but keeps it."""
    assert [image["type"] for image in images] == ["image_url"] * len(images)
    return [picture(image["image_url"]["url"].removeprefix("data:image/png;base64,")) for image in images]


def linked(text):
    """The picture that a text in Markdown shows."""
    return fetched(re.search(r"!\[.*?\]\((http://127\.0\.0\.1:\d+/files/\S+\.png)\)", text)[1])[0]


@pytest.mark.parametrize("model", ["nova-canvas", "gpt-image-1"])
def test_a_chat_paints(client, model):
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": "You are a helpful assistant."}, user("an otter")],
        temperature=0.7,
        max_tokens=100,
        tools=[{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}],
    )
    (choice,) = answer.choices
    assert (answer.object, answer.model, choice.finish_reason) == ("chat.completion", model, "stop")
    (image,) = pictured(choice.message.images)
    assert image.size == (1024, 1024)
    assert linked(choice.message.content).tobytes() == image.tobytes()
    assert answer.usage.total_tokens == 0


def test_a_chat_streams_its_picture(client):
    stream = client.chat.completions.create(
        model="nova-canvas", messages=[user("an otter")], stream=True, stream_options={"include_usage": True}
    )
    images, text, reasons, usage = [], "", [], None
    for chunk in stream:
        assert (chunk.object, chunk.model) == ("chat.completion.chunk", "nova-canvas")
        usage = chunk.usage or usage
        for choice in chunk.choices:
            images += pictured(getattr(choice.delta, "images", None) or [])
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert [image.size for image in images] == [(1024, 1024)]
    assert text and reasons == ["stop"]
    assert usage.total_tokens == 0


def test_several_pictures_of_a_size(client):
    answer = client.chat.completions.create(
        model="nova-canvas", messages=[user("otters")], n=2, extra_body={"size": "512x768"}
    )
    images = pictured(answer.choices[0].message.images)
    assert [image.size for image in images] == [(512, 768)] * 2


def test_a_picture_in_a_message_is_edited(client):
    # A transparent picture is a mask of its own, so it shows whether it arrived.
    sent = card()
    sent.putalpha(left_half(640, 480).point(lambda value: 255 - value))
    answer = client.chat.completions.create(model="inpaint", messages=[user("a red house", encoded(sent))])
    (image,) = pictured(answer.choices[0].message.images)
    check_left_half_changed(card(), image)


def test_the_chat_goes_on_with_what_it_painted(client):
    """The picture comes back as chat UIs send it: as a link in the text of the turn before."""
    messages = [user("paint it over", encoded(plain("red")))]
    seen = []
    for _ in range(2):
        answer = client.chat.completions.create(model="sd3-5-large", messages=messages, extra_body={"seed": 7})
        message = answer.choices[0].message
        seen.append(linked(message.content))
        messages += [{"role": "assistant", "content": message.content}, user("paint it over")]
    red, again = (mean(image) for image in seen)
    unlike = client.chat.completions.create(
        model="sd3-5-large", messages=[user("paint it over", encoded(plain("blue")))], extra_body={"seed": 7}
    )
    blue = mean(linked(unlike.choices[0].message.content))
    assert red[0] > blue[0] + 20 and again[0] > blue[0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_title_is_not_painted(client, easel, stream):
    calls = easel.count("easel_bedrock_calls_total")
    answer = client.chat.completions.create(model="nova-canvas", messages=[user(TITLE)], stream=stream)
    if stream:
        text = "".join(choice.delta.content or "" for chunk in answer for choice in chunk.choices)
    else:
        text = answer.choices[0].message.content
    assert json.loads(text)["title"]
    assert easel.count("easel_bedrock_calls_total") == calls


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "prompt", "error", "code"),
    [
        ("nova-canvas", "otter emulate:filter-input", openai.BadRequestError, "content_policy_violation"),
        ("dall-e-9", "otter", openai.NotFoundError, "model_not_found"),
        ("nova-canvas", "otter emulate:throttle", openai.RateLimitError, "rate_limit_exceeded"),
    ],
)
def test_errors_have_their_types(client, model, prompt, error, code, stream):
    with pytest.raises(error) as raised:
        client.chat.completions.create(model=model, messages=[user(prompt)], stream=stream)
    assert raised.value.code == code
