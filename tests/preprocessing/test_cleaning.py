"""Cleaning: the rules in the graph against the same rules in plain Python."""

import re
import unicodedata
from functools import cache

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tf_model.device import import_tensorflow
from tf_model.inference.predictor import model_input
from tf_model.preprocessing.cleaning import CLEANINGS, KEPT_CHARACTERS, mark, mark_bytes

tf = import_tensorflow()


def report(text: str) -> str:
    """The cleaning code of the report."""
    return re.sub(r"http[s]?://\S+", "", re.sub(r"[^a-z]+", " ", text.lower()))


# RE2 knows ASCII space only, and lets LONG S match S where case is ignored.
NOT_SPACE = r"[^\t\n\f\r ]"
URL = re.compile(
    rf"http[sſ]?:{NOT_SPACE}*"
    rf"|www\.[^\t\n\f\r !.]{NOT_SPACE}*"
    rf"|(?:[a-zſ0-9-]+\.)+[a-zſ]{{2,}}/{NOT_SPACE}*"
    r"|\{link\}"
    r"|\[pic\]|\[pic[sſ]\]|\[video\]|\[link\]",
    re.ASCII | re.IGNORECASE,
)
ASCII_FOR = {**dict.fromkeys("‘’‚′", "'"), **dict.fromkeys("“”„″", '"'), **dict.fromkeys("‐‑‒–—―", "-"), "…": "..."}
ENTITIES = {"&quot;": '"', "&#39;": "'", "&apos;": "'", "&nbsp;": " ", "&lt;": "<", "&gt;": ">", "&amp;": "&"}


@cache
def normalized(text: str) -> str:
    """Light normalisation, step by step."""
    text = text.replace("\ufffd\u06ea", "'").replace("\u0089\u00db\u00aa", "'")
    text = unicodedata.normalize("NFD", text)
    text = "".join(" " if unicodedata.category(each)[0] == "Z" or each == "\x85" else each for each in text)
    text = text.translate(str.maketrans(ASCII_FOR))
    for entity, character in ENTITIES.items():
        text = text.replace(entity, character)
    text = URL.sub(" ", text)
    text = re.sub(r"\B@\w+", "@user", text, flags=re.ASCII)
    text = "".join(character for character in text if unicodedata.category(character) != "Mn")
    text = re.sub(r"[^ -~]+", " ", text)
    return re.sub(" +", " ", text).strip(" ")


def no_retweet(text: str) -> str:
    """Light normalisation, then retweet marks removed from the beginning, one at a time."""
    left = normalized(text)
    while found := re.match(r"rt\b[: ]*(@\w+[: ]*)?", left, re.ASCII | re.IGNORECASE):
        left = left[found.end() :]
    return left


def trimmed(text: str) -> str:
    """As ``no_retweet``, then spaces, "!", ".", "lol", "#lol" and "@user" removed from the end, one at a time."""
    left = no_retweet(text)
    while found := re.search(r"(?:[ !.]|#lol|\blol|\B@user)\Z", left, re.ASCII | re.IGNORECASE):
        left = left[: found.start()]
    return left


def target(text: str) -> str:
    """As ``trimmed``, but a marked mention becomes [MASK], and special tokens in the text lose their meaning."""
    text = text.replace("\ufffd\u06ea", "'").replace("\u0089\u00db\u00aa", "'")
    text = "".join(each for each in unicodedata.normalize("NFD", text) if unicodedata.category(each) != "Mn")
    for token in ("CLS", "SEP", "PAD", "UNK", "MASK"):
        text = text.replace(f"[{token}]", f"({token})")
    return trimmed(re.sub("\x02[^\x03]*\x03", " [MASK] ", text))


RULES = {
    "report": report,
    "normalized": normalized,
    "normalized_trimmed": trimmed,
    "target": target,
}


def clean(name: str, texts: list[str] | list[bytes]) -> list[str]:
    """``texts`` cleaned in the graph, in one call."""
    return [text.decode("ascii") for text in CLEANINGS[name](tf.constant(texts, tf.string)).numpy()]


