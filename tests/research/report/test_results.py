"""The page of results says what the recorded runs say, and what was not measured yet."""

from __future__ import annotations

import json

import numpy as np
import pytest

from research import baselines
from research.levers import WORDS_MODEL
from research.methods.baseline_models import baseline_models as methods
from research.report import claims, figures, results
from tf_model import config, paths, tasks
from tf_model.errors import OutputError
from tf_model.evaluation.metrics import summarize


def section(title: str) -> str:
    return results.render().split(f"## {title}\n")[1].split("\n## ")[0]


def scored(accuracy: float, *more: float) -> dict:
    accuracies = [accuracy, *more]
    return {
        "seeds": {
            str(seed): {"accuracy": value, "accuracy_interval": [value - 0.01, value + 0.01], "macro_f1": 0.5}
            for seed, value in enumerate(accuracies)
        },
        "summary": {"accuracy": summarize(accuracies), "macro_f1": summarize([0.5] * len(accuracies))},
    }


def answered(accuracy: float) -> dict:
    answer = {
        "rows": 8579,
        "accuracy": accuracy,
        "accuracy_interval": [accuracy - 0.01, accuracy + 0.01],
        "emotion_rows": 3191,
        "emotion_rows_accuracy": accuracy / 2,
    }
    task = {name: summarize([value]) for name, value in (("accuracy", 0.75), ("macro_f1", 0.5))}
    joined = {"accuracy": summarize([accuracy]), "emotion_rows_accuracy": summarize([accuracy / 2])}
    return {
        "seeds": {"0": {"answer": answer}},
        "summary": {"product": task, "emotion": task, "answer": joined},
    }


def baselines_run() -> dict:
    def method(title: str, accuracy: float, *more: float) -> dict:
        protocols = {name: scored(accuracy, *more) for name in (baselines.GROUPED, baselines.REPORT)}
        answer = {name: answered(accuracy - 0.1) for name in protocols}
        return {
            "title": title,
            "settings": "",
            "product": protocols,
            "emotion": protocols,
            "answer": answer,
            "seconds": 600,
        }

    counts = {"grouped": 3291, "report": 659}
    more = {"emotion": {"grouped": 8579, "report": 1716}, "answer": {"grouped": 8588, "report": 1718}}
    return {
        "rows": {"product": counts} | more,
        "groups": dict.fromkeys(("product", "emotion", "answer"), 2690),
        "methods": {"words_logistic": method("words", 0.84), "words_svm": method("svm", 0.85, 0.87)},
    }


def tuned_run(*accuracies: float) -> dict:
    run = {"task": "product", "recipe": {"name": "tuned"}, "folds": 5, "rows": 3291, "groups": 2644, "device": "CPU"}
    return run | {"seconds": 3600} | scored(*accuracies)


def answer_run(**changed: float) -> dict:
    headline = {
        "product_accuracy": 0.9,
        "product_macro_f1": 0.82,
        "emotion_accuracy": 0.77,
        "emotion_macro_f1": 0.7,
        "answer_accuracy": 0.76,
        "answer_emotion_rows_accuracy": 0.6,
        "product_accuracy_at_80_percent": 0.95,
        "product_ece": 0.01,
        "emotion_ece": 0.02,
        **changed,
    }
    classes = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 1500}
    figures_of_seed = {
        name: {
            "accuracy": 0.9,
            "accuracy_interval": [0.88, 0.92],
            "rows": 8579,
            "per_class": dict.fromkeys(labels, classes),
        }
        for name, labels in {task.name: task.labels for task in tasks.ANSWER_TASKS}.items()
    }
    figures_of_seed[tasks.ANSWER] = {"accuracy": 0.76, "rows": 8579}
    figures_of_seed["headline"] = headline
    return {
        "protocol": "grouped",
        "folds": 5,
        "rows": 8588,
        "recipe": {"name": "tuned"},
        "seconds": 7200,
        "seeds": {"0": figures_of_seed, "1": figures_of_seed},
        "summary": {name: summarize([value, value]) for name, value in headline.items()},
        "averaged": {"headline": headline},
    }


def test_without_any_run_every_section_says_what_to_run(recorded):
    page = results.render()
    assert page.count("Not measured yet: run `") == len(results.SECTIONS) - 1
    assert page.count("\n| ---") == 2, "the questions, none of which has an answer, and the recipes, which need no run"
    assert page.count(f"| {claims.OPEN} |  |") == len(claims.QUESTIONS)


