"""Tells a learner whether the answer to an exercise is right, without showing the answer."""

import hashlib


def check(answer, digest, hint=""):
    """Say whether `answer` is right: None (not answered yet), a number or a string, against the `digest` that the notebook gives.

    Numbers are compared to four significant digits, strings without regard to case and blanks at the ends. Returns True, False or None.
    """
    if answer is None:
        print("No answer yet: replace None above, run that cell, then this one.")
        return None
    right = digest_of(answer) == digest
    print("Right." if right else f"Not yet: {answer!r} is not the answer. {hint}".rstrip())
    return right


def digest_of(answer):
    """The digest of the right answer, for the author of an exercise: eight hexadecimal digits."""
    text = answer.strip().lower() if isinstance(answer, str) else f"{float(answer):.4g}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]
