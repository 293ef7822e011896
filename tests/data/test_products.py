"""Products files, and the mentions of products in texts as they are written."""

import time
import tracemalloc

import pytest

from tf_model import paths
from tf_model.data.products import Products, read_products, write_products
from tf_model.errors import DataError

GAMES = Products({"Xbox": ["Xbox One", "re:x-?box ?360"], "Kindle": [], "C++": ["re:c\\+\\+"], "AT&T": []})


def found(products: Products, text: str) -> list[tuple[str, str]]:
    return [(each.product, text[each.start : each.end]) for each in products.find(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My KINDLE died", [("Kindle", "KINDLE")]),
        ("two Kindles", [("Kindle", "Kindles")]),
        ("a kindle3, two Kindle2s", [("Kindle", "kindle3"), ("Kindle", "Kindle2s")]),
        ("Kindle's screen", [("Kindle", "Kindle")]),
        ("#kindle @Kindle", [("Kindle", "kindle"), ("Kindle", "Kindle")]),
        ("kindled, a kindler", []),
        ("no spaces with in: k indle", []),
        ("XboxOne xbox-one XBOX  ones", [("Xbox", "XboxOne"), ("Xbox", "xbox-one"), ("Xbox", "XBOX  ones")]),
        ("xbox 360 and x-box 360", [("Xbox", "xbox 360"), ("Xbox", "x-box 360")]),
        ("xbox. One more", [("Xbox", "xbox")]),
        ("I write c++ and c", [("C++", "c++")]),
        ("at t-shirts; AT&T", [("AT&T", "AT&T")]),
        ("see http://shop.com/kindle or shop.com/kindle, not kindle", [("Kindle", "kindle")]),
        ("ünkindle \U0001f600kindle\U0001f600", [("Kindle", "kindle")]),
        ("", []),
    ],
)
def test_mentions_are_whole_words_as_people_write_them(text, expected):
    assert found(GAMES, text) == expected


def test_a_last_word_s_is_no_plural():
    products = Products(dict.fromkeys(("Model S", "Model X", "Xbox One", "Xbox One S"), ()))
    text = "new models, MODELS, #ModelS, a model-s and ModelXs; Xbox Ones, xboxones, XboxOneS, xbox one s"
    assert found(products, text) == [
        *(("Model S", each) for each in ("ModelS", "model-s")),
        ("Model X", "ModelXs"),
        *(("Xbox One", each) for each in ("Xbox Ones", "xboxones")),
        *(("Xbox One S", each) for each in ("XboxOneS", "xbox one s")),
    ]
    assert found(Products({"Model S": ["models"]}), "#models, ModelS") == [("Model S", "models"), ("Model S", "ModelS")]
    assert found(Products({"Model S": ["ModelS"]}), "new models") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#Disney+ beats Disney", [("Disney+", "Disney+"), ("Disney", "Disney")]),
        ("appletv+, Apple  TV+ and Apple TV", [("Apple TV+", "appletv+"), ("Apple TV+", "Apple  TV+")]),
        ("YAHOO! Yahoo", [("Yahoo!", "YAHOO!")]),
        ("I left .NET for C#, not for ASP", [(".NET", ".NET"), ("C#", "C#")]),
        ("Google+, Google  + and Google", [("Google +", "Google+"), ("Google +", "Google  +")]),
        ("my Kobo is a cafe\u0301.NET", [("Kobo-", "Kobo"), (".NET", ".NET")]),
    ],
)
def test_signs_at_the_ends_of_a_name_count(text, expected):
    names = ("Disney", "Disney+", "Apple TV+", "Yahoo!", ".NET", "C#", "Google +", "Kobo-")
    assert found(Products({name: [] for name in names}), text) == expected


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "McDonald's",
            ["McDonald\u2019s", "mcdonalds", "McDonald`s", "McDonald\u02bcs", "McDonald\u00b4s", "McDonald&#39;s"],
        ),
        ("Ben & Jerry\u2019s", ["ben &amp; jerry's", "Ben&Jerrys", "BEN & JERRYS"]),
        ("Nestl\u00e9", ["nestle", "NESTLE\u0301"]),
        ("Pokemon", ["Pok\u00e9mon", "pokemons"]),
        ("\u30ab\u30cd\u30dc\u30a6", ["\u30ab\u30cd\u30dc\u30a6"]),  # a dot and an accent are part of its characters
        ("Yap\u0131 Kredi", ["YAPI KRED\u0130", "yapi kredi"]),
        ("Galaxy S", ["GalaxyS24", "galaxy s9"]),
        ("Coca-Cola", ["Coca\u2011Cola", "coca \u2013 cola", "cocacola"]),
        ("iPhone 15 Pro", ["iPhone15 Pro", "iphone 15pro", "iPhone-15 Pros", "IPHONE15PRO"]),
        ("Galaxy S 24", ["Galaxy S24", "galaxys 24"]),
        ("PlayStation\u00ae5", ["PlayStation 5", "PlayStation\u00ae5", "playstation5"]),
        ("Xbox\u2122 One\u200b", ["Xbox One", "Xbox\u00ae One"]),
        ("Ben & Jerry's Phish Food", ["ben &jerrys PhishFood"]),
        ("one two three four five six", ["onetwo threefour five six"]),
        ("one two three four five six seven", ["One Two three-fourfive six seven", "onetwothreefourfivesixseven"]),
    ],
)
def test_a_name_is_found_however_it_is_typed(name, texts):
    products = Products({name: []})
    for text in texts:
        assert found(products, f"my {text}!") == [(name, text)]


