"""The OpenAI SDK for Python where pictures are sent in: edits and variations. What comes back is compared with what
was sent, pixel by pixel."""

import base64
import io

import openai
import pytest
from PIL import Image

from easel import picture
from pictures import (
    MASKS,
    card,
    changed,
    check_left_half_changed,
    check_middle_changed,
    decoded,
    encoded,
    fetched,
    left_half,
    mean,
    plain,
    transparent_mask,
    white_mask,
)

# Variations are gone from OpenAI, and its SDK says so.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

# Both polarities upstream: Nova Canvas edits where a mask is black, Stability where it is white. gpt-image-1 goes on
# to a fallback, for what paints its pictures cannot edit. Titan reads masks as Nova does.
PAINTERS = ["nova-canvas", "inpaint", "gpt-image-1"]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("model", [*PAINTERS, "titan"])
def test_only_what_the_mask_shows_changes(client, model, mask):
    # Titan paints in few sizes.
    before = card(512, 512) if model == "titan" else card()
    answer = client.images.edit(
        model=model, prompt="a red house", image=encoded(before), mask=MASKS[mask](*before.size)
    )
    (entry,) = answer.data
    check_left_half_changed(before, decoded(entry))


@pytest.mark.parametrize("model", PAINTERS)
def test_several_edits_of_one_picture(client, model):
    before = card()
    answer = client.images.edit(
        model=model, prompt="a red house", image=encoded(before), mask=transparent_mask(), n=3
    )
    images = [decoded(entry) for entry in answer.data]
    assert len({image.tobytes() for image in images}) == 3
    for image in images:
        check_left_half_changed(before, image)


