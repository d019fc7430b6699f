"""How a command that serves says something: nothing fails because nobody can read it.

Its output may go to a file on the disk that is full just now, or to a pipe whose reader is gone.
"""

import os

import click


def say(text: str, *, err: bool = False) -> None:
    """Print a line to standard output, or with ``err`` to standard error, if that is possible."""
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        _say_no_more()
    except OSError:
        pass  # there may be room again for the next line


def _say_no_more() -> None:
    """Write into the void: whoever read is gone, and a broken pipe must not fail those who log."""
    void = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(void, stream)
    os.close(void)
