"""Energy that the GPU took for the main pass, where NVIDIA's driver counts it.

Owns the reading of one counter. It does not know runs or reports.

The counter is the whole board's since the driver was loaded, in millijoules: every process counts, and so
does idling. Source: NVML, ``nvmlDeviceGetTotalEnergyConsumption`` (Volta and later).
"""

from __future__ import annotations

import sys
from typing import Any

from whisperlab.experiment.result import Energy

JOULES_PER_MILLIJOULE = 1e-3
INSTALL = "pip install 'whisperlab[energy]'"


class EnergyMeter:
    """Counts from its making on; without a counter it says why there is none."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._nvml: Any = None
        self.reason = self._find()
        self._begun = self._millijoules()

    def read(self, audio_seconds: float) -> Energy:
        """Returns the energy since the meter was made, also per second of sound."""
        now = self._millijoules()
        if self._begun is None or now is None:
            return Energy(None, self.reason)
        joules = (now - self._begun) * JOULES_PER_MILLIJOULE
        return Energy(joules, None, joules / audio_seconds if audio_seconds else None)

    def _find(self) -> str | None:
        """Finds the device that torch computes on; returns the reason where there is no counter."""
        torch: Any = sys.modules.get("torch")
        if torch is None or not torch.cuda.is_initialized():
            return "the run used no NVIDIA device"
        try:
            import pynvml
        except ImportError:
            return f"NVIDIA's management library has no Python package here: {INSTALL}"
        try:
            pynvml.nvmlInit()
            uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except pynvml.NVMLError as error:
            self._handle = None
            return f"the driver does not tell: {error}"
        self._nvml = pynvml
        return None

    def _millijoules(self) -> int | None:
        if self._handle is None:
            return None
        return int(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
