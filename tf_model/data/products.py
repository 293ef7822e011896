"""Lists of products, and where a text mentions them.

A products file is a CSV table with the columns ``name`` and ``aliases`` (separated by ``;``), or a YAML list of
mappings with these keys. An alias is a name as people write it, such as ``Xbox One``, or ``re:`` and an RE2 pattern.
"""

import csv
import html
import io
import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import paths
from tf_model.errors import DataError, first_line, listed, quoted
from tf_model.io.files import explain_read_errors
from tf_model.preprocessing.cleaning import url_pattern

SUFFIXES = (".csv", ".yaml", ".yml")
PATTERN = "re:"
MOST_CHARACTERS, MOST_SIGNS = 100, 5  # of an alias, and at one of its ends
ROOM = 16  # characters of a mention beyond its alias: a plural s or a number, and the escapes of a web page
MOST_NESTED = 100  # lists in lists of a YAML file, which needs three; very many would overflow the loader's stack
NULLS = ("~", "null", "Null", "NULL")  # in YAML, and in tables from databases: no aliases
# An accent may be a separate character; the apostrophe that Unicode counts as a letter is none here.
_WORD = re.compile(r"[^\W_\u02bc](?:[^\W_\u02bc]|[\u0300-\u036f])*")
# In a text from a web page, "&amp;" and "&#39;" stand for signs: their letters and digits are no words.
_ESCAPE = r"&(?:#x?[0-9a-fA-F]+|amp|apos|gt|lt|nbsp|quot|[lr]squo);"
_ESCAPE_OR_WORD = re.compile(rf"{_ESCAPE}|({_WORD.pattern})")
_ALIAS = re.compile(rf"(?:{_ESCAPE}|[^;])+")  # in a list of them: the ; of "AT&amp;T" splits nothing
_ENDING = re.compile(r"\w'(?:d|ll|m|re|s|t|ve)\Z")  # of "don't" or "Kindle's": no mention begins with it
_PLURAL = re.compile(r"(?:[^a-z]S|s)\Z")
_APART = r"\s_\u2010-\u2015\xa9\xae\xad\u2122\u200b\u200e\ufeff-"  # separators; (C), (R) and TM; invisible characters
_SPACE = re.compile(f"[{_APART}]+")
_SIGN = re.compile(rf"[^\w\u0300-\u036f{_APART}]|\u02bc")  # not a separator, nor an accent
# People type the same name with different apostrophes, with or without accents, and with or without a dot on the i.
_SAME = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4\u2032`"), "'") | dict.fromkeys(range(0x300, 0x370))
_SAME[0x131] = "i"
_ANY_TEXT = "a zq xjkvb 7"  # names no product: a pattern that matches it matches anything


@dataclass(frozen=True)
class Mention:
    """Where a text mentions a product: characters ``start`` (from 0) to ``end`` (exclusive)."""

    product: str
    start: int
    end: int


class Products:
    """A list of products to find in texts.

    ``aliases`` maps each product to its aliases; its name is one too. Raises :class:`DataError` for an unusable alias.
    """

    def __init__(self, aliases: Mapping[str, Sequence[str]]):
        import re2

        if not aliases:
            raise DataError("expected at least one product, got none; add a name")
        self.aliases = {name: tuple(own) for name, own in aliases.items()}
        self._product_of: dict[str, str] = {}  # by alias without spaces
        self._spaces: dict[str, set[int]] = {}  # of each: before which of its characters a text may have one
        self._plurals: set[str] = set()  # those that end like a plural: "models", but not "ModelS" or "Model S"
        self._signs = 0  # at one end of an alias, at most
        self._patterns = []
        patterns: dict[str, str] = {}
        for name, own in self.aliases.items():
            plain = [alias for alias in own if not alias.startswith(PATTERN)]
            if not own or _is_usable(name):
                plain.append(name)
            for alias in plain:
                self._add(name, alias)
            for alias in own:
                if alias.startswith(PATTERN):
                    _refuse_another(patterns.setdefault(alias, name), name, alias)
                    self._patterns.append((name, *_compiled(re2, name, alias)))
        self._longest = max((len(key) + len(spaces) for key, spaces in self._spaces.items()), default=0)
        starts = (key[:end] for key, spaces in self._spaces.items() for end in (*spaces, None))
        self._first_words = {word[0] for word in map(_WORD.search, starts) if word}

    def _add(self, name: str, alias: str) -> None:
        if not _is_usable(alias):
            raise DataError(
                f"the alias {quoted(alias)} of {quoted(name)} must hold a letter or a digit, and have at most "
                f"{MOST_CHARACTERS} characters, {MOST_SIGNS} of them signs at an end; correct it, or write a pattern "
                f"after {PATTERN}"
            )
        spelled = _key(alias).strip()
        self._signs = max(self._signs, *_signs_of(spelled))
        for each in {spelled, spelled.replace("'", "")}:
            key, spaces = _without_spaces(each)
            _refuse_another(self._product_of.setdefault(key, name), name, alias)
            self._spaces.setdefault(key, set()).update(spaces)
            if _PLURAL.search(alias) and len(key) - 1 not in spaces:
                self._plurals.add(key)

    def find(self, text: str) -> list[Mention]:
        """All mentions in a raw text, in order; where mentions overlap, only the longest counts.

        Letter case, accents, apostrophes, a plural s, a number at the end, and the separators between the words of a
        name do not matter: "XBOX-Ones" names the Xbox One, also beside an Xbox One S, "xbox360" the Xbox. A mention
        consists of whole words outside web addresses; hashtags and handles count.
        """
        found = [*self._plain_mentions(text), *self._pattern_mentions(text)]
        if not found:
            return []
        is_free = bytearray(b"\1") * len(text)
        for url in url_pattern().finditer(text):
            is_free[url.start() : url.end()] = bytes(url.end() - url.start())
        kept = []
        for mention in sorted(found, key=lambda each: (each.start - each.end, each.start)):
            if all(is_free[mention.start : mention.end]):
                is_free[mention.start : mention.end] = bytes(mention.end - mention.start)
                kept.append(mention)
        return sorted(kept, key=lambda each: each.start)

    def first_mentions(self, text: str) -> dict[str, Mention]:
        """The first mention of each product that a text names, in text order."""
        mentions: dict[str, Mention] = {}
        for mention in self.find(text):
            mentions.setdefault(mention.product, mention)
        return mentions

    def _plain_mentions(self, text: str) -> Iterator[Mention]:
        words = [found.span(1) for found in _ESCAPE_OR_WORD.finditer(text) if found[1]]
        for first, (start, end) in enumerate(words):
            if self._first_words.isdisjoint(_spellings(text[start:end])):
                continue
            if _ENDING.search(_key(text[max(start - 9, 0) : end])):  # room for "&#8217;" and the letter before it
                continue
            for _, end in words[first:]:
                # Twice as long, for separators that are longer than the single space of an alias.
                if end - start > 2 * self._longest + ROOM:
                    break
                for begin, stop in self._with_signs(text, start, end):
                    for key, spaces in map(_without_spaces, _spellings(text[begin:stop])):
                        if key not in self._product_of or not spaces <= self._spaces[key]:
                            continue
                        # With no space before it, a last word S must be a capital: "ModelS"; "models" is a plural.
                        may_be_plural = key[-1] == "s" and len(key) - 1 in self._spaces[key] - spaces
                        if key in self._plurals or not may_be_plural or not _PLURAL.search(text, begin, stop):
                            yield Mention(self._product_of[key], begin, stop)
                            break

    def _with_signs(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Words of a text without and with the signs before and after them: "Disney+" is not Disney."""
        first, last, most = start, end, 2 * self._signs  # as above, room for longer separators
        while first > 0 and start - first < most and not _WORD.match(text[first - 1]):
            first -= 1
        while last < len(text) and last - end < most and not _WORD.match(text[last]):
            last += 1
        starts = (at for at in range(first, start) if _SIGN.match(text[at]))
        ends = (at for at in range(end + 1, last + 1) if _SIGN.match(text[at - 1]))
        return itertools.product([*starts, start], [end, *ends])

    def _pattern_mentions(self, text: str) -> Iterator[Mention]:
        for product, pattern, bounded in self._patterns:
            spans = [match.span() for match in pattern.finditer(text)]
            if bounded and any(_inside_word(text, end) for _, end in spans):
                spans += [match.span() for match in bounded.finditer(text)]
            for start, end in spans:
                if not _inside_word(text, start) and not _inside_word(text, end):
                    yield Mention(product, start, end)


def read_products(path: Path | str) -> Products:
    """Read a products file; raises :class:`DataError` if the file, or an alias in it, cannot be used."""
    path = Path(path)
    with explain_read_errors(path):
        content = path.read_bytes()
    return parse_products(content, path.suffix, paths.shown(path))


def parse_products(content: bytes, suffix: str, name: str) -> Products:
    """Read the content of a products file with this suffix; error messages call the file ``name``."""
    import yaml

    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"expected a products file ({', '.join(SUFFIXES)}), got {name}; save it as one of these")
    try:
        text = content.decode("utf-8-sig")
        if "\0" in text:
            raise ValueError("found a NUL character, as in UTF-16")
        lines = io.StringIO(text, newline="")
        if suffix == ".csv":
            heading = text.split("\n", 1)[0].strip().lower().replace('"', "")
            delimiter = ";" if heading in ("name;aliases", "aliases;name") else ","  # as Excel writes it in German
            reader = csv.DictReader(lines, strict=True, delimiter=delimiter)
            headings = [each.strip().lower() for each in reader.fieldnames or ()]
            if repeated := {each for each in ("name", "aliases") if headings.count(each) > 1}:
                raise ValueError(f"found two columns {listed(repeated)}")
            needed = {each for each in reader.fieldnames or () if each.strip().lower() in ("name", "aliases")}
            # Without other empty cells, of which a few kilobytes may have a million.
            rows = [{key: cell for key, cell in row.items() if cell or key in needed} for row in reader]
        else:
            depth = 0
            for event in yaml.parse(text, yaml.CBaseLoader):
                if isinstance(event, yaml.AliasEvent):
                    raise yaml.YAMLError("found a reference, *, which may stand for millions of names")
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MOST_NESTED:
                    raise RecursionError("maximum recursion depth exceeded by lists in lists")
            rows = yaml.load(text, yaml.CBaseLoader)  # as written: On is not True, and 1.10 not 1.1
    except (ValueError, RecursionError, csv.Error, yaml.YAMLError) as error:
        reason = f"cannot be read ({first_line(error)}); correct it, and save it as UTF-8"
        raise DataError(f"{name} {reason}") from error
    try:
        return Products(_aliases(rows))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def write_products(products: Products, path: Path) -> None:
    """Write a products file, a .csv, that :func:`read_products` reads."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "aliases"])
        writer.writerows([name, " ; ".join(own)] for name, own in products.aliases.items())  # "&amp;" is one character


def _aliases(rows: Any) -> dict[str, list[str]]:
    """The aliases of each product, from the rows of a products file."""
    is_table = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    if is_table:  # csv puts fields beyond the last heading under None
        rows = [{key and key.strip().lower(): cell for key, cell in row.items()} for row in rows]
        headings = list(dict.fromkeys(key for row in rows for key in row if key))
        if rows and headings != ["name"] and not {"name", "aliases"} <= set(headings):
            found = f"expected the columns name and aliases, found {listed(headings)}"
            raise DataError(f"{found}; put , between columns and ; between aliases, or rename the columns")
        is_table = all(isinstance(row.get("name", ()), str | None) for row in rows)  # YAML may nest anything
    if not is_table:
        raise DataError("expected the columns name and aliases; write a product in each row, its aliases split by ;")
    aliases: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        name, own = str(row["name"] or "").strip(), row.get("aliases") or []
        if not name and not own:  # a blank row of a spreadsheet
            continue
        if not name:
            raise DataError(f"product {number} has an empty name; give it one, or remove it")
        if row.get(None, [""]) != [""]:
            raise DataError(
                f"{quoted(name)} has more fields than the header; split its aliases by ;, in one pair of quotes"
            )
        own = _ALIAS.findall(own) if isinstance(own, str) else own
        if not isinstance(own, list) or not all(isinstance(alias, str) for alias in own):  # such as "- re: x" in YAML
            raise DataError(f"expected a list of texts as aliases of {quoted(name)}; put each alias in quotes")
        found = [alias for each in own if (alias := each.strip()) and alias not in NULLS]
        if several := next((each for each in found if not _ALIAS.fullmatch(each)), None):  # products.csv would split it
            raise DataError(
                f"the alias {quoted(several)} of {quoted(name)} holds a ;, which splits aliases; make two of it, or "
                "write \\x3b for it in a pattern"
            )
        if several := next((each for each in found if "," in each and not each.startswith(PATTERN)), None):
            raise DataError(
                f"the alias {quoted(several)} of {quoted(name)} has a comma; put ; between aliases, or write it after "
                f"{PATTERN} if the comma is part of it"
            )
        aliases.setdefault(name, []).extend(found)
    return aliases


def _key(name: str) -> str:
    key = unicodedata.normalize("NFD", _unescaped(name).casefold()).translate(_SAME)
    return _SPACE.sub(" ", unicodedata.normalize("NFC", key))


def _unescaped(text: str) -> str:
    # Without a semicolon, the "&copy" of "Print&Copy" is none.
    return re.sub(r"&#?\w+;", lambda escape: html.unescape(escape[0]), text) if "&" in text else text


def _without_spaces(key: str) -> tuple[str, set[int]]:
    """A key without its spaces, and before which of the characters left they stood."""
    words = key.split(" ")
    return "".join(words), set(itertools.accumulate(map(len, words[:-1])))


def _spellings(words: str) -> tuple[str, str, str]:
    """The keys of words in a text: as they are, without a plural s, and without a number ("iPad2s": iPad)."""
    key = _key(words)
    singular = key.removesuffix("s")
    return key, singular, singular.rstrip("0123456789")


def _refuse_another(owner: str, name: str, alias: str) -> None:
    if owner != name:
        raise DataError(
            f"{quoted(owner)} and {quoted(name)} have the same alias {quoted(alias)}; leave it to one of them"
        )


def _is_usable(alias: str) -> bool:
    alias = _unescaped(alias)
    return len(alias) <= MOST_CHARACTERS and bool(_WORD.search(alias)) and max(_signs_of(alias)) <= MOST_SIGNS


def _signs_of(name: str) -> tuple[int, int]:
    """How many characters are before the first and after the last word of a name."""
    spans = [word.span() for word in _WORD.finditer(name)]
    return spans[0][0], len(name) - spans[-1][1]


def _compiled(re2: Any, name: str, alias: str) -> tuple[Any, Any]:
    """Compile the pattern of an alias, ignoring letter case, also for the end of a word, None if that cannot be.

    "pro( max)?" is found in "pro maximum" by the second alone. RE2 matches any pattern in linear time.
    """
    which = f"the pattern {quoted(alias)} of {quoted(name)}"
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(f"(?i){alias[len(PATTERN) :].strip()}", options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise DataError(f"{which} is not one of RE2: {reason}; correct it") from error
    if pattern.search("") or pattern.search(_ANY_TEXT):
        raise DataError(f"{which} is found in any text; make it narrower")
    bounded = None
    with suppress(re2.error):  # "\Q" without "\E" would take the parenthesis
        bounded = re2.compile(rf"(?i)(?:{alias[len(PATTERN) :].strip()})\b", options)
    return pattern, bounded


def _inside_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and bool(_WORD.fullmatch(text[place - 1 : place + 1]))
