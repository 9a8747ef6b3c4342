"""What notebooks hold: runs and comparisons that show themselves, tabulate and plot.

Every function here calls what the command of the same name calls, so a cell and a command find the
same numbers. This room adds how they look in a notebook, nothing else.
"""

from whisperlab.study.comparison import RunComparison, compare
from whisperlab.study.run import Run, evaluate, open_run

__all__ = ["Run", "RunComparison", "compare", "evaluate", "open_run"]
