"""From a composed configuration to the running page: the server of `whisperlab.serve` with a face."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from whisperlab.app.settings import AppSettings
from whisperlab.config.build import validate
from whisperlab.serve.command import serve
from whisperlab.serve.service import Service


def app(config: Mapping[str, Any]) -> int:
    """Returns the exit code of a page that ran until it was told to stop.

    Uploads live in a folder of its own that only this user can read, and that goes with the process.

    Raises:
        ConfigError: a setting is wrong, or the address would be open to anybody.
    """
    settings = validate(AppSettings, config.get("app"), "app")
    uploads = Path(tempfile.mkdtemp(prefix="whisperlab-app-"))  # mkdtemp: 0700
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    def mount(application: FastAPI, service: Service) -> FastAPI:
        from whisperlab.app.page import mount_page

        return mount_page(application, service, settings)

    try:
        return serve(config, mount)
    finally:
        shutil.rmtree(uploads, ignore_errors=True)
