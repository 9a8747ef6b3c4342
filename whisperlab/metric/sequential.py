"""Is one configuration worse than another, asked after every block and still at the promised error?

Owns the test. It does not know configurations, blocks or what is done with the answer.

Each utterance is a bet. ``d`` is how many more errors the suspect made than its opponent (less the
errors that are tolerated). Whoever holds the suspect for no worse loses the share ``tanh(stake * |d|)``
of the capital when ``d`` is positive and wins it when it is negative: the capital is the product of
``1 + tanh(stake * d) = exp(stake * d) / cosh(stake * d)``, averaged over stakes that are fixed beforehand.
If the differences are symmetric around zero, or lean to the suspect's favour, the capital is a
nonnegative supermartingale that starts at 1, so that it *ever* reaches ``1 / alpha`` with probability at
most ``alpha`` (Ville's inequality): one may look after every utterance and stop when one likes. Capitals
against several opponents may be averaged; the mean is again such a capital, for "no opponent is better".

What it does not promise: for differences that are not symmetric it tests the softened mean of
``tanh(stake * d)``, not the mean of ``d``. A suspect that is a little worse in many utterances, whose
opponent fails totally in rare ones not seen yet, is dropped more often than ``alpha`` says. Tests that are
exact for any bounded difference exist (Waudby-Smith and Ramdas 2024, "Estimating means of bounded
random variables by betting"), but need several hundred utterances for what this one shows in thirty:
their stakes are bounded by the largest possible difference, a whole utterance's words.
experiments/2026-11-24-racing counts how often the best one is lost with real outcomes.

"No worse by more than a tolerance" is asked the exact way (`NearBets`): there most utterances are equal,
and what has to be ruled out is just the rare total failure. The data are finite and drawn in random
order, so the bet is against the lowest mean that what is left must have if the claim were wrong; an
utterance counts at most as wholly wrong. Its price: a tolerance cannot be shown before so many words
are heard that the rest, failed totally, would hardly exceed it.

Source: Vovk and Wang 2024, "Nonparametric e-tests of symmetry", New England Journal of Statistics in
Data Science 2(2) (after Efron 1969 and de la Peña 1999); Ville 1939; Vovk and Wang 2021, "E-values:
calibration, combination and applications", Annals of Statistics 49(3), for the mean; for `NearBets`
Waudby-Smith and Ramdas 2020, "Confidence sequences for sampling without replacement", NeurIPS 33.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

STAKES: Final[NDArray[np.float64]] = np.exp2(np.arange(-6.0, 2.0))
"""Stakes per error, 1/64 to 2: for differences of some tens of errors down to single ones."""

FRACTIONS: Final[NDArray[np.float64]] = np.exp2(np.arange(-6.0, 1.0))
"""Shares of the capital that `NearBets` stakes, 1/64 to all: for noisy differences down to none."""

Floats = NDArray[np.float64]


class PairwiseBets:
    """The capital against every one of ``count`` configurations being no worse than every other.

    ``log_capital[suspect, opponent]`` is the natural logarithm of what a bet of 1 against the suspect
    has become; ``margin`` is the error rate by which the suspect may be worse.

    >>> bets = PairwiseBets(count=2, margin=0.0)
    >>> bets.add(np.array([[1.0] * 12, [0.0] * 12]), words=np.full(12, 10.0), members=[0, 1])
    >>> bool(bets.log_capital()[0, 1] > np.log(20)), bool(bets.log_capital()[1, 0] < 0)
    (True, True)
    """

    def __init__(self, count: int, margin: float) -> None:
        self.margin = margin
        self._log = np.zeros((count, count, len(STAKES)))

    def add(self, errors: Floats, words: Floats, members: list[int]) -> None:
        """Bets on further utterances among ``members``; all other capitals stay as they are.

        ``errors`` has shape (n_members, n_utterances), ``words`` (n_utterances,).
        """
        allowed = self.margin * words
        for row, suspect in enumerate(members):
            differences = errors[row] - errors - allowed  # (n_members, n_utterances)
            scaled = differences[:, :, None] * STAKES
            # log(1 + tanh x) = log 2 - log(1 + exp(-2 x))
            gains = (np.log(2.0) - np.logaddexp(0.0, -2.0 * scaled)).sum(axis=1)
            self._log[suspect, members] += gains

    def log_capital(self) -> Floats:
        """Returns the capitals' logarithms, shape (count, count); the diagonal is -inf."""
        found: Floats = np.logaddexp.reduce(self._log, axis=2) - np.log(len(STAKES))
        np.fill_diagonal(found, -np.inf)
        return found


class NearBets:
    """The capital against every one of ``count`` configurations being worse than every other by more than ``margin``.

    ``log_capital[one, other]`` is the natural logarithm of what a bet of 1 against "``one``'s error rate
    over all the data is higher than ``other``'s by more than ``margin``" has become; infinite once that is
    impossible. The data are ``utterances`` long, none has more than ``longest`` words, and they must be
    added in random order. Errors of an utterance count up to its words.

    >>> bets = NearBets(count=2, margin=0.1, utterances=100, longest=10)
    >>> bets.add(np.ones((2, 60)), words=np.full(60, 10.0), members=[0, 1])
    >>> bool(bets.log_capital()[0, 1] > np.log(20)), bool(bets.log_capital()[1, 0] > np.log(20))
    (True, True)
    """

    def __init__(self, count: int, margin: float, utterances: int, longest: float) -> None:
        self.margin = margin
        self._longest, self._left = longest, utterances
        self._sums = np.zeros((count, count))
        self._log = np.zeros((count, count, len(FRACTIONS)))

    def add(self, errors: Floats, words: Floats, members: list[int]) -> None:
        """Bets on further utterances among ``members``; all other capitals stay as they are.

        ``errors`` has shape (n_members, n_utterances), ``words`` (n_utterances,).
        """
        pairs = np.ix_(members, members)
        highest = (1.0 - self.margin) * self._longest
        counted = np.minimum(errors, np.minimum(words, self._longest))
        for one, length in zip(counted.T, words, strict=True):
            surplus = one[:, None] - one - self.margin * length
            # What is left must be so high on average, if the sum over all the data is not below 0.
            mean = -self._sums[pairs] / self._left
            room = highest - mean
            with np.errstate(divide="ignore", invalid="ignore"):  # all staked and lost; no room
                won = np.maximum((mean - surplus) / room, -1.0)  # rounding may lose more than all
                after = self._log[pairs] + np.log1p(FRACTIONS * won[:, :, None])
            self._log[pairs] = np.where((room > 0)[:, :, None], after, np.inf)
            self._sums[pairs] += surplus
            self._left -= 1

    def log_capital(self) -> Floats:
        """Returns the capitals' logarithms, shape (count, count)."""
        return np.asarray(np.logaddexp.reduce(self._log, axis=2) - np.log(len(FRACTIONS)))


def log_mean_against(log_capital: Floats, opponents: NDArray[np.bool_]) -> Floats:
    """Returns log of each suspect's mean capital over all others; those not in ``opponents`` count 0.

    ``opponents[suspect, other]`` says which bets are open. The mean is always over all others, so
    that leaving some out can only make it smaller.
    """
    open_bets = np.where(opponents, log_capital, -np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(
            np.logaddexp.reduce(open_bets, axis=1) - np.log(max(len(log_capital) - 1, 1))
        )
