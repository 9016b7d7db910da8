"""Parts of records as JSON text that ends with its own digest: a flipped bit is never a result."""

import hashlib
import re
from typing import TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from bet.errors import BetError

AnyPart = TypeVar("AnyPart", bound="Part")
RUN_AGAIN = "delete it and run the cell again"
_DIGEST = re.compile(rb',\s*"digest":\s*"([0-9a-f]{64})"(\s*)}\s*\Z')


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields of a record; unknown ones, and missing ones without a default, are errors."""


def encode(part: Part, indent: int = 0) -> str:
    """JSON of a record; ``indent`` spaces a level, one line with 0. Its last member is the sha256
    of the text without it.
    """
    content = msgspec.json.encode(part, enc_hook=np.generic.item)  # numpy numbers, too
    text = (msgspec.json.format(content, indent=indent) if indent else content).decode()
    open_end, end = (text[:-2], "\n}") if indent else (text[:-1], "}")
    before, between = (f",\n{' ' * indent}", " ") if indent else (",", "")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{open_end}{before}"digest":{between}"{digest}"{end}'


def decode(text: str | bytes, part: type[AnyPart], source: str, remedy: str = RUN_AGAIN) -> AnyPart:
    """The ``part`` that ``text`` is. Raises BetError, which names ``source`` and the ``remedy``,
    unless it is one as it was written; those of earlier versions come without a digest.
    """
    content = text.encode() if isinstance(text, str) else text
    if match := _DIGEST.search(content):
        content = content[: match.start()] + match[2] + b"}"
        if hashlib.sha256(content).hexdigest() != match[1].decode():
            raise BetError(f"{source}: damaged, its digest is wrong; {remedy}")
    try:
        return msgspec.json.decode(content, type=part)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is one
        raise BetError(f"{source}: {error}; damaged or of another version: {remedy}") from error