# The ways in which the SDK takes a file that is on disk.
WAYS = {
    "path": lambda path: path,
    "open file": lambda path: path.open("rb"),
    "bytes": lambda path: path.read_bytes(),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "named": lambda path: ("card.png", path.read_bytes()),
    "named and typed": lambda path: ("card.png", path.open("rb"), "image/png"),
    "wrongly typed": lambda path: ("card", path.read_bytes(), "text/plain"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", ["nova-canvas", "inpaint"])
def test_a_file_arrives_however_it_is_given(client, tmp_path, model, way):
    (tmp_path / "card.png").write_bytes(encoded(card()))
    (tmp_path / "mask.png").write_bytes(transparent_mask())
    image, mask = (WAYS[way](tmp_path / name) for name in ("card.png", "mask.png"))
    answer = client.images.edit(model=model, prompt="a red house", image=image, mask=mask)
    check_left_half_changed(card(), decoded(answer.data[0]))


def test_a_list_of_one_picture(client):
    answer = client.images.edit(
        model="inpaint", prompt="a red house", image=[encoded(card())], mask=transparent_mask()
    )
    check_left_half_changed(card(), decoded(answer.data[0]))


def rotated():
    """A camera held upright: the file lies on its side and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(card(480, 640).rotate(90, expand=True), "JPEG", exif=exif, quality=98, subsampling=0)


# Name, file, and the picture as a person sees it.
FILES = {
    "WebP": (encoded(card(), "WEBP", lossless=True), card()),
    "palette": (encoded(card().quantize(64)), card().quantize(64)),
    "grey": (encoded(card().convert("L")), card().convert("L")),
    "16 bits": (encoded(Image.new("I;16", (640, 480), 0x8080)), plain((128, 128, 128))),
    "opaque alpha": (encoded(card().convert("RGBA")), card()),
    "interlaced": (encoded(card(), interlace=True), card()),
}
LOSSY = {
    "JPEG": (encoded(card(), "JPEG", quality=98, subsampling=0), (640, 480)),
    "CMYK": (encoded(card().convert("CMYK"), "JPEG", quality=98), (640, 480)),
    "turned JPEG": (rotated(), (480, 640)),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("model", ["nova-canvas", "inpaint"])
def test_every_kind_of_file_is_edited(client, model, file):
    content, before = FILES[file]
    answer = client.images.edit(model=model, prompt="a red house", image=content, mask=transparent_mask())
    check_left_half_changed(before.convert("RGB"), decoded(answer.data[0]))


@pytest.mark.parametrize("file", LOSSY)
@pytest.mark.parametrize("model", ["nova-canvas", "inpaint"])
def test_every_kind_of_photograph_is_edited(client, model, file):
    content, size = LOSSY[file]
    answer = client.images.edit(model=model, prompt="a red house", image=content, mask=transparent_mask(*size))
    after = decoded(answer.data[0])
    assert after.size == size
    # Decoders differ by a little, and a picture that lay on its side would differ by a lot.
    for x, y in [(size[0] - 20, 20), (size[0] - 20, size[1] - 20), (size[0] * 3 // 4, size[1] // 2)]:
        near = zip(after.convert("RGB").getpixel((x, y)), card(*size).getpixel((x, y)), strict=True)
        assert all(abs(got - wanted) < 16 for got, wanted in near), (x, y)


@pytest.mark.parametrize("model", ["nova-canvas", "inpaint"])
def test_a_transparent_picture_is_its_own_mask(client, model):
    before = card()
    before.putalpha(left_half(640, 480).point(lambda value: 255 - value))
    answer = client.images.edit(model=model, prompt="a red house", image=encoded(before))
    check_left_half_changed(card(), decoded(answer.data[0]))


def edited(client, model, images, **wish):
    """One edit without a mask. With the same seed, pictures differ only by what they were made of."""
    answer = client.images.edit(model=model, prompt="an otter", image=images, extra_body={"seed": 7}, **wish)
    return decoded(answer.data[0])


@pytest.mark.parametrize("model", ["nova-canvas", "sd3-5-large", "gpt-image-1", "titan"])
def test_without_a_mask_the_picture_shows_in_what_is_painted(client, model):
    red, blue = (mean(edited(client, model, encoded(plain(colour)))) for colour in ("red", "blue"))
    assert red[0] > blue[0] + 20 and red[2] < blue[2] - 20


def test_all_of_several_pictures_count(client):
    first, second, third = (encoded(plain(colour)) for colour in ("red", "blue", "green"))
    one, two, three = (
        edited(client, "nova-canvas", images, size="512x512")
        for images in ([first], [first, second], [first, second, third])
    )
    assert one.size == two.size == three.size == (512, 512)
    assert changed(one, two) and changed(two, three)


@pytest.mark.parametrize("model", ["nova-canvas", "remove-background"])
def test_a_background_is_taken_away(client, model):
    before = card()
    answer = client.images.edit(model=model, prompt="the card", image=encoded(before), background="transparent")
    after = decoded(answer.data[0])
    assert (after.mode, after.size) == ("RGBA", (640, 480))
    assert after.getpixel((0, 0))[3] == 0 and after.getpixel((320, 240))[3] == 255
    middle = (280, 200, 360, 280)
    assert changed(before.crop(middle), after.crop(middle)) == 0


@pytest.mark.parametrize(
    ("model", "wish", "box"),
    [
        ("outpaint", {"extra_body": {"left": 128, "down": 64}}, (128, 0, 768, 480)),
        ("outpaint", {"extra_body": {"up": 32, "right": 32}}, (0, 32, 640, 512)),
        ("outpaint", {"size": "1024x512"}, (192, 16, 832, 496)),
        ("nova-canvas", {"extra_body": {"left": 128, "task": "outpaint"}}, (128, 0, 768, 480)),
    ],
)
def test_a_picture_grows(client, model, wish, box):
    before = card()
    after = decoded(client.images.edit(model=model, prompt="more", image=encoded(before), **wish).data[0])
    assert changed(before, after.crop(box)) == 0
    if "size" in wish:
        assert after.size == (1024, 512)
    else:
        native = wish["extra_body"]
        grown = (
            640 + native.get("left", 0) + native.get("right", 0),
            480 + native.get("up", 0) + native.get("down", 0),
        )
        assert after.size == grown


@pytest.mark.parametrize(
    ("model", "wish"),
    [
        ("search-replace", {"search_prompt": "the card"}),
        ("recolor", {"select_prompt": "the card"}),
        ("nova-canvas", {"mask_prompt": "the card"}),
        ("nova-canvas", {"maskPrompt": "the card", "task": "inpaint"}),
    ],
)
def test_a_text_says_what_changes(client, model, wish):
    before = card()
    answer = client.images.edit(model=model, prompt="a fox", image=encoded(before), extra_body=wish)
    check_middle_changed(before, decoded(answer.data[0]))


def test_what_a_mask_shows_is_erased(client):
    before = card()
    answer = client.images.edit(model="erase", prompt="", image=encoded(before), mask=white_mask())
    check_left_half_changed(before, decoded(answer.data[0]))


def test_a_picture_is_enlarged(client):
    before = card(320, 240)
    answer = client.images.edit(model="upscale", prompt="", image=encoded(before))
    after = decoded(answer.data[0])
    assert after.size == (1280, 960)
    small = after.convert("RGB").resize((320, 240), Image.Resampling.BOX)
    for x, y in [(20, 20), (300, 20), (160, 120), (20, 220)]:
        near = zip(small.getpixel((x, y)), before.getpixel((x, y)), strict=True)
        assert all(abs(got - wanted) < 24 for got, wanted in near), (x, y)


def test_one_picture_takes_the_style_of_another(client):
    pictures = [encoded(plain("red")), encoded(plain("blue"))]
    first = edited(client, "style-transfer", pictures)
    assert changed(first, edited(client, "style-transfer", [pictures[0], encoded(plain("green"))])) > 0


@pytest.mark.parametrize("model", ["nova-canvas", "titan", "sd3-5-large"])
def test_variations(client, model):
    answer = client.images.create_variation(
        model=model, image=encoded(card(512, 512)), n=2, size="1024x1024", response_format="b64_json", user="u"
    )
    images = [decoded(entry) for entry in answer.data]
    assert [image.size for image in images] == [(1024, 1024)] * 2
    assert images[0].tobytes() != images[1].tobytes()


def test_a_variation_for_dall_e_2_is_a_link(client):
    answer = client.images.create_variation(model="dall-e-2", image=io.BytesIO(encoded(card(512, 512))))
    assert fetched(answer.data[0].url)[0].size == (1024, 1024)


def test_an_edit_as_a_link(client):
    answer = client.images.edit(model="dall-e-2", prompt="otter", image=encoded(card()), mask=transparent_mask())
    check_left_half_changed(card(), fetched(answer.data[0].url)[0])


def test_a_link_of_ours_can_be_edited(client, easel):
    """The JSON form, which no SDK speaks yet."""
    (entry,) = client.images.generate(model="dall-e-3", prompt="otter", size="1024x1024").data
    before, _ = fetched(entry.url)
    mask = "data:image/png;base64," + base64.b64encode(transparent_mask(1024, 1024)).decode()
    body = {"model": "inpaint", "prompt": "a red house"}
    pictures = {"images": [{"image_url": entry.url}], "mask": {"image_url": mask}}
    status, _, answer = easel.ask("POST", "/v1/images/edits", body | pictures)
    assert status == 200, answer
    check_left_half_changed(before.convert("RGB"), picture(answer["data"][0]["b64_json"]))


@pytest.mark.parametrize(
    ("wish", "param", "code"),
    [
        ({"image": b"no picture"}, "image", "invalid_image_file"),
        ({"image": encoded(card())[:4000]}, "image", "invalid_image_file"),
        ({"image": encoded(card(), "GIF")}, "image", "invalid_image_file"),
        ({"mask": b"no picture"}, "mask", "invalid_image_file"),
        ({"image": [encoded(card(64, 64))] * 17}, "image", "invalid_value"),
        ({"n": 11}, "n", "invalid_value"),
        ({"size": "640*480"}, "size", "invalid_value"),
        ({"model": "stable-image-core"}, "image", None),
        # A mask is for one picture, and to leave the others out would be to paint something else.
        ({"image": [encoded(card())] * 2}, "image", None),
        ({"image": [encoded(card())] * 2, "model": "inpaint"}, "image", None),
        ({"prompt": "otter emulate:filter-input"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-image"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-image", "model": "inpaint"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-all"}, None, "content_policy_violation"),
        ({"prompt": "otter emulate:filter-all", "model": "inpaint"}, None, "content_policy_violation"),
    ],
)
def test_what_the_caller_did_wrong_names_the_parameter(client, wish, param, code):
    usual = {"model": "nova-canvas", "prompt": "otter", "image": encoded(card()), "mask": transparent_mask()}
    with pytest.raises(openai.BadRequestError) as error:
        client.images.edit(**(usual | wish))
    assert error.value.param == param
    assert error.value.code == code or code is None
    assert error.value.type == "invalid_request_error"
    assert error.value.request_id


@pytest.mark.parametrize(
    ("wish", "error", "code"),
    [
        ({"model": "dall-e-9"}, openai.NotFoundError, "model_not_found"),
        ({"prompt": "otter emulate:throttle"}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"prompt": "otter emulate:access-denied"}, openai.InternalServerError, "upstream_auth"),
    ],
)
def test_errors_have_their_types(client, wish, error, code):
    with pytest.raises(error) as raised:
        client.images.edit(**({"model": "nova-canvas", "prompt": "otter", "image": encoded(card())} | wish))
    assert raised.value.code == code


def test_a_wrong_key(easel):
    stranger = openai.OpenAI(base_url=f"{easel.url}/v1", api_key="sk-not-the-key", max_retries=0)
    for call in (stranger.images.edit, stranger.images.create_variation):
        prompt = {"prompt": "otter"} if call == stranger.images.edit else {}
        with pytest.raises(openai.AuthenticationError):
            call(image=encoded(card()), **prompt)


def test_a_photograph_too_large_for_the_model_is_made_smaller_and_that_is_said(client):
    noise = Image.effect_noise((3000, 2000), 80).convert("RGB")
    content = encoded(noise, compress_level=1)
    assert len(content) > 5_000_000
    raw = client.images.with_raw_response.edit(model="nova-canvas", prompt="otter", image=content, size="512x512")
    assert decoded(raw.parse().data[0]).size == (512, 512)
    assert "image=3000x2000->" in raw.headers["x-easel-mapped"]


@pytest.mark.parametrize("fault", ["reset-mid-body", "truncated-json", "stall"])
def test_an_edit_that_breaks_in_mid_picture_is_never_a_picture(client, fault):
    with pytest.raises(openai.APIError):
        client.images.edit(
            model="nova-canvas",
            prompt=f"otter emulate:{fault}",
            image=encoded(card()),
            mask=transparent_mask(),
            extra_body={"timeout": 3},
        )
