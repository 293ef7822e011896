"""Made-up texts, as long as tweets, about anything but phones and their makers."""

from __future__ import annotations

import random

_OPENINGS = ("RT @{name}: ", "@{name} ", "so ", "finally, ", "honestly ", "just now: ", *[""] * 3, "can't believe it, ")
_TOPICS = {
    "kitchen": (
        ("my grandmother", "the new baker", "our neighbour", "the cook next door", "this recipe"),
        ("burnt", "rescued", "ruined", "simmered", "forgot", "overdid", "perfected"),
        ("the onion soup", "a tray of buns", "the sourdough", "her plum jam", "twelve dumplings", "the risotto"),
        ("with far too much garlic", "before the guests came", "over a low flame", "and everybody wanted more"),
        ("#baking", "#soup", "#breakfast", "#leftovers"),
    ),
    "football": (
        ("the goalkeeper", "our coach", "that referee", "the away side", "the youngest striker"),
        ("missed", "saved", "argued about", "threw away", "celebrated", "equalised after"),
        ("a penalty", "the corner kick", "the second half", "an open goal", "the derby", "a clean sheet"),
        ("in the pouring rain", "three minutes before the whistle", "to boos from the stand", "and we sang all night"),
        ("#derby", "#matchday", "#relegation", "#cup"),
    ),
    "weather": (
        ("the storm", "a thick fog", "this heat", "last night's frost", "the river"),
        ("flooded", "covered", "delayed", "flattened", "spared", "woke"),
        ("the tomato beds", "half the valley", "the morning ferry", "our tent", "the vineyards", "the whole village"),
        ("and more is forecast for sunday", "for the first time since april", "while the wind kept turning"),
        ("#storm", "#gardening", "#snow", "#harvest"),
    ),
    "theatre": (
        ("the soprano", "an understudy", "the second violin", "that old play", "the choir"),
        ("stumbled through", "stole", "rehearsed", "opened", "sang", "improvised"),
        ("the third act", "the final aria", "a funeral scene", "the overture", "her monologue", "a folk song"),
        ("to a half empty house", "without a single mistake", "until people wept", "in a borrowed costume"),
        ("#opera", "#stage", "#premiere", "#choir"),
    ),
}
_NAMES = ("maria", "tomas", "oldoak", "riverside", "hannah_w", "the_gardener", "keeper7", "lou")
_ENDINGS = (" :)", "!", "...", ".", "", "", " what a day", " never again", " please tell your sister")


def other_topics(count: int, seed: int = 0) -> list[str]:
    """``count`` texts of 25 to 140 characters, the same for the same seed."""
    choose = random.Random(seed)
    return [_one(choose) for _ in range(count)]


def _one(choose: random.Random) -> str:
    who, did, what, how, tags = choose.choice(list(_TOPICS.values()))
    text = choose.choice(_OPENINGS).format(name=choose.choice(_NAMES))
    text += " ".join(choose.choice(words) for words in (who, did, what))
    if choose.random() < 0.8:
        text += f" {choose.choice(how)}"
    if choose.random() < 0.5:
        text += f", and {choose.choice(who)} {choose.choice(did)} {choose.choice(what)} too"
    text += choose.choice(_ENDINGS)
    if choose.random() < 0.6:
        text += f" {choose.choice(tags)}"
    return text[:140]