def test_levers_stand_beside_the_recipe_as_it_is(recorded):
    headline = {"product_accuracy": 0.88, "product_macro_f1": 0.8, "emotion_accuracy": 0.73, "emotion_macro_f1": 0.6}
    headline |= {"answer_accuracy": 0.7, "answer_emotion_rows_accuracy": 0.55, "product_ece": 0.02, "emotion_ece": 0.03}
    headline["product_accuracy_at_80_percent"] = 0.94
    summary = {name: summarize([value, value + 0.01]) for name, value in headline.items()}
    paired = {
        name: {"difference": 0.004, "interval": [-0.002, 0.011]}
        for name in ("product", "emotion", "answer", "answer_emotion_rows")
    }
    of_seed = {"seconds": 60, "headline": headline}
    lever = {"seeds": {"0": of_seed, "1": of_seed}, "summary": summary, "paired": paired}
    run = {"rows": 8588, "groups": 5990, "recipe": {"name": "answer"}}
    recorded("levers", run | {"levers": {"unchanged": lever, "soft_labels": lever}})
    page = section("What was tried to better the answer model")
    figures_of = (
        "0.8850 (sd 0.0071) | 0.8050 (sd 0.0071) | 0.7350 (sd 0.0071) | 0.6050 (sd 0.0071) | 0.7050 (sd 0.0071) "
        "| 0.5550 (sd 0.0071) | 0.0250 (sd 0.0071) | 0.0350 (sd 0.0071)"
    )
    assert f"| as it is | 1 | 0 1 | {figures_of} |  |  |  |  |" in page
    found = "+0.0040 (-0.0020 to +0.0110)"
    assert (
        f"| half of each label from out-of-fold predictions | 3 | 0 1 | {figures_of} | {' | '.join([found] * 4)} |"
        in page
    )
    assert "8,588 tweets in 5,990 groups; recipe `answer`" in page
    assert "4 min of computing" in page
    not_yet = "two_models label_smoothing class_balanced class_bias without_doubtful distilled"
    assert f"Not measured yet: `python -m research.levers --levers {not_yet}`" in page
    levers = {"unchanged": lever, "without_doubtful": lever}
    recorded("levers", run | {"levers": levers})
    earlier = f" By the audit's words model as it was fitted before (now {WORDS_MODEL}): without the most doubtful"
    assert earlier in section("What was tried to better the answer model")
    now = of_seed | {"words": WORDS_MODEL}
    levers["without_doubtful"] = lever | {"seeds": {"0": of_seed, "1": now}}
    recorded("levers", run | {"levers": levers})
    assert earlier in section("What was tried to better the answer model"), "one seed still is"
    levers["without_doubtful"] = lever | {"seeds": {"0": now, "1": now}}
    recorded("levers", run | {"levers": levers})
    assert earlier not in section("What was tried to better the answer model")


def test_baselines_stand_with_interval_spread_rows_command_and_time(recorded):
    run = baselines_run()
    run["methods"]["words_logistic"]["product"][baselines.GROUPED]["intervals"] = {"product": [0.82, 0.857]}
    recorded("baselines", run)
    product = section("The product, beside plain methods")
    assert "| words | 0.8400 | 0.820 to 0.857 | 0.5000 | 0.8400 | 0.811 to 0.867* | 0.5000 |" in product
    assert "| svm | 0.8600 (sd 0.0141) |" in product
    assert "3,291 tweets in 2,690 groups (grouped), 659 to validate (report)" in product
    assert "`make baselines`, 2026-01-02, 2 cores, 20 min of computing" in product
    assert "| our models | not measured yet |" in product
    assert "| keyword rules | not measured yet |" in product, "a baseline that the run lacks"
    assert "Not measured yet: `python -m research.baselines --methods majority keywords " in product
    assert "No method measured here has randomness." in product
    assert "those [on the same tweets](#what-near-duplicates-on-both-sides-are-worth) do" in product
    answer = section("The whole answer, beside plain methods")
    assert "| words | 0.7400 | 0.731 to 0.749* | 0.3700 |" in answer
    assert "8,579 tweets, 3,191 of which carry an emotion" in answer


def test_a_slow_baseline_shows_its_seeds_and_what_is_still_missing(recorded):
    run = baselines_run()
    slow = {
        "title": "keras-nlp",
        "settings": "",
        "seconds": 600,
        "product": {baselines.REPORT: scored(0.8, 0.82, 0.84)},
    }
    recorded("baselines", run | {"methods": run["methods"] | {"keras_nlp_bert": slow}})
    product, emotion = section("The product, beside plain methods"), section("The emotion, beside plain methods")
    assert "| keras-nlp | not measured yet |  |  | 0.8200 (sd 0.0200) | 0.788 to 0.847* |" in product
    assert "Seeds: keras-nlp: report 0 1 2. The other methods have no randomness." in product
    assert "| keras-nlp | not measured yet |  |  | not measured yet |  |  |" in emotion
    assert "| keras-nlp |" not in section("The whole answer, beside plain methods")


