"""Pictures to send in, the masks that go with them, and what is to be seen in the answers. Knows no client."""

import io
import urllib.request

from PIL import Image, ImageChops

from easel import PATIENCE, picture


def card(width=640, height=480):
    """A picture in which a shift, a turn or another size would show: red goes right, green goes down."""
    red = Image.linear_gradient("L").rotate(90).resize((width, height))
    green = Image.linear_gradient("L").resize((width, height))
    blue = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (red, green, blue))


def plain(colour, width=640, height=480):
    return Image.new("RGB", (width, height), colour)


def encoded(image, form="PNG", **options):
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def left_half(width, height):
    """White where to edit, black elsewhere."""
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    return mask


def transparent_mask(width=640, height=480):
    """OpenAI's way: where it is transparent, there to edit. The left half."""
    mask = Image.new("RGBA", (width, height), "white")
    mask.putalpha(ImageChops.invert(left_half(width, height)))
    return encoded(mask)


def white_mask(width=640, height=480):
    """As most tools make them, without transparency: where it is white, there to edit. The left half."""
    return encoded(left_half(width, height).convert("RGB"))


MASKS = {"transparent": transparent_mask, "black and white": white_mask}


def fetched(url):
    """What a link leads to: the picture, and the headers that came with it. No key is shown."""
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        image = Image.open(io.BytesIO(answer.read()))
        image.load()
        return image, answer.headers


def changed(before, after):
    """How much of a picture is not what it was, from 0 to 1."""
    assert before.size == after.size
    difference = ImageChops.difference(before.convert("RGB"), after.convert("RGB"))
    bands = [band.point(lambda value: 255 if value else 0) for band in difference.split()]
    some = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    return some.histogram()[255] / (before.width * before.height)


def mean(image):
    """The colour that is left when all pixels are mixed."""
    return image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))


def halves(image):
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height)), image.crop((middle, 0, image.width, image.height))


def check_left_half_changed(before, after):
    """The left half was painted anew, and of the right one every pixel is what it was."""
    assert after.size == before.size
    for part, was, (least, most) in zip(halves(after), halves(before), [(0.9, 1), (0, 0)], strict=True):
        assert least <= changed(was, part) <= most


def corners(image, side=40):
    right, bottom = image.width - side, image.height - side
    return [image.crop((x, y, x + side, y + side)) for x in (0, right) for y in (0, bottom)]


def check_middle_changed(before, after):
    """What a text pointed to was painted anew, which the emulator takes to be in the middle; the corners stayed."""
    assert after.size == before.size
    for was, part in zip(corners(before), corners(after), strict=True):
        assert changed(was, part) == 0
    box = (before.width // 2 - 40, before.height // 2 - 40, before.width // 2 + 40, before.height // 2 + 40)
    assert changed(before.crop(box), after.crop(box)) > 0.9


def decoded(entry):
    """The picture of one entry of an answer."""
    return picture(entry.b64_json)
