"""Names, lists and plurals in messages."""

from tf_model import errors


def test_names_are_quoted_listed_and_cut():
    assert errors.listed(["a", "it's", "line\nbreak"]) == """'a', "it's", 'line\\nbreak'"""
    assert errors.listed("abcd", most=2) == "'a', 'b' and 2 more"
    assert errors.listed([]) == "none"
    assert errors.quoted("x" * 61) == repr("x" * 57 + "...")


def test_nearest_ignores_case_and_answers_as_known():
    assert errors.close_names("ipad", ["iPhone", "iPad"]) == ["iPad"]
    assert errors.close_names("IPHON", ["iPhone", "iPod", "Google"], most=2) == ["iPhone", "iPod"]
    assert errors.close_names("zebra", ["iPad"]) == []


def test_plural():
    assert [errors.plural(count, "row", "rows") for count in (0, 1, 2)] == ["rows", "row", "rows"]
    assert [errors.count_of(count, "row") for count in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]


def test_first_line():
    assert errors.first_line(ValueError(" one\ntwo")) == "one"
    assert errors.first_line(KeyError()) == "KeyError"
    of_tensorflow = "{{function_node __wrapped__SaveV2_device_/job:x}} a/b; No space left on device [Op:SaveV2] name: c"
    assert errors.first_line(OSError(of_tensorflow)) == "a/b; No space left on device"