def test_what_was_found_best_is_what_is_used():
    run = json.loads((paths.ROOT / "research" / "runs" / "choose_baselines.json").read_text(encoding="utf-8"))
    assert {name: found["best"] for name, found in run["methods"].items()}.items() <= methods.CHOSEN.items()


def test_settings_of_the_baselines_show_what_was_tried_and_what_is_used(recorded):
    tried = {"0.3": {"product": 0.85, "emotion": 0.7}, "1": {"product": 0.84, "emotion": 0.7}}
    found = {"words_svm": {"title": "svm", "tried": tried, "best": {"product": 0.3, "emotion": 1.0}}}
    rows = {"product": 2632, "emotion": 6863}
    recorded("choose_baselines", {"methods": found, "protocol": "3 folds", "rows": rows})
    text = section("How the settings of the baselines were chosen")
    assert "| svm | 0.3: 0.8500 / 0.7000; 1: 0.8400 / 0.7000 | 0.3 (product), 1 (emotion) | " in text
    assert f"| {methods.of_tasks(methods.CHOSEN['words_svm'])} |" in text
    assert "from scratch | not measured yet |  | 0.0003 |" in text


def test_our_models_stand_beside_the_baselines(recorded):
    recorded("baselines", baselines_run())
    recorded("grouped_tuned", tuned_run(0.88, 0.9))
    recorded("grouped_answer", answer_run())
    product, emotion = section("The product, beside plain methods"), section("The emotion, beside plain methods")
    assert "| **`tuned` recipe** | 0.8900 (sd 0.0141) |" in product
    assert "| **`answer` model** (folds over all tweets) | 0.9000 (sd 0.0000) | 0.893 to 0.906* | 0.8200" in product
    assert "`tuned` recipe" not in emotion
    # Like is compared with like: the plain methods on the same folds stand above the model of both tasks.
    plain = "| svm (folds over all tweets) | 0.7500 | 0.741 to 0.759* | 0.5000 |  |  |  |"
    assert f"{plain}\n| **`answer` model** (folds over all tweets) | 0.9000" in product
    assert f"{plain}\n| **`answer` model** (folds over all tweets) | 0.7700" in emotion
    assert "| **`answer` model** | 0.7600" in section("The whole answer, beside plain methods")


def test_the_page_says_why_some_tables_are_of_more_tweets(recorded):
    assert "either task" not in results.render()
    recorded("baselines", baselines_run())
    page = results.render().split("## In short")[0]
    assert "8,588 tweets have a label of either task: 3,291 name a product, 8,579 say which emotion" in page
    assert 'none. 9 name a product and of the emotion say "I can\'t tell"' in page


@pytest.mark.parametrize(
    ("changed", "missed"),
    [({}, 0), ({"product_accuracy": 0.889}, 1), ({"emotion_ece": 0.031, "answer_accuracy": 0.74}, 2)],
)
def test_targets_are_judged_by_the_mean_over_seeds(recorded, changed, missed):
    recorded("grouped_answer", answer_run(**changed))
    text = section("What the answer model was to reach")
    assert "| target | reached by the mean | 95% over seeds |" in text
    assert "one answer to each tweet, from the mean of the seeds' probabilities" in text
    assert text.count("| no |") == missed
    assert text.count("| yes |") == len(results.TARGETS) - missed
    assert "`make grouped_answer`, 2026-01-02, 2 h 00 min of computing" in text
    assert "2 h 00 min of computing" in text


@pytest.mark.parametrize(("accuracies", "reached"), [([0.886, 0.888, 0.884], "yes"), ([0.884, 0.885, 0.885], "no")])
def test_the_tuned_recipe_is_judged_by_its_mean(recorded, accuracies, reached):
    recorded("grouped_tuned", tuned_run(*accuracies))
    text = section("What the tuned recipe was to reach")
    assert f"| ≥ 0.885 | {reached} |" in text
    assert "| macro-F1 | 0.5000 (sd 0.0000) | 0.5000 to 0.5000 | ≥ 0.8 | no | 0.5000 to 0.5000 |" in text
    assert "`make grouped_tuned`, 2026-01-02, CPU, 1 h 00 min of computing" in text


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ([0.886, 0.888, 0.884], "yes | 0.8810 to 0.8910, holds the target"),
        ([0.8861, 0.886, 0.8862], "yes | 0.8859 to 0.8863"),
        ([0.88], "no | one seed"),
    ],
)
def test_targets_say_whether_other_seeds_might_decide_otherwise(recorded, accuracies, said):
    recorded("grouped_tuned", tuned_run(*accuracies))
    assert f"| ≥ 0.885 | {said} |" in section("What the tuned recipe was to reach")


