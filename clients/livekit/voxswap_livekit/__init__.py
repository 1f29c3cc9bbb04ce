"""voxswap's voices for LiveKit Agents.

::

    from livekit.agents import AgentSession
    from voxswap_livekit import TTS

    session = AgentSession(tts=TTS(voice="npc/village/blacksmith"), ...)
"""

from voxswap_livekit.tts import TTS

__all__ = ["TTS"]
