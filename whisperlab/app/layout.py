"""What every tab is laid out of: a sound, buttons to start and stop, the line that says how things stand.

Owns their looks, and what an error of ours is in the page: a sentence in that line, where the person
looks who pressed the button; to a program the same sentence. It does not know what a tab does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import gradio as gr

from whisperlab.errors import WhisperlabError
from whisperlab.report.markup import Markup, element
from whisperlab.serve.problems import ApiError, from_error

INPUTS_WIDTH: Final = 280
RESULTS_WIDTH: Final = 320
"""Pixels below which a column goes under the other: both fit a telephone of 400."""

Action = Callable[..., Iterator[tuple[Any, ...]]]
"""What a button does: a generator of the values of its outputs."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The buttons of a tab, and its state line."""

    start: gr.Button
    stop: gr.Button
    status: gr.HTML

    def stops(self, job: Any) -> None:
        """Lets Stop end the job, wherever it is."""
        self.stop.click(
            lambda: status_line("Stopped."),
            None,
            [self.status],
            cancels=[job],
            api_visibility="private",
        )


def sound_input() -> gr.Audio:
    """Returns the place where a sound is recorded or uploaded."""
    return gr.Audio(
        type="filepath",
        sources=["upload", "microphone"],
        label="Sound",
        buttons=["download"],  # not "share": that would send it to another server
    )


def buttons(label: str) -> tuple[gr.Button, gr.Button]:
    """Lays out the button that starts and the one that stops; returns them in this order."""
    with gr.Row():
        return gr.Button(label, variant="primary"), gr.Button("Stop", variant="stop")


def controls(label: str) -> Controls:
    """Lays out the buttons with the state line under them."""
    start, stop = buttons(label)
    return Controls(start, stop, state_line())


def state_line() -> gr.HTML:
    """Returns the line that says how things stand."""
    return gr.HTML(status_line("Ready."), label="State", elem_classes="wl-state")


def choice(names: Sequence[str | tuple[str, str]], **settings: Any) -> gr.Dropdown:
    """Returns a dropdown that leaves refusing to the endpoint: by a sentence, without a traceback."""
    return gr.Dropdown(list(names), allow_custom_value=True, **settings)


def told(outputs: int, state: int) -> Callable[[Action], Action]:
    """Makes an action with so many ``outputs`` say an error of ours in its output number ``state``.

    The page shows the sentence there and nothing else; a program gets it as the call's error.
    """

    def telling(action: Action) -> Action:
        @wraps(action)
        def acted(*given: Any) -> Iterator[tuple[Any, ...]]:
            try:
                yield from action(*given)
            except (ApiError, WhisperlabError) as error:
                found = error if isinstance(error, ApiError) else from_error(error)
                shown: list[Any] = [gr.skip()] * outputs
                shown[state] = failed_line(found.message)
                yield tuple(shown)
                raise gr.Error(found.message, visible=False, print_exception=False) from error

        return acted

    return telling


@contextmanager
def sentences() -> Iterator[None]:
    """Turns our errors into the page's: sentences without a traceback."""
    try:
        yield
    except ApiError as error:
        raise sentence(error) from error
    except WhisperlabError as error:
        raise sentence(from_error(error)) from error


def sentence(error: ApiError) -> gr.Error:
    """Returns the error as a message over the page, for what has no state line of its own."""
    return gr.Error(error.message, print_exception=False)


def status_line(text: str) -> str:
    """Returns a line that says how things stand, announced to screen readers; ``text`` is markup."""
    return f'<div class="wl-status" role="status">{text}</div>'


def failed_line(message: str) -> Markup:
    """Returns the line that says what went wrong, and what to do."""
    return element("div", message, class_="wl-failed", role="alert")