# Pieces that the rules look for, and characters that regular expression engines disagree on.
PIECES = [
    *("http", "https", "HTTP", "://", ":", "/", ".", "www.", "t.co/x", "bit.ly/", "{link}", "{LINK}", "{", "}"),
    *("[pic]", "[Pics]", "[video]", "[link]", "[", "]", "@", "@bob", "@mention", "a@b.c", "#", "_", "-", "2", "iPad 2"),
    *("&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&apos;", "&#39;", "&AMP;", "&", ";", "'", '"', ":)", "<3"),
    *("\ufffd\u06ea", "\ufffd", "\u06ea", "\u0089\u00db\u00aa", "\u0089", "‘", "’", "“", "”", "…", "–", "′"),
    *("é", "e\u0301", "\u0301", "ñ", "Å", "\u212b", "ǅ", "ﬁ", "Ａ", "①", "≠", "\u037e", "\u1fef", "한"),
    *("\u212a", "\u0130", "\u0131", "ſ", "ẞ", "Σ", "\U0001f600", "\U0001d400", "\u200d", "\ufe0f", "\ufeff"),
    *("RT", "RT ", "rt @a: ", "RT: ", "@user", "[MASK]", "[SEP]", "[M\u00c1SK]", "\x02", "\x03", "\x02Xbox\x03"),
    *(" ", "  ", "\t", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u00a0", "\u2028", "\u2029", "\x00", "\x7f"),
]
characters = st.characters(exclude_categories=["Cs", "Cn"])  # unassigned ones differ between Unicode versions
texts = st.lists(st.sampled_from(PIECES) | st.text(characters, max_size=4), max_size=12).map("".join)
in_batches = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", CLEANINGS)
@in_batches
@given(batch=st.lists(texts, min_size=1, max_size=60))
def test_the_graph_cleans_as_plain_python_does(name, batch):
    assert clean(name, batch) == [RULES[name](text) for text in batch]


@pytest.mark.parametrize("name", CLEANINGS)
@in_batches
@given(
    batch=st.lists(
        st.lists(st.binary(max_size=3) | texts.map(str.encode), max_size=6).map(b"".join), min_size=1, max_size=60
    )
)
def test_bytes_that_are_not_utf8_are_cleaned_as_replacement_characters(name, batch):
    decoded = [text.decode("utf-8", "replace") for text in batch]
    assert clean(name, batch) == [RULES[name](text) for text in decoded]


@pytest.mark.parametrize("name", ["report", "normalized_trimmed", "target"])  # trimmed: all steps of normalized
def test_every_character_of_unicode_is_cleaned_as_plain_python_does(name):
    every = [chr(code) for code in range(0x110000)]
    every = [f"x{character}Y" for character in every if unicodedata.category(character) not in ("Cs", "Cn")]
    assert len(every) > 270_000
    # Each stays between two letters; only ASCII may be read together with what is around it.
    lines = [*every[:128], *(" ".join(every[start : start + 64]) for start in range(128, len(every), 64))]
    found = clean(name, lines)
    assert [(ascii(text), got) for text, got in zip(lines, found, strict=True) if got != RULES[name](text)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   \t\n ", ""),
        ("  love   my iPad ", "love my iPad"),
        ("iPad 2 on 3G, 64GB", "iPad 2 on 3G, 64GB"),
        ("so good :) #SXSW <3 !!!", "so good :) #SXSW <3 !!!"),
        ("RT @alice: see @bob_2!", "RT @user: see @user!"),
        ("(@alice) .@bob @@eve @", "(@user) .@user @@user @"),
        ("mail joe@example.com now", "mail joe@example.com now"),
        ("Q&amp;A &lt;3 &quot;yes&quot; &gt;&#39;no&apos;&nbsp;ok", "Q&A <3 \"yes\" >'no' ok"),
        ("see http://bit.ly/a1?b=c#d now", "see now"),
        ("HTTPS://T.CO/Xyz", ""),
        ("www.example.com is up, goo.gl/x too", "is up, too"),
        ("cut off http: here and http://", "cut off here and"),
        ("new {link} [pic] [Video] [link] {LINK}", "new"),
        ("and/or 24/7 e.g. this, that... apple.com.", "and/or 24/7 e.g. this, that... apple.com."),
        ("don\ufffd\u06eat and can\u0089\u00db\u00aat", "don't and can't"),
        ("‘a’ “b” c–d — e…", "'a' \"b\" c-d - e..."),
        ("café CAFÉ cafe\u0301 naïve Ångström", "cafe CAFE cafe naive Angstrom"),
        ("Kelvin \u212a, dotted \u0130", "Kelvin K, dotted I"),
        ("great 😀 day 日本 ok\ufffd", "great day ok"),
        ("one\u2028two\x85three\x00four\u00a0five", "one two three four five"),
    ],
)
def test_normalisation_by_example(text, expected):
    assert clean("normalized", [text]) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("RT @alice: love my iPad", "love my iPad"),
        ("rt@alice  love it", "love it"),
        ("RT @a: RT: RT @b @c see", "@user see"),
        ("\u201cRT @a: quoted", '"RT @user: quoted'),
        ("so true RT @a: it is", "so true RT @user: it is"),
        ("RTFM, arty @a", "RTFM, arty"),
        ("@a RT", "@user RT"),
        ("RT", ""),
    ],
)
def test_the_marks_of_a_retweet_by_example(text, expected):
    assert clean("normalized_trimmed", [text]) == [expected]


