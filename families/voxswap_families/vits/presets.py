"""Shapes of published voices."""

from __future__ import annotations

from typing import Final

from voxswap_families.vits.architecture import VitsArchitecture

#: That of Piper's "medium" voices.
MEDIUM: Final = VitsArchitecture(
    n_symbols=256,
    hidden=192,
    inter=192,
    filter_hidden=768,
    n_layers=6,
    n_heads=2,
    kernel_size=3,
    attention_window=4,
    flow_layers=4,
    flow_wavenet_layers=4,
    flow_kernel_size=5,
    dp_hidden=192,
    dp_kernel_size=3,
    dp_flows=4,
    dp_dds_layers=3,
    dp_bins=10,
    resblock=2,
    resblock_kernels=(3, 5, 7),
    resblock_dilations=((1, 2), (2, 6), (3, 12)),
    upsample_rates=(8, 8, 4),
    upsample_kernels=(16, 16, 8),
    upsample_initial=256,
    n_speakers=0,
    gin=0,
)
