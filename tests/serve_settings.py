"""Server settings as conf/serve.yaml composes them, for tests."""

from __future__ import annotations

from whisperlab.config.compose import compose
from whisperlab.serve.settings import ServeSettings, serve_settings


def settings_of(*overrides: str) -> ServeSettings:
    """Returns the settings with these overrides."""
    return serve_settings(compose("serve", overrides))
