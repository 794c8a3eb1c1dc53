"""Errors that a user can mend: what was wrong, what was expected, what to do next."""

import difflib


class InputError(ValueError):
    """What the caller gave cannot be used. The command line prints the message without a traceback."""


def check_name(kind, name, known):
    """Return `name` if it is one of `known`, else raise InputError that lists the known ones, closest first."""
    known = list(known)
    if name in known:
        return name
    folded = {str(k).lower(): k for k in known}
    near = [
        folded[m] for m in difflib.get_close_matches(str(name).lower(), folded, n=3, cutoff=0.4)
    ]
    others = [k for k in known if k not in near]
    raise InputError(f"unknown {kind} {name!r}. Known: {', '.join(map(str, near + others))}")
