"""JSON contracts: pydantic checks them, and one formatter turns its first complaint into a sentence for a person."""

import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError

from dfslab.data._tables import number_of, series_of, whole_id
from dfslab.errors import InputError, day_of

Model = TypeVar("Model", bound=BaseModel)


def _kind(read, remedy: str):
    """Return a type that is what `read(value)` gives; None from it, or an error, is refused with `remedy`."""

    def validate(value):
        try:
            found = read(value)
        except (AttributeError, TypeError, ValueError, OverflowError):
            found = None
        if found is None:
            raise PydanticCustomError("dfslab", "{remedy}", {"remedy": remedy})
        return found

    return Annotated[Any, BeforeValidator(validate)]


def number(low: float, high: float = 1e10, whole: bool = False, hint: str = ""):
    """Return the type of a number from `low` to `high`, also written as text (`$1,250.50`)."""
    kind = "a whole number" if whole else "a number"
    remedy = (
        f"write {kind}, {low:g} or more, such as 12.50" if high == 1e10 else f"write {kind} from {low:g} to {high:g}"
    )

    def read(value):
        value = number_of(value) if isinstance(value, str) else value
        right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return float(value) if right and not (whole and math.fmod(value, 1)) else None

    return _kind(read, hint or remedy)


def word(*allowed: str):
    """Return the type of one of a few words, whatever their case."""
    folded = {name.replace("_", ""): name for name in allowed}
    return _kind(
        lambda text: folded.get("".join(text.lower().replace("_", " ").split())), f"write one of {', '.join(allowed)}"
    )


def _id(value):
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    return whole_id(value.strip()) if isinstance(value, str) else str(value) if type(value) is int else None


def _day(value):
    day = day_of(value) if isinstance(value, str) else None
    return None if day is None or day != day else day


Id = _kind(_id, "write the id as a text of digits; a spreadsheet may have cut it")
Day = _kind(_day, "write it as 2025-04-13")
Series = _kind(lambda text: series_of(text) if isinstance(text, str) else None, "write one of cup, xfinity, trucks")
Text = _kind(lambda value: "" if value is None else str(value), "write a text")

_FORMS = {"list_type": "a list", "model_type": "an object", "dict_type": "an object", "string_type": "a text"}
_FORMS |= {"model_attributes_type": "an object", "too_short": "a list that is not empty"}


def checked(model: type[Model], content, where, missing: str = "add it") -> Model:
    """Return `content` as `model`; raise `InputError` with the first thing that is wrong and how to fix it."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{where}{_sentence(error.errors(include_url=False)[0], missing)}") from None


def _sentence(error: dict, missing: str) -> str:
    place, name = "", ""
    for part in error["loc"]:
        place += f", {name.removesuffix('s')} {part + 1}" if isinstance(part, int) else ""
        name = "" if isinstance(part, int) else part
    if error["type"] == "missing" or error["input"] is None:
        return f"{place}: '{name}' is missing; {missing}"
    if error["type"] in _FORMS:
        return f"{place}: {name or 'it'} must be {_FORMS[error['type']]}; correct it"
    return f"{place}: {name or 'an entry'} is {repr(error['input'])[:40]}; {error['msg']}"