def ablation_run() -> dict:
    def switch(title: str, paired: dict | None, *accuracies: float) -> dict:
        seeds = {
            str(seed): {"accuracy": value, "macro_f1": 0.5, "seconds": 600.0} for seed, value in enumerate(accuracies)
        }
        summary = {"accuracy": summarize(accuracies), "macro_f1": summarize([0.5] * len(accuracies))}
        return {"title": title, "seeds": seeds, "summary": summary, "paired": paired}

    paired = {"seeds": [0, 1], "difference": -0.035, "interval": [-0.05, -0.01]}
    of_report = {
        "unchanged": switch("as it is", None, 0.88, 0.86),
        "no_mask": switch("no mask", paired, 0.85, 0.82),
        "stratified": switch("stratified", None, 0.9),
    }
    recipe = {"name": "report", "backbone": "minilm", "learning_rate": 1e-4, "schedule": "constant", "epochs": 3}
    of_report["without_duplicates"] = switch("clean", paired, 0.83, 0.82) | {
        "beside_control": {"seeds": ["0", "1"], "difference": -0.02, "interval": [-0.03, -0.01]}
    }
    of_report["as_many_left_out"] = switch("at random", paired, 0.85, 0.84)
    once = {"seeds": [0], "difference": 0.02, "interval": [0.01, 0.03]}
    grouped = {"unchanged": switch("as it is", None, 0.83), "normalized": switch("cleaned", once, 0.85)}
    settings = {"quick": {"recipe": recipe, "protocols": {"report": of_report, "grouped": grouped}}}
    return {"rows": 3291, "groups": 2644, "settings": settings}


def test_each_slip_stands_with_its_effect(recorded):
    recorded("ablation", ablation_run())
    text = section("What each slip of the report did, at ten times the rate in 3 epochs")
    assert "| report |  | as it is here | 0 1 | 0.8700 (sd 0.0141) | 0.5000 (sd 0.0000) |  |  |  |  |" in text
    effect = "-0.0300 -0.0400 | -0.0350 | -0.0500 to -0.0100 | -0.0985 to +0.0285"
    mask = "attention mask dropped (the report's slip)"
    assert f"| report | put in | {mask} | 0 1 | 0.8350 (sd 0.0212) | 0.5000 (sd 0.0000) | {effect} |" in text
    stratified = "| report | mended | split stratified by class | 0 | 0.9000 | 0.5000 |  | other tweets |  |  |"
    assert stratified in text
    assert "| grouped | put in | folds not stratified by class | not measured yet |" in text
    assert "| report | control | as many tweets left out at random | 0 1 | 0.8450 (sd 0.0071) |" in text
    assert "Adam 0.0001 constant, 3 epochs" in text
    copies = "left out of training, less as many tweets left out at random | 0 1 |  |  | -0.0200 -0.0200 | -0.0200 |"
    assert f"{copies} -0.0300 to -0.0100 | -0.0200 to -0.0200 |" in text
    assert "0 | 0.8500 | 0.5000 | +0.0200 | +0.0200 | +0.0100 to +0.0300 | one seed |" in text
    assert "1 h 50 min of computing" in text
    assert "Not measured yet: run `python -m research.ablation --setting report`" in section(
        "What each slip of the report did, at the report's rate"
    )


def test_targets_show_the_baseline_on_the_folds_of_the_answer(recorded):
    recorded("grouped_answer", answer_run())
    recorded("baselines", baselines_run())
    text = section("What the answer model was to reach")
    assert "| product accuracy | 0.7500 | 0.7500 | 0.9000 (sd 0.0000) |" in text
    assert "| answer exactly right, all tweets | 0.7400 | 0.7500 | 0.7600" in text, "the SVM's beside that of words"
    assert "The plain methods, 2 of which answer both questions" in text


def test_each_class_stands_with_what_is_found_of_it(recorded):
    recorded("grouped_answer", answer_run())
    text = section("What the answer model gets right, class by class")
    found = "| 1,500 | 0.9000 (sd 0.0000) | 0.8000 (sd 0.0000) | 0.779 to 0.819 | 0.8500 (sd 0.0000) |"
    assert text.count(found) == 12
    assert "| emotion | Negative emotion |" in text
    assert "answered" not in text, "a run from before it was counted"


