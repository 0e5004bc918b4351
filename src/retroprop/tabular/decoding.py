"""From bytes to text: the encoding of a text file."""

import codecs

from retroprop.tabular.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(source: str, data: bytes, encoding: str | None, remembered: str | None) -> tuple[str, str]:
    """Return the text and its encoding: that of the byte order mark, else the given, else UTF-8, else the remembered.

    Raises
    ------
    DataError
        If the bytes are not text of that encoding; the message names the line.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decoded(source, data[len(mark) :], name), name
    if encoding is not None:
        try:
            if not codecs.lookup(encoding)._is_text_encoding:
                raise LookupError
        except (LookupError, ValueError):
            raise DataError(f'encoding="{encoding}" is no encoding of text; try "utf-8" or "latin-1".') from None
        return _decoded(source, data, encoding), encoding
    for name in ("utf-16-le", "utf-16-be") if b"\0" in data[:2000] else ():
        # Without a mark: nearly every second byte of UTF-16 in a European language is 0.
        sample = data[:2000]
        if sample[name == "utf-16-le" :: 2].count(0) > 0.4 * len(sample):
            return _decoded(source, data, name), name
    try:
        return _decoded(source, data, "utf-8"), "utf-8"
    except DataError:
        if remembered in (None, "utf-8"):
            raise
    return _decoded(source, data, str(remembered)), str(remembered)


def _decoded(source: str, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except (UnicodeError, ValueError) as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, start) + 1
        remedy = 'name its encoding (encoding=..., often "latin-1" or "cp1252") or save it as UTF-8'
        raise DataError(f"{source}, line {line}: not {encoding.upper()} text; {remedy}.") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{source}, line {line}: a NUL character: this is no text, or its encoding is another one.")
    return text
