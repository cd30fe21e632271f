"""What the processor that code is made for can do."""

import functools

import llvmlite.binding
import numba
from numba.core.codegen import get_host_cpu_features

_GATHERERS = ("sapphirerapids", "emeraldrapids", "graniterapids", "diamondrapids")


def processor_has(feature: str) -> bool:
    """Whether code is made for a processor with this feature, by LLVM's name of it."""
    features = numba.config.CPU_FEATURES
    return f"+{feature}" in (_host_features() if features is None else features.split(","))


@functools.cache
def _host_features() -> frozenset[str]:
    """Asked once: a kernel by ARS asks a thousand times, 0.3 ms each."""
    return frozenset(get_host_cpu_features().split(","))


def processor_name() -> str:
    """LLVM's name of the processor that code is made for."""
    return str(numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name())


def wide_registers() -> bool:
    """Whether there are 32 vector registers of 64 bytes."""
    return processor_has("avx512f")


def gathers_well() -> bool:
    """Whether a gather of vectors takes less time than as many loads.

    Before these processors of Intel a mended flaw made it slow (Downfall, CVE-2022-40982), and
    AMD's make a gather of loads.
    """
    return wide_registers() and processor_name() in _GATHERERS
