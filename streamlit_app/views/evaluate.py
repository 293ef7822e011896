"""Evaluate: in plain words what a trained model finds and gets wrong, then its metrics."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from streamlit_app.charts import evaluate_charts, theme
from streamlit_app.components import loading
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.widgets import pick
from tf_model import data, model_dir, tasks
from tf_model.eda import keyword_emotion, keyword_rule
from tf_model.errors import ModelError, TweetTargetError, count_of
from tf_model.evaluation import calibration, error_analysis
from tf_model.evaluation.metrics import wilson_interval
from tf_model.model_dir import ModelReport, Predictions

TASK_NOUNS = {"product": "product", "emotion": "emotion", "target": "emotion toward a product"}
KEYWORD_RULES = {
    tasks.PRODUCTS: ("looking for the products' names", keyword_rule),
    tasks.EMOTIONS: ("counting positive and negative words", keyword_emotion),
}
ROW_HEIGHT = 70  # pixels: cells wrap from about 64 on


def main() -> None:
    """The page."""
    st.title("Evaluate")
    st.write("How often a trained model is right.")
    folders = model_dir.model_folders(loading.models_folder())
    if not folders:
        st.info(
            "No model is trained yet. Run `make answer`, or `make train` for the product model alone. "
            "The model then appears on this page.",
            icon=":material/model_training:",
        )
        return
    folders = {folder.name: folder for folder in folders}
    folder = folders[st.selectbox("Model", folders, key="evaluate_model", persist_state="session")]
    try:
        report = _report(str(folder), model_dir.identity(folder))
    except ModelError as error:
        st.error(plain_markdown(str(error)), icon=":material/error:")
        return
    if report.is_sample:
        st.warning(
            "This model was trained on the small sample corpus: its metrics say nothing about real tweets.",
            icon=":material/science:",
        )
    _show_trust(report)
    # By their keys, both stay open when another model is chosen.
    with st.expander("Technical figures", key="technical_figures"):
        _show_figures(report)
    with st.expander("Model card", key="model_card"):
        body = report.card.split("---\n", 2)[-1]  # without the YAML header
        st.markdown(body.replace("![", "&#33;["))  # no images: the browser would fetch them from any address


def _show_figures(report: ModelReport) -> None:
    # The joined answer first, then each task.
    names = [*([tasks.ANSWER] if report.task == tasks.ANSWER else []), *report.labels]
    task = names[0]
    if len(names) > 1:
        task = pick("Task", names, "evaluate_task", format_func=str.capitalize)
    st.caption(plain_markdown(f"Measured on the validation part. Protocol: {report.metrics['protocol']}."))
    if task == tasks.ANSWER:
        _show_threshold(report, task, *error_analysis.joint_correctness(report))
    else:
        predictions = report.labelled(task)
        _show_confusion(report.labels[task], report.metrics["validation"][task]["confusion_matrix"])
        _show_calibration(predictions)
        _show_threshold(report, task, predictions.confidences, predictions.correct)
        _show_mistakes(report, predictions)


@st.cache_data(max_entries=32, show_spinner="Reading the model's files")
def _report(folder: str, identity: str) -> ModelReport:
    """The files of a model, read again when another, with another identity, replaces it."""
    return model_dir.read_report(folder)


# Read again if the environment names another dataset.
_BY_DATASET = {
    ModelReport: lambda model: (model.data_sha256, data.Columns.of_model(model.metrics), os.getenv(data.DATA_VARIABLE))
}


@st.cache_data(max_entries=4, ttl=60, show_spinner="Reading the dataset", hash_funcs=_BY_DATASET)
def _texts_of(report: ModelReport) -> tuple[dict[int, str] | None, str]:
    """The texts by row number and "", or None and the reason."""
    try:
        return error_analysis.texts_of(data.resolve().path, report), ""
    except TweetTargetError as error:
        return None, str(error)


# ---------------------------------------------------------------- in plain words


def _noun(report: ModelReport) -> str:
    return "mentions" if tasks.TARGET.name in report.labels else "texts"


def _show_trust(report: ModelReport) -> None:
    """For each emotion and product, recall and precision as counts of 100 texts."""
    validation, noun = report.metrics["validation"], _noun(report)
    matrices = {task: validation[task]["confusion_matrix"] for task in reversed(report.labels)}
    st.subheader("Can I trust it?", anchor=False)
    for task, matrix in matrices.items():
        counts, labels = np.array(matrix), report.labels[task]
        true_counts, predicted_counts, rows = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
        rules = {f'always answering "{labels[true_counts.argmax()]}"': true_counts.max()}
        if labels in KEYWORD_RULES and (texts := _texts_of(report)[0]):
            (name, rule), predictions = KEYWORD_RULES[labels], report.labelled(task)
            rules[name] = sum(
                rule(texts[row]) == labels[label]
                for row, label in zip(predictions.rows, predictions.label_ids, strict=True)
            )
        words = "".join(f"; {rule} is right in {_of_100(count, rows)}" for rule, count in rules.items())
        right = _of_100(counts.trace(), rows)
        lines = [
            f"It gets the {TASK_NOUNS[task]} right in {right} of 100 {noun}{words}. Measured on {rows:,} {noun}."
        ] + [
            f"{label}: of 100 real ones it finds {_of_100(hits, real)}; of 100 that it flags, {_of_100(hits, flags)} "
            "are real."
            for label, hits, real, flags in zip(labels, counts.diagonal(), true_counts, predicted_counts, strict=True)
        ]
        st.markdown("\n- ".join(map(plain_markdown, lines)))
    answer = validation.get(tasks.ANSWER, {})
    if "answered_accuracy" in answer:
        names = ("emotion_rows_accuracy", "not_sure_share", "answered_accuracy")
        non_neutral, not_sure, answered = (
            "-" if answer[name] is None else f"{100 * answer[name]:.0f}" for name in names
        )
        both = _of_100(answer["accuracy"] * answer["rows"], answer["rows"])
        together = "" if noun == "mentions" else f"Emotion and product together are right in {both} of 100 texts. "
        st.markdown(
            f"{together}Of the {noun} with an emotion, {non_neutral} of 100 are right. "
            f'It answers "Not sure" to {not_sure} of 100; {answered} of 100 other answers are right.'
        )
    st.caption(
        "Measured on labelled texts that the model was not trained on, with 95% intervals in brackets. It may be "
        "right less often on texts unlike these."
    )


def _of_100(count: float, total: int) -> str:
    """``45 (36 to 54)``, per 100 with 95% interval; a dash if ``total`` is 0."""
    if not total:
        return "-"
    low, high = wilson_interval(count, total)
    return f"{100 * count / total:.0f} ({100 * low:.0f} to {100 * high:.0f})"


# ---------------------------------------------------------------- one task


def _show_confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> None:
    counts = pd.DataFrame(matrix, labels, labels).stack()
    confused = counts[[true != predicted and count > 0 for (true, predicted), count in counts.items()]].nlargest(3)
    worst = "; ".join(f"{true} taken for {predicted}: {count}" for (true, predicted), count in confused.items())
    st.subheader("Which classes are confused", anchor=False)
    theme.show(
        evaluate_charts.confusion(matrix, labels),
        alt=f"Confusion matrix of {len(labels)} classes. Most often confused: {worst or 'nothing'}.",
        caption="The diagonal is correct. The darker, the larger the share of the true class.",
        key="evaluate_confusion",
    )


def _show_calibration(predictions: Predictions) -> None:
    st.subheader("Calibration: does the confidence hold?", anchor=False)
    labelled = predictions.label_ids, predictions.probabilities
    ece = calibration.expected_calibration_error(*labelled)
    words = f"On average the confidence is off by {ece:.1%} (expected calibration error, {calibration.BINS} bins)."
    theme.show(
        evaluate_charts.reliability(calibration.reliability(*labelled)),
        alt=f"Accuracy by confidence. {words}",
        caption=f"{words} Above the dotted line the model is right more often than its confidence says, below it less "
        "often. Larger points stand for more texts; whiskers: 95% CI.",
        key="evaluate_reliability",
    )


@st.fragment
def _show_threshold(report: ModelReport, task: str, confidences: np.ndarray, correct: np.ndarray) -> None:
    """A slider for the threshold, and its effect; moving it redraws only this section."""
    st.subheader("The effect of a threshold", anchor=False)
    model_threshold = report.calibration.get("threshold") if task == report.task else None  # the model's own task
    threshold = st.slider(
        'Lowest confidence for an answer; below it, "Not sure"',
        min_value=0.0,
        max_value=1.0,
        value=0.5 if model_threshold is None else float(model_threshold),
        step=0.01,
        # Each model starts at its own threshold, also one that replaces another.
        key=f"evaluate_threshold_{task}_{report.folder.name}_{model_threshold}",
        persist_state="session",
    )
    effect = error_analysis.threshold_effect(confidences, correct, threshold)
    noun = _noun(report)
    sentence = f"At {threshold:.2f} none of the validation {noun} gets an answer."
    if effect["answered"]:
        low, high = effect["accuracy_interval"]
        sentence = (
            f"At {threshold:.2f}, {effect['answered']:,} of {effect['rows']:,} validation {noun} get an answer; "
            f"{effect['correct']:,} of these are correct: {effect['accuracy']:.1%} (95% CI {low:.1%} to {high:.1%}). "
            f"{effect['abstained_wrong']:,} wrong answers are avoided, "
            f"{effect['abstained_correct']:,} correct ones lost."
        )
    st.write(sentence)
    theme.show(
        evaluate_charts.risk_coverage(
            calibration.risk_coverage(confidences, correct),
            (effect["coverage"], effect["accuracy"]) if effect["answered"] else None,
        ),
        alt=f"Accuracy of the given answers against the share that is answered. {sentence}",
        key=f"evaluate_risk_{task}",
    )
    caption = "A threshold chosen on these texts looks better here than it is."
    if model_threshold is not None:
        caption += f" The slider begins at the model's own threshold, {model_threshold:.2f}."
    st.caption(caption)


def _show_mistakes(report: ModelReport, predictions: Predictions) -> None:
    st.subheader("The hardest mistakes", anchor=False)
    mistakes = error_analysis.hardest_mistakes(predictions)
    if mistakes.empty:
        st.info("No mistake on the validation part.", icon=":material/check:")
        return
    texts, problem = _texts_of(report)
    if texts is None:
        st.info(f"The texts cannot be shown, only their row numbers: {plain_markdown(problem)}", icon=":material/info:")
    else:
        mistakes.insert(0, "text", mistakes["row"].map(texts))
    # A dataframe shows tweets as they are, never as HTML or Markdown.
    st.dataframe(
        mistakes,
        hide_index=True,
        row_height=ROW_HEIGHT,
        column_config={
            "text": st.column_config.TextColumn("tweet", width=300),
            "row": st.column_config.NumberColumn("row", format="%d", help="In the data file, counted from 0"),
            "label": "labelled",
            "confidence": st.column_config.NumberColumn(format="%.3f", help="Of the predicted class"),
            "true_probability": st.column_config.NumberColumn("P(labelled)", format="%.4f"),
        },
        alt="The validation tweets whose label the model thought least probable",
    )
    total = int((~predictions.correct).sum())
    st.caption(
        f"{len(mistakes):,} of {count_of(total, 'mistake')}, sorted by the model's probability of "
        "the label, lowest first. Some of them are label errors."
    )


main()
