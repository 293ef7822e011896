"""From raw strings to token ids, in the graph: cleaning, WordPiece, special tokens, padding."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from tf_model.preprocessing.cleaning import CLEANINGS, MAX_TOKENS
from tf_model.preprocessing.light_tokenizer import UNKNOWN, read_vocabulary

# A batch is padded to its own longest text, rounded up to a multiple of this, so that few shapes occur.
BUCKET = 8


class TextEncoder(tf.Module):
    """Cleans and tokenizes raw texts for BERT, with a ``vocab.txt`` of one token per line.

    Texts are cut to ``max_tokens``, special tokens included, but a marked mention is never cut off.
    """

    def __init__(self, vocabulary: Path, cleaning: str, lower_case: bool = True, max_tokens: int = MAX_TOKENS):
        super().__init__(name="text_encoder")
        import keras_nlp

        self.lower_case = lower_case
        self.cleaning = CLEANINGS[cleaning]
        self._has_mentions = self.cleaning.reads_mentions
        self._tokenizer = keras_nlp.models.BertTokenizer(
            vocabulary=read_vocabulary(vocabulary), lowercase=lower_case, special_tokens_in_strings=self._has_mentions
        )
        self._cls = self._tokenizer.cls_token_id
        self._sep = self._tokenizer.sep_token_id
        self._unknown = self._tokenizer.token_to_id(UNKNOWN)
        self.max_tokens = max_tokens

    @property
    def vocabulary(self) -> list[str]:
        """The tokens, in the order of their ids."""
        return self._tokenizer.get_vocabulary()

    # Traced once for all inputs, and for all exported signatures that use it.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def token_ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Token ids of raw ``texts`` (string [N]), ``[CLS]`` and ``[SEP]`` included: int32 [N, (tokens)], ragged."""
        ids = self._tokenizer(self.cleaning(texts))  # (N, (tokens))
        if self._has_mentions:
            ids = self._window(ids)
        ids = ids[:, : self.max_tokens - 2]
        rows = ids.nrows(out_type=tf.int32)
        cls, sep = tf.fill([rows, 1], self._cls), tf.fill([rows, 1], self._sep)
        return tf.cast(tf.concat([cls, ids, sep], axis=1), tf.int32)

    def unk_rates(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """UNK rate of each text in a batch of :func:`pad`, float32 [N], 0 to 1, without ``[CLS]`` and ``[SEP]``."""
        is_unknown = tf.cast(inputs["input_ids"] == self._unknown, tf.int32)  # (N, L)
        counts = tf.reduce_sum(tf.stack([is_unknown, inputs["attention_mask"]]), axis=2)  # (2, N)
        return tf.cast(counts[0] / tf.maximum(counts[1] - 2, 1), tf.float32)

    def _window(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """The tokens that are read of each text, [N, (tokens)]: the first, or those around a distant mention."""
        lengths, limit = ids.row_lengths(), self.max_tokens - 2
        # On flat values: for ragged ones TensorFlow traces its general broadcasting, and the graph grows by two fifths.
        is_mention = tf.cast(ids.flat_values == self._tokenizer.mask_token_id, tf.int64)
        mentions = tf.reduce_max(ids.with_flat_values(tf.ragged.range(lengths).flat_values * is_mention), axis=1)
        start = ids.row_starts() + tf.clip_by_value(mentions - limit // 2, 0, tf.maximum(lengths - limit, 0))
        places = tf.ragged.range(start, tf.minimum(start + limit, ids.row_limits()))
        return places.with_flat_values(tf.gather(ids.flat_values, places.flat_values))

    def __call__(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """Model inputs for raw ``texts`` (string [N]): see :func:`pad`."""
        return pad(self.token_ids(texts), self.max_tokens)


def pad(token_ids: tf.RaggedTensor, max_tokens: int) -> dict[str, tf.Tensor]:
    """``input_ids`` and ``attention_mask``, int32 [N, L]: L is the longest row's length, rounded up to full buckets."""
    input_ids = token_ids.to_tensor(default_value=0)  # (N, longest); the mask hides the padding
    longest = tf.shape(input_ids)[1]
    length = tf.minimum(tf.maximum(-(-longest // BUCKET), 1) * BUCKET, max_tokens)
    input_ids = tf.pad(input_ids, [[0, 0], [0, length - longest]])  # (N, L)
    attention_mask = tf.sequence_mask(token_ids.row_lengths(), length, dtype=tf.int32)  # (N, L)
    return {"input_ids": input_ids, "attention_mask": attention_mask}
