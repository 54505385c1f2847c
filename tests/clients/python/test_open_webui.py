"""Open WebUI as the compose file sets it up: sign-up, pictures, edits, chats with a model that paints, errors in words.

In an environment of its own, by ../open-webui.sh. Its page is driven in Chromium.
"""

import base64
import importlib.metadata
import io
import os
import pathlib
import shutil

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from easel import ROOT, Easel, Emulator
from open_webui_program import PATIENCE, OpenWebUI, version

CALLS = "easel_bedrock_calls_total"


@pytest.fixture(scope="module")
def easel():
    with Emulator() as emulator, Easel(emulator.url, ROOT / "litellm-config.yaml") as easel:
        yield easel


@pytest.fixture(scope="module")
def open_webui(easel):
    with OpenWebUI(easel) as open_webui:
        open_webui.token = open_webui.sign_up()
        yield open_webui


@pytest.fixture(scope="module")
def page(open_webui):
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root, which is what a container's tests are.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{open_webui.url}/auth")
        page.evaluate("token => { localStorage.token = token }", open_webui.token)
        yield page
        browser.close()


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def images(open_webui, path, form):
    answer = open_webui.http.post(f"/api/v1/images/{path}", json=form)
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()
    return image["url"]


def test_the_version_is_the_one_of_the_compose_file():
    assert importlib.metadata.version("open-webui") == version()


def test_every_alias_is_in_the_model_picker(open_webui, easel):
    shown = {model["id"] for model in open_webui.http.get("/api/models").raise_for_status().json()["data"]}
    _, _, served = easel.ask("GET", "/v1/models")
    assert {model["id"] for model in served["data"]} <= shown
    assert open_webui.http.get("/api/config").json()["default_models"] == "nova-canvas"


def test_pictures_are_painted_and_edited(open_webui):
    painted = images(open_webui, "generations", {"prompt": "a red fox in deep snow"})
    original = opened(open_webui.file(painted))
    assert original.size == (1024, 1024)
    edited = images(open_webui, "edit", {"prompt": "make it blue", "image": painted})
    assert opened(open_webui.file(edited)).size == original.size
    assert open_webui.file(edited) != open_webui.file(painted)


def test_uploads_are_edited(open_webui):
    upload = io.BytesIO()
    Image.new("RGB", (640, 512), "orange").save(upload, "PNG")
    url = "data:image/png;base64," + base64.b64encode(upload.getvalue()).decode()
    edited = images(open_webui, "edit", {"prompt": "make it blue", "image": [url]})
    width, height = opened(open_webui.file(edited)).size
    assert width > height


def test_errors_reach_the_user_in_words(open_webui):
    for form, words in [
        ({"prompt": "emulate:filter-all"}, "rejected by the model's safety system"),
        ({"prompt": "a fox", "size": "5x5"}, "5x5"),
    ]:
        answer = open_webui.http.post("/api/v1/images/generations", json=form)
        assert answer.status_code == 400 and words in answer.json()["detail"], answer.text


def photograph(page, path):
    """The chat, with both of its pictures in sight."""
    before = page.viewport_size
    page.set_viewport_size({"width": 1000, "height": 2500})
    # Until it has been laid out anew.
    page.wait_for_timeout(1500)
    image = opened(page.screenshot()).convert("RGB")
    image.resize((600, 1500)).save(path, quality=60, method=6)
    page.set_viewport_size(before)


def test_a_chat_paints_edits_and_says_what_is_wrong(open_webui, page):
    page.goto(open_webui.url)
    # What is new, at the first sign-in.
    page.get_by_role("dialog").get_by_role("button").last.click()

    def say(text):
        page.locator("#chat-input").click()
        page.keyboard.type(text)
        page.keyboard.press("Enter")

    say("a red fox in deep snow")
    page.wait_for_url("**/c/*")
    chat = page.url.rsplit("/", 1)[1]
    (painted,) = open_webui.answers(chat, 1)
    say("make it blue")
    _, edited = open_webui.answers(chat, 2)
    # The picture of the turn before comes back by what its answer notes, which the page does not show.
    originals = [open_webui.file(answer["files"][0]["url"]) for answer in (painted, edited)]
    assert originals[0] != originals[1]
    assert [opened(original).size for original in originals] == [(1024, 1024)] * 2
    page.get_by_text("Painted by nova-canvas.").nth(1).wait_for()
    assert page.get_by_text("[picture").count() == 0 and page.get_by_text("/files/").count() == 0
    if folder := os.environ.get("SCREENSHOTS"):
        photograph(page, pathlib.Path(folder) / "open-webui.webp")
    say("emulate:filter-all")
    *_, refused = open_webui.answers(chat, 3)
    assert "rejected by the model's safety system" in str(refused["error"])
    page.locator("#messages-container").get_by_text("rejected by the model's safety system").wait_for()


def test_only_what_the_user_asks_for_is_painted(open_webui, easel):
    before = easel.count(CALLS)
    task = {"model": "nova-canvas", "messages": [{"role": "user", "content": "a fox"}], "chat_id": "local:1"}
    for chore in ("title", "tags", "follow_up", "queries", "emoji"):
        form = task | {"prompt": "a fox", "type": "web_search"}
        answer = open_webui.http.post(f"/api/v1/tasks/{chore}/completions", json=form)
        assert answer.status_code == 200, (chore, answer.text)
    assert easel.count(CALLS) == before
