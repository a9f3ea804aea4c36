"""Numbers, and true and false, in what programs send: a text is none, and neither is the other.

Litestar has pydantic take "2" and true for numbers, whatever a field says of being strict. A form
is text, of which `model_validate_strings` makes numbers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ValidationInfo


def _whole(value: object, info: ValidationInfo) -> object:
    if info.mode == "python" and type(value) is not int:
        raise ValueError("this has to be a whole number")
    return value


def _number(value: object, info: ValidationInfo) -> object:
    if info.mode == "python" and type(value) not in (int, float):
        raise ValueError("this has to be a number")
    return value


def _flag(value: object, info: ValidationInfo) -> object:
    if info.mode == "python" and type(value) is not bool:
        raise ValueError("this has to be true or false")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
