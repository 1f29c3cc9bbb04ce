"""voxswap's voices for Pipecat.

::

    from voxswap_pipecat import VoxswapTTSService

    tts = VoxswapTTSService(
        settings=VoxswapTTSService.Settings(voice="npc/village/blacksmith")
    )
    pipeline = Pipeline([transport.input(), stt, llm, tts, transport.output()])
"""

from voxswap_pipecat.service import VoxswapTTSService
from voxswap_pipecat.settings import VoxswapTTSSettings

__all__ = ["VoxswapTTSService", "VoxswapTTSSettings"]