def test_what_is_taken_for_what_stands_as_the_mean_over_the_seeds(recorded):
    run = answer_run()
    for seed, more in (("0", 0), ("1", 4)):
        emotion = [[20, 10, 5], [7, 1000 + more, 9], [3, 11 + more, 50]]
        product = np.diag([100] * 9)
        product[3, 7], product[7, 3] = 60 + more, 40
        product[0, 1:9] = range(1, 9)
        for name, matrix in (("emotion", emotion), ("product", product.tolist())):
            run["seeds"][seed] = run["seeds"][seed] | {name: run["seeds"][seed][name] | {"confusion_matrix": matrix}}
    recorded("grouped_answer", run)
    text = section("What the answer model gets right, class by class")
    assert "| No emotion toward brand or product | 7 | 1,002 | 9 |" in text
    assert "| Positive emotion | 3 | 13 | 50 |" in text
    first, second, third = text.split("of those so labelled |\n| --- | --- | --- | --- |\n")[1].splitlines()[:3]
    assert first == "| Google | Other Google product or service | 62 | 38.3% |"
    assert second == "| Other Google product or service | Google | 40 | 28.6% |"
    assert third == "| iPhone | Other Apple product or service | 8 | 5.9% |"
    assert "the 8 most frequent confusions, mean over the seeds; together 135 of the 138 wrong answers" in text


def test_counting_shows_the_mean_share_over_the_seeds(recorded):
    heading = "How many have an emotion: what counting answers gives"
    recorded("grouped_answer", answer_run())
    assert section(heading).strip() == "Not measured yet: run `make grouped-answer`.", (
        "a run from before it was counted"
    )
    run = answer_run()
    for seed, guessed in (("0", 0.05), ("1", 0.07)):
        shares = {"Negative emotion": {"labels": 0.06, "best_guess": guessed, "answered": 0.03}}
        run["seeds"][seed] = run["seeds"][seed] | {"answer": run["seeds"][seed]["answer"] | {"emotion_shares": shares}}
    recorded("grouped_answer", run)
    found = "| Negative emotion | 0.0600 (sd 0.0000) | 0.0600 (sd 0.0141) | 0.0300 (sd 0.0000) |"
    assert found in section(heading)


def test_copies_show_what_they_are_worth_on_the_same_tweets(recorded):
    run = baselines_run()
    test = {"rows": 659, "difference": 0.03, "difference_interval": [0.01, 0.05], "accuracy": {"report": 0.87}}
    test["accuracy"]["grouped"] = 0.84
    run["methods"]["words_logistic"][baselines.COPIES] = {"product": {"0": test}}
    recorded("baselines", run)
    text = section("What near-duplicates on both sides are worth")
    assert "| words | product | 659 | 0.8700 | 0.8400 | +0.0300 (+0.0100 to +0.0500) |" in text
    assert text.count("\n| ") == 3, "the others have not been run on both"
    assert "the split of the emotion is one of 8,579 tweets by its rule" in text


def test_the_recipes_show_their_settings(recorded):
    text = section("The settings of the recipes")
    assert "| `report` | cleaning report, 20 epochs of batches of 32, Adam 1e-05 constant, warm-up 0, cls" in text
    assert text.count("\n| `") == len(config.RECIPES)


def label_quality_run() -> dict:
    agreement = {
        "groups": 40,
        "rows": 100,
        "disagreeing_groups": 10,
        "pairwise": 0.81,
        "interval": [0.78, 0.84],
        "ceiling": [0.81, 0.9],
    }
    words = {"rows": 300, "share": 0.1, "by_class": {}}
    metrics = {"accuracy": 0.84, "macro_f1": 0.7}
    random = {name: summarize([value] * 3) for name, value in metrics.items()}
    left_out = {
        "doubtful": metrics | {"accuracy": 0.85},
        "random": random,
        "difference": 0.01,
        "interval": [-0.01, 0.03],
    }
    found = {
        "rows": 3000,
        "agreement": {"0.95": agreement, "0.8": {"groups": 0, "rows": 0}},
        "doubts": {"words": words, "ours": None, "both": None},
        "without_doubtful": {"words_logistic": {"title": "words", "settings": "C=9", "all": metrics, "0.02": left_out}},
    }
    return {"protocol": "grouped 5-fold", "tasks": {"product": found}}


