"""Examples of every route for curl and for the official Python client, to be copied and run.

Each runs as it stands against a server on this machine; a test does so.
"""

from __future__ import annotations

from typing import Any, Final

BASE_URL: Final = "http://127.0.0.1:8000"
"""What stands in the examples; /docs puts the address of its server there."""

SOUND: Final = "speech.wav"
"""The file that stands in the examples."""

_KEY: Final = '-H "Authorization: Bearer $WHISPERLAB_API_KEY"'

_CLIENT: Final = f"""\
import os

from openai import OpenAI

client = OpenAI(
    base_url="{BASE_URL}/v1", api_key=os.environ.get("WHISPERLAB_API_KEY") or "none"
)
"""

_AUDIO: Final = """\
with open("{sound}", "rb") as sound:
    answer = client.audio.{kind}.create(
        model="whisper-1", file=sound, response_format="verbose_json"
    )
print(answer.text)
"""

_PYTHON: Final = {
    "/v1/audio/transcriptions": _AUDIO.format(sound=SOUND, kind="transcriptions"),
    "/v1/audio/translations": _AUDIO.format(sound=SOUND, kind="translations"),
    "/v1/models": "for model in client.models.list():\n    print(model.id)\n",
    "/v1/models/{model}": 'print(client.models.retrieve("whisper-1").id)\n',
    "/v1/config": 'print(client.get("/config", cast_to=object))\n',
}


def samples(path: str) -> list[dict[str, Any]]:
    """Returns the examples of a route, in the form of the ``x-codeSamples`` extension."""
    curl = f"curl {BASE_URL}{path.format(model='whisper-1')}"
    if path.startswith(("/v1/", "/metrics")):
        curl += f" \\\n  {_KEY}"
    if path.startswith("/v1/audio/"):
        curl += f" \\\n  -F model=whisper-1 -F response_format=verbose_json -F file=@{SOUND}"
    # An absolute URL is taken as it is, so that the client reaches what is not below /v1.
    python = _PYTHON.get(path, f'print(client.get("{BASE_URL}{path}", cast_to=str))\n')
    return [
        {"lang": "Shell", "label": "curl", "source": f"{curl}\n"},
        {"lang": "Python", "label": "openai", "source": f"{_CLIENT}\n{python}"},
    ]
