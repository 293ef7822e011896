"""From raw strings to token ids without TensorFlow, the same as by :mod:`tf_model.preprocessing.tokenizer`."""

from collections.abc import Sequence
from pathlib import Path

from tf_model.preprocessing.cleaning import MASK, Cleaning

CLS, SEP, UNKNOWN, PAD = "[CLS]", "[SEP]", "[UNK]", "[PAD]"
# MPNet's special tokens. Its vocabulary has BERT's too, but MPNet was not trained on them.
_MPNET = {"<s>": CLS, "</s>": SEP, "<pad>": PAD, "<mask>": MASK}


def read_vocabulary(path: Path) -> list[str]:
    """The tokens of a ``vocab.txt`` in the order of their ids; MPNet's special tokens get the names of BERT's."""
    tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # not splitlines: U+2028 may be a token
    names = _MPNET | {bert: mpnet for mpnet, bert in _MPNET.items()} if tokens[0] == "<s>" else {}
    return [names.get(token, token) for token in tokens]


class LightTokenizer:
    """Cleans and tokenizes texts; ``vocabulary`` lists the tokens in the order of their ids."""

    def __init__(self, vocabulary: Sequence[str], cleaning: Cleaning, lower_case: bool, max_tokens: int):
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        self._cleaning, self._limit = cleaning, max_tokens - 2
        ids = {token: number for number, token in enumerate(vocabulary)}
        self._cls, self._sep, self.unknown = ids[CLS], ids[SEP], ids[UNKNOWN]
        self._mask = ids[MASK] if cleaning.reads_mentions else None
        self._tokenizer = Tokenizer(models.WordPiece(ids, unk_token=UNKNOWN))
        self._tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        if lower_case:
            self._tokenizer.normalizer = normalizers.Lowercase()
        if self._mask is not None:
            self._tokenizer.add_special_tokens([MASK])

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts that can be encoded as UTF-8, ``[CLS]`` and ``[SEP]`` included."""
        clean = [self._cleaning.clean(text) for text in texts]
        encoded = self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [self._with_special_tokens(encoding.ids) for encoding in encoded]

    def _with_special_tokens(self, ids: list[int]) -> list[int]:
        """Cut the ids to the model's length and add the special tokens."""
        start = 0
        if self._mask in ids:  # read the tokens around the last mention
            mention = len(ids) - 1 - ids[::-1].index(self._mask)
            start = max(min(mention - self._limit // 2, len(ids) - self._limit), 0)
        return [self._cls, *ids[start : start + self._limit], self._sep]