def test_label_quality_is_shown(recorded):
    recorded("label_quality", label_quality_run())
    agree = section("How far people agree, and how high an accuracy can get")
    assert "| product | 0.95 | 100 | 10 of 40 | 0.810 (0.780 to 0.840) | 0.810 to 0.900 |" in agree
    assert "| product | 3,000 | 300 (10.0%) | not measured yet |  |" in section("Labels that look wrong")
    assert "Counted before the words model was fitted as in the tables above: product." in section(
        "Labels that look wrong"
    )
    run = label_quality_run()
    run["tasks"]["product"]["doubts"]["settings"] = methods.methods()["words_logistic"].settings
    recorded("label_quality", run)
    assert "Counted before" not in section("Labels that look wrong")
    without = section("Training without the most doubtful labels")
    assert "| product | words (C=9) | nothing | 0.8400 | 0.7000 |  |  |  |" in without
    at_random = "0.8400 (sd 0.0000) | 0.7000 (sd 0.0000) | +0.0100 (-0.0100 to +0.0300)"
    assert f"| product | words (C=9) | 2% | 0.8500 | 0.7000 | {at_random} |" in without
    assert "`tuned` recipe | not measured yet |" in without
    assert "frozen MiniLM, mean-pooled + logistic regression | not measured yet |" in without


def curve_run(**more: float) -> dict:
    """A curve of words, and of other methods that are better by so much."""

    def method(title: str, gain: float) -> dict:
        points = [
            {
                "size": size,
                "accuracy": summarize([value + gain, value + gain + 0.02]),
                "macro_f1": summarize([0.5 + gain]),
                "seconds": summarize([2.0]),
            }
            for size, value in ((50, 0.5), (2632, 0.84))
        ]
        return {"title": title, "settings": "", "points": points, "seconds": 60}

    methods = {"words_logistic": method("words", 0.0)} | {name: method(name, gain) for name, gain in more.items()}
    return {"protocol": "grouped 5-fold", "task": "product", "rows": 3291, "draws": 2, "methods": methods}


def test_learning_curve_is_shown(recorded):
    recorded("learning_curve", curve_run())
    text = section("How many labelled tweets the product takes")
    assert "| labelled tweets: accuracy | 50 | 2,632 | cost |" in text
    assert "| words | 0.5100 (sd 0.0141) | 0.8500 (sd 0.0141) | 2.0 s |" in text
    assert "`tuned` recipe | not measured yet |" in text
    assert "research.learning_curve --methods tuned`" in text
    assert "svg" not in text, "no link to a figure that is not drawn"
    (paths.RESEARCH / "figures").mkdir()
    (paths.RESEARCH / "figures" / "learning_curve.svg").write_text("<svg/>", encoding="utf-8")
    text = section("How many labelled tweets the product takes")
    assert "(figures/learning_curve.svg)" in text
    assert "![Accuracy of the product without leakage" in text
    assert "the axis of the accuracy begins at 0.45." in text
    recorded("learning_curve_emotion", curve_run() | {"task": "emotion"})
    assert "--task emotion --methods tuned`" in section("How many labelled tweets the emotion takes")


@pytest.mark.parametrize(
    ("gain", "said"), [(0.05, "above: from 50 on (there by 0.0300 at least);"), (0.01, "above: at no measured size;")]
)
def test_our_model_pays_where_its_worst_draw_beats_the_best_of_the_baselines(recorded, gain, said):
    recorded("learning_curve", curve_run(tuned=gain))
    text = section("How many labelled tweets the product takes")
    assert said in text
    assert "Ours was measured with 50, 2,632;" in text
    assert "2 draws out of the about 2,632 tweets of a training part, so that at the greatest size they hold" in text
    recorded("learning_curve_emotion", curve_run() | {"task": "emotion", "rows": 8579})
    text = section("How many labelled tweets the emotion takes")
    assert "2 draws out of the about 6,863 tweets of a training part; cost" in text


def test_what_the_largest_size_costs_is_said_only_where_it_was_measured(recorded):
    run = curve_run(tuned=0.05)
    run["methods"]["tuned"]["points"].pop()
    recorded("learning_curve", run)
    assert "| tuned | 0.5600 (sd 0.0141) | not measured yet |  |" in section(
        "How many labelled tweets the product takes"
    )


def test_the_best_draw_of_the_baselines_may_be_that_of_one_with_a_lower_mean(recorded):
    run = curve_run(tuned=0.05)
    run["methods"]["wide"] = run["methods"]["words_logistic"] | {"title": "wide"}
    run["methods"]["wide"]["points"] = [
        point | {"accuracy": summarize([0.2, 0.99])} for point in run["methods"]["words_logistic"]["points"]
    ]
    recorded("learning_curve", run)
    assert "above: at no measured size;" in section("How many labelled tweets the product takes")


def calibrated(ece: float) -> dict:
    bins = [{"low": 0.5, "high": 0.6, "rows": rows, "confidence": 0.55, "accuracy": 0.5} for rows in (30, 2)]
    way = {"ece": ece, "brier": 2 * ece, "reliability": bins}
    task = {"before": way, "after": way | {"ece": ece / 2}}
    answer = {
        "accuracy": 0.7,
        "threshold": 0.6,
        "not_sure_share": 0.25,
        "answered_accuracy": 0.8,
        "accuracy_not_sure_wrong": 0.6,
    }
    return {"calibration": {"product": task, "emotion": task}, "answer": answer}


