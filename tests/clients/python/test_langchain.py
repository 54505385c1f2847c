"""LangChain's and LlamaIndex's tools, which read links. They are installed apart: what they need is large."""

import openai
import pytest
from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper
from llama_index.tools.openai import OpenAIImageGenerationToolSpec
from PIL import Image

from easel import KEY
from pictures import fetched


def wrapper(easel, **settings):
    return DallEAPIWrapper(api_key=KEY, base_url=f"{easel.url}/v1", max_retries=0, **settings)


# It never says in which form it wants its pictures, and reads links.
@pytest.mark.parametrize(
    ("settings", "size"),
    [({}, (1024, 1024)), ({"model": "dall-e-3", "size": "1792x1024", "quality": "hd"}, (1792, 1024))],
)
def test_langchain_gets_a_link(easel, settings, size):
    url = wrapper(easel, **settings).run("an otter")
    image, headers = fetched(url)
    assert image.size == size
    assert headers["content-type"] == "image/png"


def test_langchain_gets_several_links(easel):
    urls = wrapper(easel, n=3, size="512x512").run("otters").split("\n")
    assert len({fetched(url)[0].tobytes() for url in urls}) == 3


@pytest.mark.parametrize(
    ("settings", "prompt", "error"),
    [
        ({}, "otter emulate:filter-input", openai.BadRequestError),
        ({"model": "dall-e-9"}, "otter", openai.NotFoundError),
        ({}, "otter emulate:throttle", openai.RateLimitError),
    ],
)
def test_langchain_shows_errors(easel, settings, prompt, error):
    with pytest.raises(error):
        wrapper(easel, **settings).run(prompt)


@pytest.fixture
def tool(easel, tmp_path, monkeypatch):
    # The tool has no setting for the address; the SDK below it reads this.
    monkeypatch.setenv("OPENAI_BASE_URL", f"{easel.url}/v1")
    return OpenAIImageGenerationToolSpec(api_key=KEY, cache_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("model", "size", "wanted"),
    [("dall-e-3", "1024x1792", (1024, 1792)), ("dall-e-2", "512x512", (512, 512)), ("dall-e-2", "256x256", None)],
)
def test_llama_index_gets_a_link(tool, model, size, wanted):
    image, _ = fetched(tool.image_generation("an otter", model=model, size=size))
    # No model here paints as small as 256x256.
    assert image.size == wanted or (wanted is None and image.width == image.height)


def test_llama_index_saves_a_picture(tool):
    (path,) = tool.image_generation("an otter", download=True)
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (1024, 1024))


def test_llama_index_shows_errors(tool):
    with pytest.raises(openai.BadRequestError) as error:
        tool.image_generation("an otter emulate:filter-all")
    assert error.value.code == "content_policy_violation"
