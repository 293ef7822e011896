"""Training sentences for ``target``: each joins two opinions, written for this project, about two products.

Few tweets are negative, and few express opposite emotions about two products. These sentences supply both.
"""

import csv

import numpy as np

from tf_model import paths, tasks
from tf_model.preprocessing.cleaning import mark

SHARES = (0.4, 0.2, 0.4)  # how often each class of tasks.EMOTIONS is drawn
NAMES = (
    *("iPad", "iPad 2", "iPhone", "iPhone app", "Apple", "MacBook", "Google", "Google Maps", "Android"),
    *("Android phone", "Samsung", "Galaxy", "Nokia", "Windows Phone", "BlackBerry", "HTC", "Surface", "PlayStation"),
    *("Wii", "Roku", "Sony", "Canon", "Dell", "Garmin", "Tesla", "Nike", "Starbucks", "Netflix", "Spotify", "Twitter"),
    *("Facebook", "Foursquare", "Gowalla", "Vexora", "Plimto", "Norbit 4", "Ralvo"),
)
JOINTS = (
    *("{} but {}", "{} but {}", "{} and {}", "{}, {}", "{}. {}", "{}! {}", "{}; {}", "{}... {}", "{} - {}"),
    *("{}, yet {}", "{}, while {}", "{} though {}", "{} and yet {}", "{}, on the other hand {}", "Although {}, {}"),
)


def opinion_pairs(pairs: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return ``2 * pairs`` texts of two opinions each, and the emotion directed at the marked mention, int64.

    Each sentence occurs twice, once with each product marked. The ids index :data:`tf_model.tasks.EMOTIONS`.
    """
    with paths.OPINIONS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    opinions = [[row["text"] for row in rows if row["emotion"] == label] for label in tasks.EMOTIONS]
    random, texts, label_ids = np.random.default_rng(seed), [], []
    for _ in range(pairs):
        classes = random.choice(len(SHARES), size=2, p=SHARES)
        chosen = [random.choice(opinions[number]) for number in classes]
        first, second, other = random.choice(NAMES, size=3, replace=False)
        joint = random.choice(JOINTS)
        for marked in range(2):
            names = [first, second]
            names[marked] = mark(names[marked], 0, len(names[marked]))
            parts = [
                opinion.replace("{other}", other).replace("{product}", name)
                for opinion, name in zip(chosen, names, strict=True)
            ]
            texts.append(joint.format(*parts))
        label_ids += classes.tolist()
    return texts, np.array(label_ids, np.int64)
