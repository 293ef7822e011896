"""A worker's part: the one scoring function, with the rows that break it set aside."""

import pandas
import pytest
from stub_model import stub

from tf_model.batch import parts
from tf_model.batch.ledger import Ledger
from tf_model.batch.scoring import score_part, score_rows
from tf_model.errors import DataError, ModelError
from tf_model.inference.predictor import Predictor


def fragile(poison: bytes = b"poison") -> Predictor:
    plain = stub(has_emotion=True)

    def score(batch):
        if any(poison in text for text in batch):
            raise ValueError("bad text\nand more")
        return plain.score(batch)

    return Predictor(plain.labels, score)


def test_texts_that_break_the_model_are_found_and_the_others_scored():
    texts = [f"ipad {'poison' if number in (0, 7, 8, 19) else number}" for number in range(20)]
    predictions, failed = score_rows(fragile(), texts, 4, {"probabilities": True})
    assert failed == dict.fromkeys((0, 7, 8, 19), "ValueError: bad text")
    expected = stub(True).predict([text for text in texts if "poison" not in text], probabilities=True)
    pandas.testing.assert_frame_equal(predictions, expected)


def test_a_single_text_that_breaks_the_model_is_set_aside():
    predictions, failed = score_rows(fragile(), ["poison"], 4, {})
    assert list(failed) == [0]
    assert list(predictions.columns) == list(fragile().columns())
    assert len(predictions) == 0


def test_a_model_that_can_score_nothing_is_at_fault_itself():
    with pytest.raises(ModelError, match=r"cannot score any of 3 rows \(ValueError: bad text\)"):
        score_rows(fragile(b""), ["a", "b", "c"], 4, {})


def test_an_error_that_says_what_to_do_is_not_a_bad_row():
    def score(batch):
        raise ModelError("wait until the server is up")

    with pytest.raises(ModelError, match="wait until"):
        score_rows(Predictor(stub().labels, score), ["a", "b"], 4, {})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_part_has_the_columns_of_the_input_and_then_ours(tmp_path, suffix):
    (tmp_path / "in.csv").write_text("n,text\n1,an ipad\n2,poison\n3,too,many\n4,a phone\n")
    plan = parts.plan(tmp_path / "in.csv")
    ledger = Ledger(tmp_path / "out", plan, {"suffix": suffix})
    ledger.begin()
    done = score_part(fragile(), ledger, plan.parts[0], 64, {})
    assert (done.rows, done.written, done.bad) == (4, 2, 2)
    read = {".csv": pandas.read_csv, ".parquet": pandas.read_parquet}[suffix]
    frame = read(tmp_path / "out" / f"part-000000{suffix}")
    assert list(frame.columns) == ["n", "text", *fragile().columns()]
    assert frame["text"].tolist() == ["an ipad", "a phone"]
    assert frame["product"].tolist() == ["iPad", "iPhone"]
    assert ledger.conclude(0).bad == 2


def test_a_part_of_bad_rows_alone_is_still_a_table(tmp_path):
    (tmp_path / "in.csv").write_text("n,text\n1,a,b\n2,c,d\n3,fine\n")
    plan = parts.plan(tmp_path / "in.csv", part_rows=2)
    ledger = Ledger(tmp_path / "out", plan, {"suffix": ".csv"})
    ledger.begin()
    done = score_part(stub(), ledger, plan.parts[0], 64, {})
    assert (done.written, done.bad) == (0, 2)
    assert (tmp_path / "out" / "part-000000.csv").read_text() == "n,text,product,product_confidence\n"


def test_a_column_that_the_predictions_use_is_refused(tmp_path):
    (tmp_path / "in.csv").write_text("product,text\n1,an ipad\n")
    plan = parts.plan(tmp_path / "in.csv")
    ledger = Ledger(tmp_path / "out", plan, {"suffix": ".csv"})
    ledger.begin()
    unasked = Predictor(stub().labels, lambda batch: pytest.fail("the model was asked"))
    with pytest.raises(DataError, match=r"in.csv already has a column called 'product'"):
        score_part(unasked, ledger, plan.parts[0], 64, {})
