"""Addresses and what stands there. Nothing here knows sockets: `respond` takes a path with its
query, and returns what to send."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import get_args
from urllib.parse import parse_qs, urlsplit

from drrpack.core.errors import DrrError, MissingError
from drrpack.formats.pages.look import style
from drrpack.operations.viewing.catalogue import Catalogue, Key, Place
from drrpack.operations.viewing.class_pages import ClassListing, class_page, classes_page
from drrpack.operations.viewing.drawing import png
from drrpack.operations.viewing.file_page import file_page
from drrpack.operations.viewing.image_pages import facts_page, image_page, nearest_page
from drrpack.operations.viewing.parts import link, packaged, page, told
from drrpack.operations.viewing.session import ChangedError, Session

OK, ACCEPTED, NOT_FOUND, CONFLICT, FAILED = 200, 202, 404, 409, 500
HTML, PNG, TEXT = "text/html; charset=utf-8", "image/png", "text/plain; charset=utf-8"
FIELDS = 20  # in a query, at most

Query = dict[str, str]


@dataclass(frozen=True)
class Response:
    """What to send. ``lasting``: it never changes at this address."""

    status: int
    kind: str
    body: bytes
    lasting: bool = False


class NotFoundError(Exception):
    """There is nothing at an address."""


STATIC: dict[str, tuple[str, Callable[[], str]]] = {
    "/style.css": ("text/css; charset=utf-8", lambda: style() + packaged("view.css")),
    "/view.js": ("text/javascript; charset=utf-8", lambda: packaged("view.js")),
    "/icon.svg": ("image/svg+xml", lambda: packaged("icon.svg")),
}


def respond(session: Session, target: str) -> Response:
    """What stands at ``target``, a path with its query; trouble with the file is a page, too."""
    try:
        path, query = _parsed(target)
        if path in STATIC:
            kind, text = STATIC[path]
            return Response(OK, kind, text().encode())
        if path.startswith("/picture/"):
            return _picture(session.catalogue(), path)
        return _page(session.catalogue(), path, query)
    except NotFoundError:
        return _message(NOT_FOUND, "Nothing here", f"There is nothing at {target[:200]}")
    except ChangedError as error:
        return _message(CONFLICT, "The file has changed", str(error))
    except MissingError as error:
        return _message(NOT_FOUND, "The file is gone", str(error))
    except DrrError as error:
        return _message(FAILED, "This can't be shown", str(error))


def _parsed(target: str) -> tuple[str, Query]:
    try:
        parts = urlsplit(target)
        found = parse_qs(parts.query, max_num_fields=FIELDS)
    except ValueError as error:
        raise NotFoundError from error
    return parts.path, {name: values[-1] for name, values in found.items()}


def _page(catalogue: Catalogue, path: str, query: Query) -> Response:
    if path == "/":
        return _html(classes_page(catalogue, _class_listing(query)))
    if path == "/file":
        return _html(file_page(catalogue))
    if path == "/originals":
        waiting = catalogue.originals.state == "checking"
        text = page("originals", told(catalogue.originals.told))
        return _html(text, ACCEPTED if waiting else OK)
    kind, number = _numbered(path)
    if kind == "class":
        if number >= len(catalogue.rows):
            raise NotFoundError
        raw_only = query.get("only") == "raw"
        return _html(class_page(catalogue, number, _page_number(query), raw_only))
    return _image(catalogue, kind, _place(catalogue, number), query.get("among") == "file")


def _image(catalogue: Catalogue, kind: str, place: Place, whole: bool) -> Response:
    if kind == "image":
        return _html(image_page(catalogue, place, whole))
    if kind == "facts":
        return _html(facts_page(catalogue, place))
    text, complete = nearest_page(catalogue, place, whole)
    return _html(text, OK if complete else ACCEPTED)


def _picture(catalogue: Catalogue, path: str) -> Response:
    found = re.fullmatch(
        r"/picture/([0-9a-f]{16})/([0-9]{1,9})/(reconstruction|original|top|bottom)\.png", path
    )
    if found is None or not catalogue.reader.fingerprint.startswith(found[1]):
        raise NotFoundError
    place, kind = _place(catalogue, int(found[2])), found[3]
    if kind == "original":
        original = catalogue.original(place)
        if original is None:
            raise NotFoundError
        return Response(OK, PNG, png(original.pixels), lasting=True)
    if kind == "reconstruction":
        return Response(OK, PNG, png(catalogue.reconstruction(place)), lasting=True)
    pixels = catalogue.codes_picture(place, "top" if kind == "top" else "bottom")
    return Response(OK, PNG, png(pixels), lasting=True)


def _numbered(path: str) -> tuple[str, int]:
    found = re.fullmatch(r"/(class|image|facts|nearest)/([0-9]{1,9})", path)
    if found is None:
        raise NotFoundError
    return found[1], int(found[2])


def _place(catalogue: Catalogue, image: int) -> Place:
    try:
        return catalogue.place(image)
    except IndexError as error:
        raise NotFoundError from error


def _page_number(query: Query) -> int:
    text = query.get("page", "1")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise NotFoundError
    return int(text)


def _class_listing(query: Query) -> ClassListing:
    keys: tuple[Key, ...] = get_args(Key)
    found = [key for key in keys if key == query.get("sort", "number")]
    if not found:
        raise NotFoundError
    return ClassListing(
        query.get("filter", ""), found[0], query.get("down") == "1", _page_number(query)
    )


def _html(text: str | None, status: int = OK) -> Response:
    if text is None:
        raise NotFoundError
    # a file's notes may hold halves of surrogate pairs, which UTF-8 has no bytes for
    return Response(status, HTML, text.encode("utf-8", "backslashreplace"))


def _message(status: int, title: str, text: str) -> Response:
    back = link("/", "the list of classes", rel="up")
    return _html(page(title, f"<h1>{escape(title)}</h1>{told(text)}<p>Go to {back}.</p>"), status)
