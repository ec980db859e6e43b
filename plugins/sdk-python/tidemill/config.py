"""A plugin's settings: a dataclass becomes a JSON Schema, and a JSON object the dataclass."""

import dataclasses
import types
import typing

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(kind):
    """The JSON Schema of a type: a dataclass, str, int, float, bool, list[T], dict[str, T], Optional[T], Literal[...] or Annotated[T, "words"]."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        words = [extra for extra in arguments[1:] if isinstance(extra, str)]
        return {**schema(arguments[0]), **({"description": words[0]} if words else {})}
    if dataclasses.is_dataclass(kind):
        return _object(kind)
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is list:
        return {"type": "array", "items": schema(arguments[0])}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if one is type(None) else schema(one) for one in arguments]}
    raise TypeError(f"a setting can't be of the type {kind}")


def _object(kind):
    hints = typing.get_type_hints(kind, include_extras=True)
    properties, required = {}, []
    for setting in dataclasses.fields(kind):
        properties[setting.name] = schema(hints[setting.name])
        if setting.default is not dataclasses.MISSING:
            properties[setting.name]["default"] = setting.default
        elif setting.default_factory is not dataclasses.MISSING:
            properties[setting.name]["default"] = setting.default_factory()
        else:
            required.append(setting.name)
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def load(kind, value, where="the configuration"):
    """A value of the type out of JSON; `ValueError` says which setting doesn't fit."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return load(arguments[0], value, where)
    if dataclasses.is_dataclass(kind):
        return _load_object(kind, value, where)
    if origin is list and isinstance(value, list):
        return [load(arguments[0], one, where) for one in value]
    if origin is dict and isinstance(value, dict):
        return {name: load(arguments[1], one, f"`{name}`") for name, one in value.items()}
    if origin is typing.Literal and value in arguments:
        return value
    if origin in (typing.Union, types.UnionType):
        return _load_one_of(arguments, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if kind in _PLAIN and type(value) is kind:
        return value
    raise ValueError(f"{where} doesn't have the type that is expected: {schema(kind)}")


def _load_object(kind, value, where):
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    hints = typing.get_type_hints(kind, include_extras=True)
    settings = {setting.name: setting for setting in dataclasses.fields(kind)}
    for name in value:
        if name not in settings:
            raise ValueError(f"`{name}` is unknown; the settings are {', '.join(settings) or 'none'}")
    given = {name: load(hints[name], one, f"`{name}`") for name, one in value.items()}
    for name, setting in settings.items():
        if name not in given and setting.default is dataclasses.MISSING and setting.default_factory is dataclasses.MISSING:
            raise ValueError(f"`{name}` is missing")
    return kind(**given)


def _load_one_of(kinds, value, where):
    for kind in kinds:
        if kind is type(None):
            if value is None:
                return None
            continue
        try:
            return load(kind, value, where)
        except ValueError:
            pass
    raise ValueError(f"{where} has none of the types that are possible")
