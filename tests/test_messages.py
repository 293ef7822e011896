"""Names, lists and plurals in messages."""

from tf_model import messages


def test_names_are_quoted_listed_and_cut():
    assert messages.listed(["a", "it's", "line\nbreak"]) == """'a', "it's", 'line\\nbreak'"""
    assert messages.listed("abcd", most=2) == "'a', 'b' and 2 more"
    assert messages.listed([]) == "none"
    assert messages.quoted("x" * 61) == repr("x" * 57 + "...")


def test_nearest_ignores_case_and_answers_as_known():
    assert messages.nearest("ipad", ["iPhone", "iPad"]) == ["iPad"]
    assert messages.nearest("IPHON", ["iPhone", "iPod", "Google"], most=2) == ["iPhone", "iPod"]
    assert messages.nearest("zebra", ["iPad"]) == []


def test_plural():
    assert [messages.plural(count, "row", "rows") for count in (0, 1, 2)] == ["rows", "row", "rows"]


def test_first_line():
    assert messages.first_line(ValueError(" one\ntwo")) == "one"
    assert messages.first_line(KeyError()) == "KeyError"
    of_tensorflow = "{{function_node __wrapped__SaveV2_device_/job:x}} a/b; No space left on device [Op:SaveV2] name: c"
    assert messages.first_line(OSError(of_tensorflow)) == "a/b; No space left on device"