def test_calibration_shows_before_and_after_and_the_price_of_not_sure(recorded):
    run = answer_run() | {"averaged": answer_run()["averaged"] | calibrated(0.02)}
    run["seeds"] = {seed: found | calibrated(0.08) for seed, found in run["seeds"].items()}
    recorded("grouped_answer", run)
    text = section('Calibration, and what "Not sure" costs')
    assert "| 0 | 0.0800 | 0.0400 | 0.1600 | 0.1600 | 0.0800 |" in text
    assert "| averaged | 0.0200 | 0.0100 |" in text
    assert "| 1 | 0.7000 | 0.60 | 0.2500 | 0.8000 | 0.6000 |" in text
    product, *_ = figures.reliability(run).data
    assert list(product.x) == [0.55], "a bin of few rows says nothing"


def test_our_model_does_not_pay_before_a_size_at_which_it_is_behind(recorded):
    run = curve_run(tuned=0.05)
    run["methods"]["tuned"]["points"][0]["accuracy"] = summarize([0.3, 0.9])
    recorded("learning_curve", run)
    said = "above: at 2,632, the most that ours was measured with (there by 0.0300 at least); by macro-F1 from 50 on ("
    assert said in section("How many labelled tweets the product takes")


def test_every_table_has_as_many_cells_in_each_line(recorded):
    recorded("baselines", baselines_run())
    recorded("grouped_tuned", tuned_run(0.88, 0.9))
    recorded("grouped_answer", answer_run())
    recorded("ablation", ablation_run())
    recorded("label_quality", label_quality_run())
    recorded("learning_curve", curve_run())
    test = {
        "difference": 0.04,
        "difference_interval": [0.03, 0.05],
        "only_new_right": 9,
        "only_old_right": 2,
        "p_value": 0.01,
        "rows": 3291,
    }
    averaged = test | {"difference": 0.05, "p_value": 0.0}
    compared = {"product": {"0": test}, "answer": {"0": test, "1": test, "averaged": averaged}}
    compared = {"title": "words", "settings": methods.methods()["words_logistic"].settings, **compared}
    run = {"protocol": "grouped", "task": "answer", "rows": 8588, "methods": {"words_logistic": compared}}
    recorded("compare_answer", run)
    page = results.render()
    assert "on folds over the tweets of that task" not in page
    assert "Compared as it was fitted then" not in page
    run["methods"]["keras_nlp_bert"] = {"title": "network", "settings": "quicker", "product": {"0": test}}
    recorded("compare_answer", run)
    page = results.render()
    assert " network: one seed, a model for each task, on folds over the tweets of that task" in page
    now = methods.methods()["keras_nlp_bert"].settings
    assert f"as it is fitted now: network (then quicker; now {now})." in page
    once = "+0.0400 (+0.0300 to +0.0500)"
    assert f"| words | product | +0.0400 | {once} | {once} | 9 | 2 | 0.01 |" in page
    averaged = "+0.0500 (+0.0300 to +0.0500)"
    assert f"| words | answer | +0.0400 +0.0400 | {once} | {averaged} | 9 | 2 | < 1e-300 |" in page
    assert "on the same tweets (product 3,291, answer 3,291)" in page
    assert "By the records" not in page
    made = {"command": "python -m research.compare --recorded", "date": "2026-02-03", "questions": ["product"]}
    far = test | {"difference": 0.06, "only_new_right": 12}
    run["methods"]["scratch"] = {"title": "later", "settings": "", "recorded": made, "product": {"0": far, "1": test}}
    recorded("compare_answer", run)
    page = results.render()
    assert f"| later | product | +0.0600 +0.0400 | {once} | not kept | 9 | 2 | 0.01 |" in page
    assert " By the records of the answers alone (`python -m research.compare --recorded`, 2026-02-03), which" in page
    assert "the counts and p are the weakest seed's: later (product)." in page
    widths = set()
    for line in [*page.splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.count("|"))
        else:
            assert len(widths) <= 1, line
            widths = set()


def test_figures_show_every_point(recorded):
    curve = figures.learning_curve(curve_run())
    (line,) = curve.data
    assert list(line.x) == [50, 2632]
    assert list(line.y) == pytest.approx([0.51, 0.85])
    (gain,) = figures.without_doubtful(label_quality_run()).data
    assert list(gain.x) == [0.02]
    assert list(gain.y) == [0.01]
    assert list(gain.error_y.array) == pytest.approx([0.02])
    assert list(gain.error_y.arrayminus) == pytest.approx([0.02])
    assert list(figures.draw_all()) == [], "no run, no figure"


