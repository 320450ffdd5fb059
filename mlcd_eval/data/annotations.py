"""What a data set says of its images: a sentence, a question, a choice, a search, captions, a word, a class a pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Expression:
    """A sentence that refers to a part of an image. image: key of its sample; truth: the part as COCO RLE, at the
    image's own size (height, width). box: left, top, right and bottom of the part as it is annotated, in pixels; None
    where it is not. It goes with the mask, by which expressions are compared."""

    sent_id: int
    ref_id: int
    image: str
    text: str
    size: tuple[int, int]
    truth: dict[str, Any]
    box: tuple[float, float, float, float] | None = field(default=None, kw_only=True, compare=False)


@dataclass(frozen=True, slots=True)
class GeneralizedExpression(Expression):
    """A sentence that may refer to any number of parts (gRefCOCO): truth is their union.

    has_target: whether there are any. It is not the same as a truth with pixels, since an annotation may have none.
    """

    has_target: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question about an image. image: key of its sample; document: the document of which the image is a page;
    answers: those that count as right, None where they are not public; types: the data set's own classes of
    questions."""

    question_id: int | str
    image: str
    document: str
    text: str
    answers: tuple[str, ...] | None
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images and texts to choose from: image i and text i belong together; what one side has more is wrong.

    images: keys of their samples, at least one; texts: at least one, and at least two items on one side. category: the
    data set's own class of items, empty without one.
    """

    pairs_id: str
    images: tuple[str, ...]
    texts: tuple[str, ...]
    category: str = ""


@dataclass(frozen=True, slots=True)
class Association:
    """A word, and images of which some are associated with it. images: keys of their samples; chosen: for each whether
    it is one of them, which some are and some are not."""

    association_id: str
    text: str
    images: tuple[str, ...]
    chosen: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """A query image, and images of the gallery that it is to find. image: key of the query's sample.

    positives: keys of the gallery's samples that show the same. hard: more of them that are hard to recognise, empty in
    every query where the data does not tell them apart. junk: those that count neither way.
    """

    image: str
    positives: tuple[str, ...]
    hard: tuple[str, ...] = ()
    junk: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Captions:
    """An image's captions in several languages. image: key of its sample; texts: language -> its captions, of every
    language of the data set, empty where the image has none."""

    image: str
    texts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is printed in an image. image: key of its sample; box: left, top, right and bottom, and
    letter_height: the height of a capital, both as shares of the image's longer side."""

    image: str
    text: str
    box: tuple[float, ...]
    letter_height: float


@dataclass(frozen=True, slots=True)
class ClassMap:
    """The class of each pixel of an image. image: key of its sample; size: (height, width); digest: of the classes.

    unit: what the image was drawn with from the world, such as the scene that other images show too. pixels: returns
    the classes, (height, width) int16, UNLABELLED where a pixel is not scored. picture: returns the image itself, RGB.
    """

    image: str
    size: tuple[int, int]
    digest: str
    unit: str
    pixels: Callable[[], NDArray[np.int16]] = field(compare=False, repr=False)
    picture: Callable[[], Image.Image] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image that has a class. image: key of its sample; region_id: its own, once in a split; label: index
    of its class; size: (height, width) of the image.

    box: left, top, right and bottom, in pixels of the image; area: in pixels; truth: its mask as COCO RLE, None where
    only its box is known. thing: what it shows, equal where other images show the same; unit: as in ClassMap. picture:
    returns the image itself, RGB.
    """

    image: str
    region_id: str
    label: int
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    area: float
    truth: dict[str, Any] | None
    thing: str
    unit: str
    picture: Callable[[], Image.Image] = field(compare=False, repr=False)


UNLABELLED = -1
"""In a ClassMap, the class of a pixel that is not scored."""


@dataclass(frozen=True, slots=True)
class PixelValues:
    """What was measured at each pixel of an image. image: key of its sample; digest: of the values; known: how many
    pixels have one; unit, picture: as in ClassMap.

    size: (height, width) of the values, which the image's own is equal to or a multiple of. values: returns them,
    (height, width, C) float32, NaN where a pixel's are not known: the depth, C = 1, or the unit normal, C = 3.
    """

    image: str
    size: tuple[int, int]
    digest: str
    known: int
    unit: str
    values: Callable[[], NDArray[np.float32]] = field(compare=False, repr=False)
    picture: Callable[[], Image.Image] = field(compare=False, repr=False)


Point = tuple[float, float]
"""(x, y) in pixels of an image, whose first pixel's middle is (0, 0)."""


@dataclass(frozen=True, slots=True)
class PointPair:
    """Points of an object in two images.

    images: keys of the samples of the source and the target; sizes: (height, width) of each. source, target: where each
    point is, at least one, all inside of their image. box: left, top, right, bottom of the object in the target.
    category: the data set's own class, empty without one. unit: what pairs that are not independent share, such as a
    scene. degrees: between the two cameras, None where that is not known. pictures: return the images themselves, RGB.
    is_turned: whether an image is as these places say only once it is turned as its EXIF orientation says. metres: of
    places (K, 2) in the target, how far what it shows there is from each point (K,), infinite where it shows no object;
    None where that is not known.
    """

    pair_id: str
    images: tuple[str, str]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    source: tuple[Point, ...]
    target: tuple[Point, ...]
    box: tuple[float, float, float, float]
    category: str
    unit: str
    degrees: float | None
    pictures: tuple[Callable[[], Image.Image], Callable[[], Image.Image]] = field(compare=False, repr=False)
    is_turned: bool = field(default=False, compare=False)
    metres: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip with numbered objects. images: keys of the frames in their order, at least three; size: (height, width) of
    each; digest: of all masks; num_objects: the largest number in the first frame's mask, at least 1.

    masks: each frame's; a pixel's class is its object's number, 0 for none.
    """

    clip_id: str
    images: tuple[str, ...]
    size: tuple[int, int]
    digest: str
    num_objects: int
    masks: tuple[ClassMap, ...] = field(compare=False, repr=False)


OnOneImage = Expression | Question
Annotation = (
    OnOneImage | Word | Pairs | Association | Search | Captions | ClassMap | PixelValues | Region | PointPair | Clip
)


def images_of(annotation: Annotation) -> tuple[str, ...]:
    """The keys of the images that an annotation is about."""
    several = (Pairs, Association, PointPair, Clip)
    return annotation.images if isinstance(annotation, several) else (annotation.image,)