def test_the_longest_mention_wins_over_those_that_it_covers():
    products = Products({"iPad": [], "iPad app": ["re:apps? for i(pad|phone)s?"]})
    assert found(products, "an iPad app, apps for iPads, an iPad") == [
        ("iPad app", "iPad app"),
        ("iPad app", "apps for iPads"),
        ("iPad", "iPad"),
    ]


def test_a_mention_that_a_longer_one_takes_from_leaves_the_shorter_one():
    products = Products({"Apple": ["Apple TV"], "Remote": ["TV remote app"]})
    assert found(products, "my Apple TV remote app") == [("Apple", "Apple"), ("Remote", "TV remote app")]


def test_the_escapes_of_a_web_page_name_nothing():
    products = Products({"X": [], "Amp": [], "M": [], "39ers": ["39"]})
    assert found(products, "I don&#x27;t like Tom &amp; Jerry, it&#39;s H&amp;M") == [("M", "M")]
    assert found(Products({"Print&Copy": []}), "PRINT&COPY") == [("Print&Copy", "PRINT&COPY")]
    with pytest.raises(DataError, match="must hold a letter or a digit"):
        Products({"X": ["&nbsp;"]})


def test_the_end_of_a_contraction_is_no_name():
    products = Products(dict.fromkeys(("T", "S", "M", "Re"), ()))
    text = "I don't, it\u2019s and I&#39;m, we&rsquo;re; T, the 'S' and M's"
    assert found(products, text) == [("T", "T"), ("S", "S"), ("M", "M")]


@pytest.mark.parametrize("others", [{}, {"Some Other Brand of a Longer Name": ()}])
def test_a_mention_does_not_depend_on_the_other_names(others):
    for name, text in (("M&M's", "M&amp;M&#39;s"), ("PS", "PS2000")):
        assert found(Products({name: ()} | others), f"my {text}!") == [(name, text)]


def test_a_pattern_with_an_optional_end_is_found_before_a_word_that_begins_like_it():
    languages = [r"re:c\+\+", r"re:\Qd++"]
    products = Products({"Phone": ["re:phone ?15( pro( max)?)?"], "Language": languages, "Box": ["re:box|boxes"]})
    text = "phone 15 probably, phone15 pro maximal, phone 15 pro max, c++, d++, two boxes"
    assert found(products, text) == [
        *(("Phone", each) for each in ("phone 15", "phone15 pro", "phone 15 pro max")),
        ("Language", "c++"),
        ("Language", "d++"),
        ("Box", "boxes"),
    ]


def test_a_longer_name_wins_with_a_space_left_out():
    products = Products({"iPhone": [], "iPhone 15 Pro": []})
    assert found(products, "my iPhone15 Pro") == [("iPhone 15 Pro", "iPhone15 Pro")]


@pytest.mark.parametrize("alias", ["Caf\u00e9", "Cafe\u0301"])
@pytest.mark.parametrize("text", ["a CAF\u00c9!", "a Cafe\u0301!"])
def test_an_accent_may_be_a_character_of_its_own(alias, text):
    assert found(Products({"Shop": [alias]}), text) == [("Shop", text[2:-1])]


def test_the_products_of_the_dataset_are_read_with_their_aliases():
    products = read_products(paths.PRODUCTS)
    text = "I love my iPad but my Android phone is a joke, says @google"
    assert len(products.aliases) == 9
    assert found(products, text) == [("iPad", "iPad"), ("Android", "Android phone"), ("Google", "google")]


