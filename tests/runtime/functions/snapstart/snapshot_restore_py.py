"""A substitute for AWS's package of this name, which is part of the managed runtime."""

_before, _after = [], []


def register_before_snapshot(hook, *args, **kwargs):
    _before.append((hook, args, kwargs))
    return hook


def register_after_restore(hook, *args, **kwargs):
    _after.append((hook, args, kwargs))
    return hook


def get_before_snapshot():
    return _before


def get_after_restore():
    return _after
