"""Kills the node that leads, again and again, while something else uses the cluster.

It is not a judge: what the killing must not change is looked at by who calls it.
"""

import threading

from gotools import Problem
from registry import leader

# Requests that are answered between two kills; without them nearly all would be during failovers.
BETWEEN = 60


class Kills:
    """From the start of the block to its end; the first kill is at once.

    The killed node is started again as soon as another one leads. The next kill waits until every node
    is ready, so that never more than one is missing, and until some more requests were answered.
    """

    def __init__(self, nodes, answered):
        self.count = 0
        # A function: how many requests were answered so far.
        self._answered = answered
        self._nodes = nodes
        self._over = threading.Event()
        self._problem = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._over.set()
        self._thread.join()
        if self._problem and kind is None:
            raise self._problem

    def _run(self):
        try:
            while not self._over.is_set():
                self._kill_once()
                self._let_pass(BETWEEN)
        except Problem as problem:
            self._problem = problem

    def _kill_once(self):
        killed = leader(self._nodes)
        killed.kill()
        self.count += 1
        leader([node for node in self._nodes if node is not killed])
        killed.start()
        for node in self._nodes:
            node.become_ready()

    def _let_pass(self, count):
        before = self._answered()
        while self._answered() < before + count and not self._over.wait(0.005):
            pass
