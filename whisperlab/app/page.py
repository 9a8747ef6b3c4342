"""The page: one theme, one set of tabs, mounted beside the API.

Owns what all tabs share. Each tab is a module with ``build``, called inside its ``gr.Tab``; a new tab
is a module and a line in TABS.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import gradio as gr
from fastapi import FastAPI
from gradio import processing_utils, routes, utils
from starlette.routing import Mount, Route

from whisperlab.app import (
    compare_tab,
    evaluate_tab,
    live_tab,
    preprocess_tab,
    runs_tab,
    transcribe_tab,
)
from whisperlab.app.door import Door, Sessions
from whisperlab.app.layout import sentence
from whisperlab.app.reports import add_reports
from whisperlab.app.settings import AppSettings
from whisperlab.app.speech import Speech
from whisperlab.app.streams import Streams
from whisperlab.report.markup import Markup, element
from whisperlab.serve.problems import ApiError
from whisperlab.serve.service import Service

TABS: Final[tuple[tuple[str, Callable[[Speech, AppSettings], None]], ...]] = (
    ("Transcribe", transcribe_tab.build),
    ("Live", live_tab.build),
    ("Compare", compare_tab.build),
    ("Preprocess", preprocess_tab.build),
    ("Evaluate", evaluate_tab.build),
    ("Runs", runs_tab.build),
)
"""Title and builder of each tab, in the order of the page."""

STYLE: Final = Path(__file__).with_name("page.css")

CLEANUP_SECONDS: Final = 60
"""How often uploads that are too old are looked for."""


def theme() -> gr.themes.Base:
    """Returns our theme: the system's own fonts (nothing is loaded), one accent, light and dark."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    ).set(  # every text has a contrast of 4.5 and more, in both schemes (WCAG 2.2, 1.4.3)
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_600",
        checkbox_border_color="*neutral_500",  # 3 and more for a control (1.4.11)
        checkbox_border_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_border_color="*primary_700",
        button_primary_border_color_dark="*primary_700",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )


def heading(service: Service) -> Markup:
    """Returns the page's head: its name, what it is for, and what its models cannot do."""
    named: dict[str, list[str]] = {}
    for one in service.offer:
        if note := one.config["model"].get("note"):
            named.setdefault(str(note), []).append(one.name)
    said = [element("p", element("b", ", ".join(names)), f": {note}", class_="wl-note") for note, names in named.items()]  # fmt: skip
    links = element(
        "nav",
        element("a", "Call it from a program", href="/?view=api"),
        element("a", "OpenAI's API", href="/docs"),
        *([element("a", "Sign out", href="/logout")] if service.keys.asked else []),
        aria_label="For programs",
    )
    name = element("div", element("h1", "whisperlab"), links, class_="wl-title")
    return element("header", name, *said, class_="wl-head")


def build_page(speech: Speech, settings: AppSettings) -> gr.Blocks:
    """Returns the page with every tab."""
    with gr.Blocks(
        title="whisperlab",
        analytics_enabled=False,
        delete_cache=(CLEANUP_SECONDS, int(settings.keep_seconds)),
    ) as page:
        gr.HTML(heading(speech.service), padding=False)
        with gr.Tabs(overflow_behavior="wrap"):  # every tab is to be seen, on a telephone too
            for title, build in TABS:
                with gr.Tab(title, elem_id=title.lower()):
                    build(speech, settings)
        page.load(speech.chosen_anew, None, speech.choosers, api_visibility="private")
    page.queue(
        max_size=settings.queue_size, default_concurrency_limit=settings.concurrency, api_open=True
    )
    return page


def guard_files(page: gr.Blocks) -> None:
    """Lets callers name what they have uploaded, and nothing else, in place of a file.

    Gradio fetches an address that is named, without a setting against it, and it looks where a named
    file lies only in a page that was launched: in a mounted one any file of this machine would do.
    """
    check_made = processing_utils._check_allowed

    async def refuse(_: str) -> NoReturn:
        raise sentence(ApiError("invalid_value", "Expected an uploaded file, not an address."))

    def check_allowed(path: str | Path, check_in_upload_folder: bool) -> None:
        if not check_in_upload_folder:  # a file that an action of ours has made
            check_made(path, check_in_upload_folder)
        elif not _is_uploaded(path):
            raise sentence(ApiError("invalid_value", "Expected an uploaded file."))

    page.has_launched = True
    processing_utils.async_ssrf_protected_get = refuse
    processing_utils._check_allowed = check_allowed


def _is_uploaded(path: str | Path) -> bool:
    try:
        return utils.is_in_or_equal(path, utils.get_upload_folder()) and Path(path).is_file()
    except ValueError:  # a NUL is in it
        return False


def mount_page(application: FastAPI, service: Service, settings: AppSettings) -> FastAPI:
    """Returns the application with the page at ``/`` and the reports of runs beside it."""
    own = tuple(application.router.routes)
    add_reports(application, Path(settings.runs_dir))
    page = build_page(Speech(service), settings)
    guard_files(page)
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        allowed_paths=[],
        max_file_size=service.settings.limits.max_file_bytes,
        show_error=True,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        run_history=False,  # what is said stays where it was said
        footer_links=[],
        theme=theme(),
        css_paths=[STYLE],
    )
    sessions, cookie = Sessions(), f"whisperlab-{secrets.token_hex(4)}"  # cookies know no port
    for route in mounted.router.routes:
        # The server's own routes ask for the key themselves.
        if route not in own and isinstance(route, (Route, Mount)):
            if isinstance(route.app, routes.App):
                service.at_drain(route.app.stop_event.set)  # every open page holds a connection
                route.app = Streams(route.app, page._queue)
            route.app = Door(route.app, service.keys, sessions, cookie)
    return mounted
