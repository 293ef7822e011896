"""The products to look for: the session's own list, typed or uploaded, or the model's list."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st

from streamlit_app.components import notices
from streamlit_app.components.loading import ModelState
from streamlit_app.components.notices import plain_markdown
from tf_model import model_dir, tasks
from tf_model.data.products import PATTERN, SUFFIXES, Products, parse_products, read_products
from tf_model.errors import DataError, TweetTargetError, quoted
from tf_model.inference.fit import known_products
from tf_model.inference.targets import TargetPredictor, can_guess

TYPED, FILE = "products_typed", "products_file"
# In the session: its own list, and of a refused list where it is from, TYPED or FILE, and the problem.
OWN_LIST, PROBLEM = "products", "products_problem"
MOST_SHOWN = 12  # names
MOST_BYTES = 1_000_000  # of an uploaded list: more names would fill the memory


def choose(targets: ModelState | None, texts: ModelState | None) -> TargetPredictor | None:
    """Let the user choose the products; return the predictor of the emotion directed at each.

    None without a usable model of targets. The model of whole texts guesses if a text names none of the products, if
    it knows the same emotions.
    """
    if targets is None or targets.predictor is None:
        if targets is not None:
            notices.say_problem("The model `target` cannot be used.", targets.problem)
        return None
    with st.expander("Products to look for", icon=":material/sell:"):
        st.text_area(
            "One product per line: its name, or `name: alias; alias`",
            key=TYPED,
            persist_state="session",
            placeholder="Kindle: e-reader; paperwhite\nXbox",
            on_change=_take_typed,
        )
        kinds = [suffix.removeprefix(".") for suffix in SUFFIXES]
        st.file_uploader("Or a products file", type=kinds, key=FILE, on_change=_take_file, max_upload_size=1)
        if OWN_LIST in st.session_state:
            st.button("Use the model's own list", icon=":material/undo:", on_click=_forget)
    source, problem = st.session_state.get(PROBLEM, (None, None))
    if source and st.session_state.get(source):  # else another page has its own, empty uploader
        notices.say_problem("This list of products cannot be used; the one below is in use.", problem)
    try:
        products = st.session_state.get(OWN_LIST) or read_products(targets.folder / model_dir.PRODUCTS)
    except TweetTargetError as error:
        notices.say_problem("The model's list of products cannot be read. Type your own above.", str(error))
        return None
    names = list(products.aliases)
    rest = f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else ""
    origin = "Your list" if OWN_LIST in st.session_state else "The model's list"
    st.caption(f"{origin}: {plain_markdown(', '.join(names[:MOST_SHOWN]))}{rest}")
    is_guesser = texts is not None and can_guess(texts.predictor.labels, targets.predictor.labels)
    return TargetPredictor(targets.predictor, products, texts.predictor if is_guesser else None)


def use(products: Products, targets: ModelState | None) -> None:
    """Look for these products in the session; if they are those of the model of targets, for whatever it lists."""
    with suppress(TweetTargetError):
        if targets and read_products(targets.folder / model_dir.PRODUCTS).aliases == products.aliases:
            return _forget()
    _forget()
    st.session_state[OWN_LIST] = products
    text = "\n".join(f"{name}: {'; '.join(own)}" if own else name for name, own in products.aliases.items())
    with suppress(DataError):  # it cannot be typed
        if _typed(text).aliases == products.aliases:
            st.session_state[TYPED] = text


def known_to(texts: ModelState, finder: TargetPredictor | None) -> Products | None:
    """The products of which a text must name one to be fit for the model of whole texts; None if they are unknown.

    They are those looked for, unless the model would answer with another product.
    """
    labels = texts.predictor.labels
    is_known = finder and set(finder.products.aliases) <= set(labels.get(tasks.PRODUCT.name, ()))
    return finder.products if is_known else known_products(labels)


def _has_columns(line: str) -> bool:
    """Whether a line has a comma, or a tab, as pasted from a spreadsheet, outside patterns."""
    name, _, aliases = line.partition(":")
    return any(set(each) & set(",\t") for each in (name, *aliases.split(";")) if not each.strip().startswith(PATTERN))


def _typed(text: str) -> Products:
    """The products of typed lines; :class:`DataError` for the first mistake."""
    lines = list(dict.fromkeys(filter(None, map(str.strip, text.splitlines()))))
    if line := next(filter(_has_columns, lines), None):
        sign = "comma" if "," in line else "tab"
        problem = f"has a {sign}; write one product per line, a colon after its name, and ; between aliases."
        raise DataError(f"{quoted(line)} {problem}")
    if line := next((line for line in lines if ";" in line.partition(":")[0]), None):
        raise DataError(f"{quoted(line)} has a ; but no colon before it; one product per line.")
    names = Counter(line.partition(":")[0].strip() for line in lines)
    if repeated := next((name for name, count in names.items() if count > 1), None):
        raise DataError(f"{quoted(repeated)} has two lines; put all its aliases on one, and leave colons out of names.")
    table = io.StringIO()
    csv.writer(table).writerows([("name", "aliases"), *(line.partition(":")[::2] for line in lines)])
    return parse_products(table.getvalue().encode(), ".csv", "your list")


def _take_typed() -> None:
    if (text := st.session_state[TYPED]).strip():
        _take(TYPED, lambda: _typed(text))
    else:
        _forget()
        if st.session_state.get(FILE):
            _take_file()


def _take_file() -> None:
    file = st.session_state[FILE]
    if file and file.size > MOST_BYTES:
        problem = f"{quoted(file.name)} has more than {MOST_BYTES:,} bytes, the most allowed."
        st.session_state[PROBLEM] = FILE, problem
    elif file:
        _take(FILE, lambda: parse_products(file.getvalue(), Path(file.name).suffix, file.name))
    elif st.session_state.get(PROBLEM, ("",))[0] == FILE:  # the file was refused: the list before it stays
        del st.session_state[PROBLEM]
    else:
        st.session_state.pop(OWN_LIST, None)
        _take_typed()


def _take(source: str, read: Callable[[], Products]) -> None:
    st.session_state.pop(PROBLEM, None)
    try:
        st.session_state[OWN_LIST] = read()
    except DataError as error:
        st.session_state[PROBLEM] = source, str(error)


def _forget() -> None:
    for key in (OWN_LIST, PROBLEM):
        st.session_state.pop(key, None)
    st.session_state[TYPED] = ""
