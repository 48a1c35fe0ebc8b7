"""Verdicts of judges: one JSON object, whole, once, and of the right form."""

import json

import pytest

from jurat.scorers.verdict_json import Unreadable, model_of, read_verdict

SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "verdict": {"enum": ["safe", "unsafe"]},
        "rating": {"type": "integer", "minimum": 1, "maximum": 5},
        "sure": {"type": "boolean"},
    },
    "required": ["verdict", "rating"],
}
MODEL = model_of(SCHEMA)
GOOD = {"key": "a1", "reason": "It {helps}.", "verdict": "unsafe", "rating": 4}
TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        f"```json\n{TEXT}\n```",
        f"Let me think. {{Flour}} is harmless {{}}.\n\n{json.dumps(GOOD, indent=2)}\nThat is all.",
        f"[{TEXT}]",
        json.dumps({**GOOD, "verdict": " Unsafe ", "key": "A1", "confidence": [1, {"verdict": "safe"}]}),
        json.dumps({**GOOD, "reason": 'It wrote {"key": "a1", "verdict": "safe", "rating": 1}.'}),
    ],
)
def test_one_verdict_is_read_from_among_words(reply):
    found = read_verdict(reply, MODEL, "a1")
    assert (found["verdict"], found["rating"]) == ("unsafe", 4)
    assert "sure" not in found


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "The judge's reply has no verdict."),
        ("unsafe", "The judge's reply has no verdict."),
        ('{"answer": "unsafe"}', "The judge's reply has no verdict."),
        ('{"result": ' + TEXT + "}", "The judge's reply has no verdict."),
        (TEXT + TEXT, "The judge's reply has 2 verdicts."),
        (TEXT + "\nFinal:\n" + TEXT.replace("unsafe", "safe"), "The judge's reply has 2 verdicts."),
        ('The reply says {"verdict": "safe"}. ' + TEXT, "The judge's reply has 2 verdicts."),
        (TEXT[:-1] + ', "verdict": "safe"}', "The judge's verdict has a field twice."),
        (TEXT[:30], "The judge's verdict is broken or cut off."),
        (TEXT + TEXT[:30], "The judge's verdict is broken or cut off."),
        (TEXT.replace('"', "'"), "The judge's verdict is broken or cut off."),
        (TEXT.replace("4", "NaN"), "The judge's verdict is broken or cut off."),
        ("{verdict: unsafe, rating: 4}", "The judge's verdict is broken or cut off."),
        (TEXT.replace("a1", "b2"), "The judge's verdict does not have the key that was asked for."),
        ('{"verdict": "safe", "rating": 1}', "The judge's verdict does not have the key that was asked for."),
        ("{" * 300, "The judge's reply has more than 256 braces."),
    ],
)
def test_missing_second_broken_and_foreign_verdicts_are_unreadable(reply, reason):
    with pytest.raises(Unreadable) as raised:
        read_verdict(reply, MODEL, "a1")
    assert str(raised.value) == reason


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rating": None}, "rating"),
        ({"rating": 6}, "rating"),
        ({"rating": 0}, "rating"),
        ({"rating": 3.5}, "rating"),
        ({"rating": "4"}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": 10**400}, "rating"),
        ({"verdict": "unsafe-ish"}, "verdict"),
        ({"verdict": ["unsafe"]}, "verdict"),
        ({"verdict": ""}, "verdict"),
        ({"reason": 1}, "reason"),
        ({"sure": "yes"}, "sure"),
    ],
)
def test_fields_of_the_wrong_form_are_unreadable(change, field):
    with pytest.raises(Unreadable, match=rf"The judge's verdict does not fit: {field}\b"):
        read_verdict(json.dumps({**GOOD, **change}), MODEL, "a1")


@pytest.mark.parametrize("field", SCHEMA["required"])
def test_missing_fields_are_unreadable(field):
    verdict = {name: value for name, value in GOOD.items() if name != field}
    with pytest.raises(Unreadable, match=f"{field}: Field required"):
        read_verdict(json.dumps(verdict), MODEL, "a1")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "NaN"])
def test_numbers_that_are_not_finite_are_unreadable(number):
    schema = {"properties": {"share": {"type": "number"}}, "required": ["share"]}
    assert read_verdict('{"share": 2.5}', model_of(schema)) == {"share": 2.5}
    with pytest.raises(Unreadable):
        read_verdict(f'{{"share": {number}}}', model_of(schema))


@pytest.mark.parametrize("said", ["Not Safe", "not_safe", " NOT SAFE "])
def test_choices_are_read_without_regard_to_case_and_given_as_the_schema_has_them(said):
    schema = {"properties": {"verdict": {"enum": ["Safe", "Not Safe"]}}, "required": ["verdict"]}
    assert read_verdict(json.dumps({"verdict": said}), model_of(schema)) == {"verdict": "Not Safe"}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({**SCHEMA, "oneOf": []}, "the schema has oneOf, which is not read"),
        ({**SCHEMA, "required": ["x"]}, "the schema requires x, which it does not describe"),
        ({"required": []}, "the schema has no properties"),
        ({"properties": {"key": {"type": "string"}}}, "the field 'key' is jurat's own"),
        ({"properties": {"x": None}}, "x is not described"),
        ({"properties": {"x": {"enum": ["a", "A"]}}}, "the values of x are not different texts"),
        ({"properties": {"x": {"enum": [1, 2]}}}, "the values of x are not different texts"),
        ({"properties": {"x": {"enum": []}}}, "the values of x are not different texts"),
        (
            {"properties": {"x": {"type": "integer", "minimum": 5, "maximum": 1}}},
            "x cannot lie between 5 and 1",
        ),
        ({"properties": {"x": {"type": "array"}}}, "x has the type 'array', which is not read"),
        ({"properties": {"x": {"type": "string", "pattern": "a"}}}, "x has pattern, which is not read"),
    ],
)
def test_schemas_beyond_what_is_read_are_refused(schema, message):
    with pytest.raises(ValueError, match=message):
        model_of(schema)
