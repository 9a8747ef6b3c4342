"""The page where the word of a stream's end comes late: ``python -m late_ending port=0 ...``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from unittest.mock import patch

from whisperlab.app import page
from whisperlab.app.__main__ import main
from whisperlab.app.door import Door
from whisperlab.app.streams import THE_END

LATE_SECONDS = 0.5


class Late(Door):
    """A door before which the network holds one packet up."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def held(message: Any) -> None:
            if message.get("body", b"").startswith(THE_END):
                await asyncio.sleep(LATE_SECONDS)
            await send(message)

        await super().__call__(scope, receive, held)


if __name__ == "__main__":
    with patch.object(page, "Door", Late):
        sys.exit(main())
