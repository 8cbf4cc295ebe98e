"""In which bin is a sample, by its timestamp?

Samples of a regular stream are one bin apart. Their timestamps are late by a varying delay, and samples may be missing. A sample that is late by half a bin or
more is held until a later one comes in time (then it was the delay), or for ``jitter_s`` none has (then samples are missing: a gap of as many bins as even
the least late of them is late by). Slow drift of the sender's clock is followed. A sample without a finite timestamp is left out, as if it had not come.

Samples that are not at the rate are refused before the first one is placed. Later that is told, and where bins are is found anew from the samples that
follow; those of a stretch that keeps another rate are left out.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from ..errors import GlauberError

log = logging.getLogger("glauber.bridge")

#: Share of a sample's lateness by which the expected times follow it.
FOLLOW = 0.01
#: Samples over which the rate is checked, before the first is placed and from then on.
CHECK_SAMPLES = 100
#: Over so many samples their distance is taken, so that delays hardly count, and a gap spoils but a few.
DISTANCE_LAG = 20
#: Largest deviation of the median distance of samples from the bin width, as a share of it.
DISTANCE_OFF_MAX = 0.03
#: Most gaps, and most samples that come too early, among so many samples.
IRREGULAR_MAX = 5
#: Instead of a bin: the sample is in none.
LEFT_OUT = -1
#: Farther back than this, a clock has begun anew.
STEP_BACK_S = 1.0


class RateError(GlauberError):
    """Samples do not come at the rate that the stream has said."""


class Timeline:
    """Places samples into bins.

    Parameters
    ----------
    bin_width_s : float
        Distance of samples, seconds.
    first_bin : int
        Bin of the first sample.
    jitter_s : float
        Longest delay of a timestamp, seconds.
    """

    def __init__(self, bin_width_s: float, *, first_bin: int = 0, jitter_s: float = 0.25) -> None:
        self._width_s = bin_width_s
        self._jitter_s = jitter_s
        self.next_bin = first_bin
        self._is_calibrated = False
        self._was_calibrated = False
        self._order: deque[bool] = deque()  # of samples that are not placed yet: whether the timestamp is finite
        self._trouble: str | None = None  # why the bins are to be found anew
        self._waiting: list[float] = []  # before the rate is known
        self._held: list[float] = []  # timestamps that are late by half a bin or more
        self._expected_s = 0.0  # time of `next_bin`
        self._recent: list[bool] = []  # whether each of the newest samples was irregular
        self._newest: list[float] = []
        #: How often the sender's clock began anew.
        self.clock_resets = 0

    @property
    def n_held(self) -> int:
        """Samples that were added and are not placed yet."""
        return len(self._order)

    def add(self, timestamps: Sequence[float]) -> list[int]:
        """Bins of the oldest samples not placed yet, as many as can be told now; `LEFT_OUT` for a sample that is in none.

        Parameters
        ----------
        timestamps : sequence of float
            Of further samples, seconds.

        Raises
        ------
        RateError
            When the first samples are not ``bin_width_s`` apart.
        """
        placed: list[int] = []
        for timestamp in timestamps:
            is_finite = math.isfinite(timestamp)
            self._order.append(is_finite)
            if not is_finite:
                continue
            if not self._is_calibrated:
                self._waiting.append(timestamp)
                placed += self._begin() if len(self._waiting) == CHECK_SAMPLES else []
                continue
            placed += self._add_one(timestamp)
            if self._trouble is not None:
                placed += self._find_anew(self._trouble)
        return self._with_left_out(placed)

    def end(self) -> list[int]:
        """Bins of all samples that are held: no more are to come."""
        placed = self._begin() if self._waiting else []
        while self._held:
            placed += self._place_held()
        return self._with_left_out(placed)

    def _with_left_out(self, placed: list[int]) -> list[int]:
        """Put samples without a timestamp to their places among the others."""
        told: list[int] = []
        for bin_ in placed:
            while not self._order.popleft():
                told.append(LEFT_OUT)
            told.append(bin_)
        while self._order and not self._order[0]:
            self._order.popleft()
            told.append(LEFT_OUT)
        return told

    def _begin(self) -> list[int]:
        waiting, self._waiting = self._waiting, []
        wrong = self._wrong_rate(waiting, DISTANCE_LAG)
        if wrong is not None and self._was_calibrated:
            # Missing samples spoil far distances; those of neighbours tell of another rate alone.
            wrong = self._wrong_rate(waiting, 1)
            if wrong is not None:
                log.warning("%s: %d samples are left out as not observed", wrong, len(waiting))
                return [LEFT_OUT] * len(waiting)
        elif wrong is not None:
            raise RateError(wrong)
        # The least delayed one tells where the bins are, unless samples are missing before it.
        window = np.array(waiting[: max(int(self._jitter_s / self._width_s), 1)])
        back = np.flatnonzero(np.diff(window) < -STEP_BACK_S)
        window = window[: back[0] + 1] if len(back) else window
        early = float((window - self._width_s * np.arange(len(window))).min())
        if self._was_calibrated and early - self._expected_s < -STEP_BACK_S:
            self._note_reset()
        elif self._was_calibrated:
            self.next_bin += max(round((early - self._expected_s) / self._width_s), 0)
        self._expected_s, self._is_calibrated = early, True
        placed = [bin_ for timestamp in waiting for bin_ in self._add_one(timestamp)]
        if self._trouble is not None and not self._was_calibrated:
            raise RateError(self._trouble)
        # What these were like is known.
        self._was_calibrated, self._trouble, self._recent, self._newest = True, None, [], []
        return placed

    def _find_anew(self, trouble: str) -> list[int]:
        log.warning("%s: gaps are left as the timestamps tell, and bins are found anew", trouble)
        placed: list[int] = []
        while self._held:
            placed += self._place_held()
        self._is_calibrated, self._trouble, self._recent, self._newest = False, None, [], []
        return placed

    def _wrong_rate(self, timestamps: list[float], lag: int) -> str | None:
        if len(timestamps) <= lag:
            return None
        times = np.array(timestamps)
        median_s = float(np.median(times[lag:] - times[:-lag])) / lag
        if abs(median_s - self._width_s) <= DISTANCE_OFF_MAX * self._width_s:
            return None
        return f"samples are {1e3 * median_s:.4g} ms apart (median of {len(times)}); expected bins of {1e3 * self._width_s:.4g} ms"

    def _add_one(self, timestamp: float) -> list[int]:
        self._newest.append(timestamp)
        if len(self._newest) == CHECK_SAMPLES:
            self._trouble = self._wrong_rate(self._newest, DISTANCE_LAG) or self._trouble
            self._newest = []
        late_s = timestamp - self._expected_s - len(self._held) * self._width_s
        if late_s < -STEP_BACK_S:
            return self._begin_anew(timestamp)
        if late_s >= self._width_s / 2:
            self._held.append(timestamp)
            return self._place_held() if timestamp - self._held[0] >= self._jitter_s else []
        # In time: those held before it were only delayed.
        placed = [self._pass() for _ in range(len(self._held) + 1)]
        self._held = []
        if late_s < -self._width_s / 2:
            # Delays only make late: this one is where the bins are.
            self._expected_s += late_s
            self._note(irregular=True)
        else:
            self._expected_s += FOLLOW * late_s
            self._note(irregular=False)
        return placed

    def _pass(self) -> int:
        bin_ = self.next_bin
        self.next_bin += 1
        self._expected_s += self._width_s
        return bin_

    def _begin_anew(self, timestamp: float) -> list[int]:
        placed: list[int] = []
        while self._held:
            placed += self._place_held()
        self._note_reset()
        self._expected_s = timestamp
        self._newest = []
        return [*placed, self._pass()]

    def _note_reset(self) -> None:
        self.clock_resets += 1
        # How long it was away cannot be told; one bin keeps transitions from crossing.
        self.next_bin += 1

    def _place_held(self) -> list[int]:
        """Samples are missing before the first one held."""
        steps = self._expected_s + self._width_s * np.arange(len(self._held))
        missing = max(round(float((np.array(self._held) - steps).min()) / self._width_s), 1)
        self.next_bin += missing
        self._expected_s += missing * self._width_s
        self._note(irregular=True)
        placed = [self._pass()]
        rest, self._held = self._held[1:], []
        for timestamp in rest:
            late_s = timestamp - self._expected_s - len(self._held) * self._width_s
            if late_s >= self._width_s / 2:
                self._held.append(timestamp)
            else:
                placed += [self._pass() for _ in range(len(self._held) + 1)]
                self._held = []
        return placed

    def _note(self, *, irregular: bool) -> None:
        self._recent.append(irregular)
        if len(self._recent) > CHECK_SAMPLES:
            self._recent.pop(0)
        if irregular and sum(self._recent) > IRREGULAR_MAX:
            self._trouble = (
                f"{sum(self._recent)} of the newest {len(self._recent)} samples came too early, or after missing ones: "
                f"they do not come every {1e3 * self._width_s:.4g} ms"
            )
