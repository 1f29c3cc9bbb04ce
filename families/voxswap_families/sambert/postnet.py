"""The postnet: what is added to the decoder's frames, as they come."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from voxswap_families.layers.rows import Linear, Named, joined
from voxswap_families.sambert.architecture import AcousticArchitecture
from voxswap_families.sambert.fsmn import Fsmn, FsmnState
from voxswap_families.sambert.parts import Lstm, LstmState


@dataclass(slots=True)
class PostnetState:
    """Of one signal: what each layer remembers, and the frames that are not refined yet."""

    fsmn: FsmnState
    lstm: LstmState
    waiting: Tensor


class Postnet:
    """Immutable; what a signal leaves is in its state."""

    def __init__(self, named: Named, a: AcousticArchitecture) -> None:
        self._fsmn = Fsmn(named.at("fsmn"), a.postnet_shifts)
        self._lstm = Lstm(named.at("lstm"))
        self._out = Linear(named.at("fc"))
        self._ahead, self._mels = a.postnet_ahead_frames, a.mels

    @property
    def state_bytes(self) -> int:
        """An upper bound of what a state takes between pieces."""
        return 4 * (self._fsmn.kept_rows + 2 * self._lstm.units + self._ahead * self._mels)

    def start(self, like: Tensor) -> PostnetState:
        """Before the first piece; ``like`` tells type and device."""
        waiting = like.new_zeros(0, self._mels)
        return PostnetState(self._fsmn.start(like), self._lstm.start(), waiting)

    def piece(self, state: PostnetState, frames: Tensor, *, is_last: bool) -> Tensor:
        """``(frames, mels)`` more have come; as many as can be refined by now."""
        y = self._fsmn.piece(state.fsmn, frames, is_last=is_last)
        waiting = joined([state.waiting, frames])
        given, state.waiting = waiting[: y.shape[0]], waiting[y.shape[0] :]
        if not y.shape[0]:
            return given
        y, state.lstm = self._lstm(y, state.lstm)
        return given + self._out(y)