def test_the_figure_of_a_learning_curve_names_its_task_and_begins_where_the_page_says():
    for task in ("product", "emotion"):
        curve = figures.learning_curve(curve_run() | {"task": task})
        assert task in curve.layout.title.text
        assert task in curve.layout.yaxis.title.text
        assert tuple(curve.layout.yaxis.range) == figures.accuracy_axis(curve_run()) == (0.45, 0.9)
    assert figures.accuracy_axis({"methods": {}}) == (0, 1), "a run that was begun"


def test_the_figure_of_copies_compares_the_same_tweets_and_leaves_no_method_out():
    run = baselines_run()
    assert not figures.copies(run).data, "nothing to draw yet"
    test = {"difference": 0.03, "difference_interval": [0.01, 0.05]}
    unclear = {"difference": 0.01, "difference_interval": [-0.01, 0.04]}
    nothing = {"difference": 0.0, "difference_interval": [0.0, 0.0]}
    of_methods = {"words_logistic": {"product": {"0": test}, "emotion": {"0": unclear}}}
    run["methods"]["majority"] = {"title": "majority"}
    of_methods["majority"] = {"product": {"0": nothing}}
    for name, worth in of_methods.items():
        run["methods"][name][baselines.COPIES] = worth
    figure = figures.copies(run)
    product, emotion = figure.data
    assert list(product.x) == [0.03, 0.0]
    assert list(product.error_x.array) == pytest.approx([0.02, 0])
    assert list(product.marker.color) == [figures.COLOURS[0], "white"], "hollow where the interval holds 0"
    assert list(emotion.x) == [0.01]
    assert list(emotion.marker.color) == ["white"]
    assert list(figure.layout.yaxis.ticktext) == ["words", "majority"]


def test_the_figure_of_the_ablation_shows_both_intervals_and_what_is_put_in_and_mended():
    run = ablation_run()
    figure = figures.ablation(run)
    over_seeds, of_seeds, over_tweets, *grouped = figure.data
    labels = [text.replace("<br>", " ") for text in figure.layout.yaxis.ticktext]
    left_out = "mended: near-duplicates of validation tweets left out of training"
    at_random = "as many tweets left out at random"
    assert labels == [
        "put in: attention mask dropped (the report's slip)",
        left_out,
        f"{left_out}, less {at_random}",
        "mended: cleaning that keeps digits and emoticons, marks users and drops links",
        f"control: {at_random}",
    ]
    assert list(of_seeds.x) == pytest.approx([-0.03, -0.04, -0.05, -0.04, -0.02, -0.02, -0.03, -0.02])
    assert list(over_tweets.x) == [-0.035, -0.035, -0.02, -0.035]
    assert list(map(round, over_tweets.y)) == [0, 1, 2, 4]
    assert list(over_tweets.error_x.array) == pytest.approx([0.025, 0.025, 0.01, 0.025])
    assert over_tweets.error_x.thickness > over_seeds.error_x.thickness
    assert list(over_seeds.error_x.array) == pytest.approx([0.0635, 0.0535, 0, 0.0735], abs=1e-4)
    assert list(over_tweets.marker.color) == ["white", "white", figures.PROTOCOL_COLOURS["report"], "white"]
    nothing, once, mean = grouped
    assert (list(nothing.x), list(once.x)) == ([], pytest.approx([0.02])), "one seed has no interval over seeds"
    assert list(mean.marker.color) == ["white"], "one seed decides nothing"
    assert round(mean.y[0]) == 3
    assert mean.y[0] not in over_tweets.y, "the protocols stand one below the other"
    del run["settings"]["quick"]["protocols"]["report"]
    assert len(figures.ablation(run).data) == 3


def test_without_a_browser_the_page_is_written_and_the_figures_stay(recorded, monkeypatch, capsys):
    def fails(name, figure):
        raise OutputError("there is no Chrome")

    monkeypatch.setattr(figures, "_write", fails)
    recorded("learning_curve", curve_run())
    assert results.main([]) == 0
    assert "warning: the figures stay as they are: there is no Chrome" in capsys.readouterr().err
    assert "| words | 0.5100" in (paths.RESEARCH / "results.md").read_text(encoding="utf-8")


def test_command_writes_the_page(recorded, capsys):
    assert results.main([]) == 0
    assert (paths.RESEARCH / "results.md").read_text(encoding="utf-8") == results.render()


def test_the_committed_page_is_what_the_recorded_runs_render_to():
    assert (paths.RESEARCH / "results.md").read_text(encoding="utf-8") == results.render()