@pytest.mark.parametrize("name", ["normalized_trimmed", "target"])
@in_batches
@given(
    batch=st.lists(texts, min_size=1, max_size=60),
    ending=st.sampled_from(
        [
            "!",
            "!!!",
            ".",
            " lol",
            " LOL!",
            " #lol",
            " @friend",
            " http://t.co/x9Z",
        ]
    ),
)
@example(batch=["www", "www."], ending="!")  # which is no address yet
@example(batch=["www", "www."], ending=".")
def test_what_is_added_at_the_end_is_not_seen(name, batch, ending):
    assert clean(name, [text + ending for text in batch]) == clean(name, batch)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Love it!!! lol @a http://t.co/x", "Love it"),
        ("RT @a: Really?! LOL.", "Really?"),
        ("lollol trollol, a@user", "lollol trollol, a@user"),
        ("! lol @a", ""),
    ],
)
def test_the_end_by_example(text, expected):
    assert clean("normalized_trimmed", [text]) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("   ", " "),
        ("iPad 2!", "ipad "),
        ("@mention I LOVE it :) #sxsw", " mention i love it sxsw"),
        # The rule for addresses comes too late: addresses stay as words.
        ("see http://bit.ly/A1", "see http bit ly a "),
        ("{link} Q&amp;A", " link q amp a"),
        ("don\ufffd\u06eat", "don t"),
        ("café", "caf "),
        ("\u212aelvin \u0130zmir", "kelvin i zmir"),
    ],
)
def test_the_reports_cleaning_by_example(text, expected):
    assert clean("report", [text]) == [expected]


@pytest.mark.parametrize("name", CLEANINGS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3), (1, 2, 3)])
def test_any_shape_goes_in_and_comes_out(name, shape):
    found = CLEANINGS[name](tf.fill(shape, " café "))
    assert found.shape == shape
    assert found.dtype == tf.string
    assert set(found.numpy().ravel() if shape else [found.numpy()]) <= {RULES[name](" café ").encode()}


# ---------------------------------------------------------------- one mention of a text, marked and masked

long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 50]))


@st.composite
def mentions(draw) -> tuple[str, int, int]:
    """A text, and where a mention begins and ends in it, in characters."""
    text = draw(long_texts)
    start, end = sorted(draw(st.integers(0, len(text))) for _ in range(2))
    return text, start, end


def marked_in_the_graph(rows: list[tuple[str, int, int]]) -> list[str]:
    """Texts marked by :func:`mark_bytes`, with positions given in characters."""
    places = [[len(text[:place].encode()) for place in (start, end)] for text, start, end in rows]
    starts, ends = (tf.constant(each, tf.int32) for each in zip(*places, strict=True))
    found = mark_bytes(tf.constant([text.encode() for text, *_ in rows]), starts, ends)
    return [text.decode() for text in found.numpy()]


@in_batches
@given(rows=st.lists(mentions(), min_size=1, max_size=20))
def test_a_mention_is_marked_alike_in_python_and_in_the_graph_and_becomes_the_one_mask(rows):
    marked = [mark(*row) for row in rows]
    assert marked_in_the_graph(rows) == marked
    assert [text.count("[MASK]") for text in clean("target", marked)] == [1] * len(rows)


def test_of_a_very_long_text_what_is_near_the_mention_is_kept():
    near = KEPT_CHARACTERS * "é"
    marked = mark(f"far{near}Xbox{near}off", 3 + len(near), 7 + len(near))
    assert marked == f"{near}\x02Xbox\x03{near}"
    assert model_input(marked).decode() == marked, "all of it is read"


@pytest.mark.parametrize("graph", [mark_bytes, tf.function(mark_bytes)])
@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        *((-1, 2, "0 <= start"), (0, 8, "0 <= start"), (4, 3, "0 <= start")),
        *((1, 2, "inside a character"), (0, 1, "inside a character")),
    ],
)
def test_places_outside_of_the_text_or_inside_a_character_are_refused(graph, start, end, words):
    texts = tf.constant(["é Xbox", "Xbox"])  # 7 bytes, the first two of them one character
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        graph(texts, tf.constant([start, 0]), tf.constant([end, 4]))
    assert graph(texts, tf.constant([3, 0]), tf.constant([7, 4])).numpy().tolist() == [
        "é \x02Xbox\x03".encode(),
        b"\x02Xbox\x03",
    ]


@pytest.mark.parametrize(
    ("text", "start", "end", "expected"),
    [
        ("My Xbox, again", 3, 7, "My [MASK] , again"),
        ("Love my @lol! lol @bob", 9, 12, "Love my @ [MASK]"),
        ("RT @bob: see @Xbox http://t.co/x", 14, 18, "see @ [MASK]"),
        ("#Xbox 😀 café [SEP]", 1, 5, "# [MASK] cafe (SEP)"),
        ("[MASK] \x02Kindle\x03 Xbox", 16, 20, "(MASK) Kindle [MASK]"),
        ("", 0, 0, "[MASK]"),
    ],
)
def test_mentions_by_example(text, start, end, expected):
    assert clean("target", [mark(text, start, end)]) == [expected]