def test_a_products_file_is_read_as_csv_and_as_yaml_and_written_again(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffname,aliases\nXbox,Xbox One; re:x-?box ?360\nKindle,\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("- name: Xbox\n  aliases: [Xbox One, 're:x-?box ?360']\n- name: Kindle\n")
    expected = {"Xbox": ("Xbox One", "re:x-?box ?360"), "Kindle": ()}
    assert read_products(tmp_path / "a.csv").aliases == read_products(tmp_path / "b.yaml").aliases == expected
    (tmp_path / "trailing.csv").write_text("name,aliases\nXbox,360,\n", encoding="utf-8")
    (tmp_path / "number.yaml").write_text("- name: Xbox\n  aliases: 360\n", encoding="utf-8")
    assert read_products(tmp_path / "trailing.csv").aliases == {"Xbox": ("360",)}
    (tmp_path / "capitals.csv").write_text("Name, Aliases\nXbox,360\n", encoding="utf-8")
    (tmp_path / "capitals.yaml").write_text("- Name: Xbox\n  Aliases: 360\n", encoding="utf-8")
    (tmp_path / "more.csv").write_text("name,maker,aliases\nXbox,Microsoft,360\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("name,maker,aliases\nXbox,Microsoft,\n", encoding="utf-8")
    assert read_products(tmp_path / "empty.csv").aliases == {"Xbox": ()}
    (tmp_path / "excel.csv").write_text('Name;Aliases\r\nXbox;"360; one"\r\n', encoding="utf-8-sig", newline="")
    assert read_products(tmp_path / "excel.csv").aliases == {"Xbox": ("360", "one")}
    (tmp_path / "blank.csv").write_text("name,aliases\nXbox,360\n,\n")
    assert read_products(tmp_path / "blank.csv").aliases == {"Xbox": ("360",)}
    (tmp_path / "quoted.csv").write_text('"name";"aliases"\n"Xbox";"360; one"\n', encoding="utf-8")
    assert read_products(tmp_path / "quoted.csv").aliases == {"Xbox": ("360", "one")}
    for aliases in ("null", "[null]", '["", ~]'):
        (tmp_path / "null.yaml").write_text(f"- name: Xbox\n  aliases: {aliases}\n", encoding="utf-8")
        assert read_products(tmp_path / "null.yaml").aliases == {"Xbox": ()}
    for name in ("capitals.csv", "capitals.yaml", "more.csv"):
        assert read_products(tmp_path / name).aliases == {"Xbox": ("360",)}
    assert read_products(tmp_path / "number.yaml").aliases == {"Xbox": ("360",)}
    (tmp_path / "plain.yaml").write_text("- name: On\n  aliases: [1.10, 12:30]\n", encoding="utf-8")
    assert read_products(tmp_path / "plain.yaml").aliases == {"On": ("1.10", "12:30")}
    write_products(read_products(tmp_path / "b.yaml"), tmp_path / "c.csv")
    assert read_products(tmp_path / "c.csv").aliases == expected


def test_the_escapes_of_a_web_page_split_no_aliases(tmp_path):
    (tmp_path / "a.csv").write_text(
        "name,aliases\nAT&amp;T,AT&amp;T Inc; re:at(&amp;|&)t;AT&T; AT&amp ; ATT\n", encoding="utf-8"
    )
    products = read_products(tmp_path / "a.csv")
    assert products.aliases == {"AT&amp;T": ("AT&amp;T Inc", "re:at(&amp;|&)t", "AT&T", "AT&amp", "ATT")}
    write_products(products, tmp_path / "b.csv")
    assert read_products(tmp_path / "b.csv").aliases == products.aliases


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\u2028", "\x0b"])
def test_a_line_break_within_a_name_stays(tmp_path, line_break):
    products = Products({f"Kindle{line_break}Fire": (f"my{line_break}reader",)})
    write_products(products, tmp_path / "a.csv")
    kept = read_products(tmp_path / "a.csv")
    assert kept.aliases == products.aliases
    assert len(kept.find("a kindle fire and my reader")) == 2


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "name,aliases\n,x\n", "product 1 has an empty name"),
        ("a.csv", "name,aliases\nKindle,Fire\nFire,\n", "'Kindle' and 'Fire' have the same alias 'Fire'"),
        ("a.csv", "name,aliases\nKindle,kindle ;re:(\n", "the pattern 're:(' of 'Kindle' is not one of RE2"),
        ("a.csv", "name,aliases\nKindle,re:.*\n", "is found in any text"),
        ("a.csv", "name,aliases\nKindle,re:\\w+\n", "is found in any text"),
        ("a.csv", "name,aliases\nKindle,re:[aeiou]\n", "is found in any text"),
        ("a.csv", "name,aliases\n!!!,\n", "the alias '!!!' of '!!!' must hold a letter or a digit"),
        ("a.csv", "name,aliases\nX,\u02bc\n", "must hold a letter or a digit"),
        ("a.csv", 'name,aliases\nKindle,"Fire, e-reader"\n', "has a comma; put ; between aliases"),
        (
            "a.csv",
            "name,aliases\nX,y!!!!!!\n",
            "at most 100 characters, 5 of them signs at an end; correct it, or write",
        ),
        ("a.csv", "name,aliases\nA TV+,\nB,atv+\n", "'A TV+' and 'B' have the same alias 'atv+'"),
        ("a.csv", "name,aliases\nA,re:wi+\nB,re:wi+\n", "'A' and 'B' have the same alias 're:wi+'"),
        ("a.csv", "name,aliases\nKindle,Fire,e-reader\n", "'Kindle' has more fields than the header"),
        ("a.csv", "name,aliases,Aliases\nKindle,Fire,e-reader\n", "(found two columns 'aliases'); correct it"),
        ("a.yaml", "- name: Kindle\n  aliases: ['e;reader']\n", "the alias 'e;reader' of 'Kindle' holds a ;"),
        (
            "a.csv",
            "name,aliases\nKindle,e\0reader\n",
            "cannot be read (found a NUL character, as in UTF-16); correct it",
        ),
        ("a.csv", 'name,aliases\nKindle,"Fire\nXbox,360\n', "cannot be read (unexpected end of data); correct it"),
        ("a.csv", "name,aliases\n", "expected at least one product"),
        ("a.csv", "product\nKindle\n", "a.csv: expected the columns name and aliases, found 'product'"),
        ("a.csv", "names;aliases\nKindle;\n", "found 'names;aliases'; put , between columns and ; between aliases"),
        ("a.csv", "name;aliases\nKindle;Fire;e-reader\n", "than the header; split its aliases by ;, in one"),
        ("a.csv", "name,alias\nXbox,360\n", "expected the columns name and aliases, found 'name', 'alias'"),
        ("a.yaml", "- name: Xbox\n  alias: [360]\n", "expected the columns name and aliases, found 'name', 'alias'"),
        ("a.yaml", "- name: [\n", "cannot be read (while parsing a flow node); correct it"),
        ("a.yaml", "[" * 1_000, "cannot be read (maximum recursion depth exceeded"),
        pytest.param("a.yaml", "[" * 10**5, "cannot be read (max", marks=pytest.mark.timeout(60), id="brackets"),
        ("a.yaml", "- name: Kindle\n  aliases: [re: k]\n", "expected a list of texts as aliases of 'Kindle'; put each"),
        (
            "a.yaml",
            "- &a {name: Kindle, aliases: [b]}\n- *a\n",
            "cannot be read (found a reference, *",
        ),
        ("a.yaml", "- name: {Kindle: 3}\n", "expected the columns name and aliases"),
        ("a.yaml", "Kindle\n", "expected the columns name and aliases"),
        ("a.txt", "Kindle\n", "expected a products file"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_products(tmp_path / name)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path):
    with pytest.raises(DataError, match="missing"):
        read_products(tmp_path / "missing.csv")
    (tmp_path / "latin.csv").write_bytes(b"name,aliases\nCaf\xe9,\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_products(tmp_path / "latin.csv")


def seconds_of_search(products: int) -> float:
    many = Products({f"Brand {number}": [f"alias {number}", f"TV {number}+"] for number in range(products)})
    text = "I like brand 7 and alias9 more than my old TV 3+, which was a joke from the start"
    began = time.thread_time()
    for _ in range(200):
        assert len(many.find(text)) == 3
    return time.thread_time() - began


def test_the_time_of_a_search_does_not_depend_on_the_number_of_products():
    assert seconds_of_search(10_000) < 20 * seconds_of_search(100) + 0.2


def test_empty_cells_take_no_memory(tmp_path):
    columns = ",".join(f"c{number}" for number in range(1_000))
    path = tmp_path / "a.csv"
    path.write_text(f"name,aliases,{columns}\n" + "".join(f"p{number}\n" for number in range(1_000)))
    tracemalloc.start()
    try:
        assert len(read_products(path).aliases) == 1_000
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_a_text_of_many_mentions_is_searched_in_linear_time():
    began = time.thread_time()
    assert len(GAMES.find("kindle, xbox. " * 5000)) == 10_000
    assert time.thread_time() - began < 5


def test_a_pattern_that_others_would_take_exponential_time_for_is_linear():
    products = Products({"A": ["re:(a+)+b"]})
    began = time.thread_time()
    assert products.find("a" * 5000) == []
    assert time.thread_time() - began < 5
