"""The parts of predict.py around the network: what it makes of an image file, and of the outputs."""

from cnncli.datasets.images.decode import FILTERS, MODES, AllChannels, Form
from cnncli.interop.exports.exported import Exported
from cnncli.layers.meaning import Meaning
from cnncli.ops.ir import Shape

OF_IMAGE = '''\
def prepared(path):
    """An image file as the network sees it: float32 {shape}."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode[0] in "IF":
        sys.exit(f"{{path}}: must have 8 bits per channel")
{steps}
    return {scaled}'''
OF_ARRAY = '''\
def prepared(path):
    """An array file, .npy, as the network sees it: float32 {shape}."""
    pixels = np.load(path)
    if pixels.dtype != np.uint8:  # scaled already
        return pixels.reshape({shape}).astype(np.float32)
    pixels = pixels.reshape({shape})
    return {scaled}'''
SIZE = "    if image.size != {size}:"
RESIZE = "        image = image.resize({size}, Image.Resampling.{filter}{box})"
CROP = """\
        width, height = image.size
        wide = max(1, min(width, height * {width} // {height}))
        high = max(1, min(height, width * {height} // {width}))
        left, top = (width - wide) // 2, (height - high) // 2"""
PAD = """\
        width, height = image.size
        wide, high = max(width, height * {width} // {height}), max(height, width * {height} // {width})
        padded = Image.new(image.mode, (wide, high))
        padded.paste(image, ((wide - width) // 2, (high - height) // 2))
        image = padded"""


def preparation(exported: Exported) -> str:
    """The function `prepared`: from the path of an image file, or of an array where files need more than Pillow."""
    form, shape = exported.form, exported.shape
    if form is None or isinstance(form, AllChannels) or not form.antialias:
        return OF_ARRAY.format(shape=shape, scaled=_scaled(exported))
    return OF_IMAGE.format(shape=shape, steps="\n".join(_steps(form)), scaled=_scaled(exported))


def _steps(form: Form) -> list[str]:
    width, height, mode = form.width, form.height, MODES[form.color_mode]
    lines = [f'    image = image.convert("{mode}")']
    if form.alpha == "channel":
        lines = ['    image = image.convert("RGBA")', *(['    image = image.convert("LA")'] if mode == "L" else [])]
    elif form.alpha != "drop":
        lines = [
            '    image = image.convert("RGBA")',
            f'    image = Image.alpha_composite(Image.new("RGBA", image.size, "{form.alpha}"), image)',
            f'    image = image.convert("{mode}")',
        ]
    lines.append(SIZE.format(size=(width, height)))
    if form.crop or form.pad:
        lines.append((CROP if form.crop else PAD).format(width=width, height=height))
    box = ", box=(left, top, left + wide, top + high)" if form.crop else ""
    resize = RESIZE.format(size=(width, height), filter=FILTERS[form.interpolation].name, box=box)
    return [*lines, resize, f"    pixels = np.asarray(image).reshape({form.shape})"]


def _scaled(exported: Exported) -> str:
    """Of uint8 `pixels`."""
    scale, offset = exported.scale_and_offset()
    if len({*scale}) == 1 and not any(offset):
        divisor = 1 / scale[0] if scale[0] else 0.0
        if round(divisor) and abs(divisor - round(divisor)) < 1e-9:
            return f"pixels / np.float32({round(divisor)})"
        return f"pixels * np.float32({scale[0]!r})"
    return f"pixels * np.float32({scale}) + np.float32({offset})"


RANKED = '''\
def answer(y):
    """The most probable classes."""
    return ", ".join(f"{CLASSES[place]} {y[place]:.1%}" for place in np.argsort(-y)[:3])'''
CHOICE = '''\
def answer(y):
    """The more probable of two classes; y is the probability of the second."""
    second = y.item()
    return f"{CLASSES[1]} {second:.1%}" if second > 0.5 else f"{CLASSES[0]} {1 - second:.1%}"'''
LABELS = '''\
def answer(y):
    """The labels that are more probable than not."""
    return ", ".join(f"{CLASSES[place]} {y[place]:.1%}" for place in np.argsort(-y) if y[place] > 0.5) or "none"'''
NUMBERS = '''\
def answer(y):
    """The outputs."""
    return y.tolist()'''
OF_PIXELS = '''\
def answer(y):
    """The share of pixels of each class, and what was written."""
    classes = y.argmax(axis=-1) if y.shape[-1] > 1 else (y[..., 0] > 0.5).astype(int)
    Image.fromarray(classes.astype(np.uint8)).save("mask.png")
    shares = [f"{name} {(classes == place).mean():.1%}" for place, name in enumerate(CLASSES)]
    return f"{', '.join(shares)} (mask.png)"'''


def answer(exported: Exported, outputs: Shape) -> str:
    """The function `answer`: from the output for one image to a text."""
    count = len(exported.classes)
    if len(outputs) == 3 and exported.meaning is Meaning.MASK and count:
        return OF_PIXELS
    if len(outputs) != 1 or not exported.meaning.probabilities or not count:
        return NUMBERS
    if exported.meaning is Meaning.LABELS and count == outputs[0]:
        return LABELS
    if outputs == (1,):
        return CHOICE if count == 2 else NUMBERS
    return RANKED if count == outputs[0] else NUMBERS
