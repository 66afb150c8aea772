"""What msgspec found wrong with a value, in the words of api.md 1.6.

msgspec tells the place and the reason in one sentence only; tests hold every form of that sentence we rely on.
"""

import re

import msgspec

from domain.errors import Fault

_SENTENCE = re.compile(r"(?P<reason>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")

_FORMS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"Expected .*, got "), "type", "This value has the wrong type."),
    (re.compile(r"Expected .* of length >="), "too_short", "This value is too short."),
    (re.compile(r"Expected .* of length <="), "too_long", "This value is too long."),
    (re.compile(r"Expected .* (?:>=|<=|>|<) "), "out_of_range", "This number is out of range."),
    (re.compile(r"(?:Number|Integer value) out of range"), "out_of_range", "This number is out of range."),
    (re.compile(r"Invalid UUID"), "invalid_uuid", "This is not a UUID."),
)


def fault_of(error: msgspec.ValidationError) -> Fault:
    sentence = _SENTENCE.fullmatch(str(error))
    path = ((sentence and sentence["path"]) or "").replace("[...]", "")
    reason = sentence["reason"] if sentence else ""
    if missing := _MISSING.fullmatch(reason):
        field = f"{path}.{missing['name']}" if path else missing["name"]
        return Fault(field=field, message="This member is required.", code="required")
    for form, code, message in _FORMS:
        if form.match(reason):
            return Fault(field=path, message=message, code=code)
    return Fault(field=path, message="This value is not valid.", code="invalid_value")
