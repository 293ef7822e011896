"""What is predicted. A task is data: its labels and the column that holds them."""

from dataclasses import dataclass

TEXT_COLUMN = "tweet_text"
PRODUCT_COLUMN = "emotion_in_tweet_is_directed_at"
EMOTION_COLUMN = "is_there_an_emotion_directed_at_a_brand_or_product"
COLUMNS = (TEXT_COLUMN, PRODUCT_COLUMN, EMOTION_COLUMN)

# In the order of the report, so that class ids compare with its own.
PRODUCTS = (
    "iPhone",
    "iPad or iPhone App",
    "iPad",
    "Google",
    "Android",
    "Apple",
    "Android App",
    "Other Google product or service",
    "Other Apple product or service",
)
NEGATIVE = "Negative emotion"
NO_EMOTION = "No emotion toward brand or product"
POSITIVE = "Positive emotion"
EMOTIONS = (NEGATIVE, NO_EMOTION, POSITIVE)
CANNOT_TELL = "I can't tell"  # known to the data, a class of no task


@dataclass(frozen=True)
class Task:
    """One classification task.

    Attributes:
        name: Name on the command line, and of the saved model.
        column: Column of the dataset that holds the label.
        labels: The classes; the id of a class is its position.
        ignored_labels: Values that the column may hold and that no model learns: such rows are left out.
    """

    name: str
    column: str
    labels: tuple[str, ...]
    ignored_labels: tuple[str, ...] = ()


PRODUCT = Task("product", PRODUCT_COLUMN, PRODUCTS)
EMOTION = Task("emotion", EMOTION_COLUMN, EMOTIONS, ignored_labels=(CANNOT_TELL,))
TASKS = {task.name: task for task in (PRODUCT, EMOTION)}

# The whole question: one model of both tasks. Its labels, and the columns of its probabilities, come in this order.
ANSWER = "answer"
ANSWER_TASKS = (PRODUCT, EMOTION)
NO_LABEL = -1  # the class id of a row that has no label of a task
