"""What an evaluation has found so far: the facts, and the rules by which they become measurements."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.definitions import METRICS
from hubdistill.evaluation.significance import Array, Bootstrap, divide
from hubdistill.metrics.retained_quality.retained_quality import retained_quality
from hubdistill.report import Comparison, EvaluationData, Interval, Measurement, Metric, Value

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimate:
    """A figure and its values on the resamples."""

    value: float
    resampled: Array
    """Shape (resamples,)."""


@dataclass
class Findings:
    """Collects measurements and comparisons.

    Args:
        resamples: behind every interval.
        seed: of the resamples.
        reproduce: the call that repeats the evaluation.
    """

    resamples: int
    seed: int
    reproduce: str
    data: dict[str, EvaluationData] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, Metric]:
        """Definitions of the metrics that were measured."""
        measured = {measurement.metric for measurement in self.measurements}
        return {name: metric for name, metric in METRICS.items() if name in measured}

    def bootstrap(self, items: int, unit: str) -> Bootstrap:
        """Resamples of a set of items; the same for every model."""
        return Bootstrap(items, unit, resamples=self.resamples, seed=self.seed)

    def add_data(self, name: str, data: EvaluationData) -> None:
        """Define data under its name.

        Raises:
            EvaluationError: other data goes by that name.
        """
        if name in self.data:
            raise EvaluationError(f"two evaluation sets are named {name!r}; rename one in the recipe")
        self.data[name] = data

    def measure(
        self,
        metric: str,
        model: str,
        value: float,
        data: str,
        *,
        n: int | None = None,
        against: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        interval: Interval | None = None,
    ) -> None:
        """Add one measurement; `n` is the number of items of the data unless said otherwise."""
        self.measurements.append(
            Measurement(
                metric=metric,
                model=model,
                value=value,
                data=data,
                n=self.data[data].n if n is None else n,
                against=against,
                parameters=dict(parameters or {}),
                interval=interval,
                reproduce=self.reproduce,
            )
        )

    def quality(
        self,
        metric: str,
        data: str,
        estimates: Sequence[tuple[str, Estimate]],
        bootstrap: Bootstrap,
        *,
        parameters: Mapping[str, Value] | None = None,
    ) -> None:
        """Add one quality figure of several models, and the comparison of every two of them.

        Args:
            metric: the metric's name.
            data: the data's name.
            estimates: model names and their figures, the teacher's first.
            bootstrap: the resamples behind the figures.
            parameters: of the measurements and comparisons.
        """
        for model, estimate in estimates:
            interval = bootstrap.interval(estimate.resampled)
            self.measure(metric, model, estimate.value, data, parameters=parameters, interval=interval)
        # Of variants nobody is warned: there are many, and who looks at one sees its figure.
        if not parameters and (lowest := min(estimates, key=lambda one: one[1].value))[1].value <= 0:
            logger.warning(
                "%s on %s: %s has %.4f, which others cannot be compared with",
                metric,
                data,
                lowest[0],
                lowest[1].value,
            )
        for place, (against, reference) in enumerate(estimates):
            for model, estimate in estimates[place + 1 :]:
                self.compare(
                    metric, data, (model, estimate), (against, reference), bootstrap, parameters=parameters
                )

    def compare(
        self,
        metric: str,
        data: str,
        ours: tuple[str, Estimate],
        theirs: tuple[str, Estimate],
        bootstrap: Bootstrap,
        *,
        parameters: Mapping[str, Value] | None = None,
    ) -> None:
        """Add the paired comparison of two models.

        A figure that is not above zero allows no share of it, and too few items no interval: then there is no
        comparison.
        """
        (model, estimate), (against, reference) = ours, theirs
        interval = bootstrap.paired_interval(estimate.resampled - reference.resampled)
        if reference.value <= 0 or interval is None:
            return
        kept_interval = bootstrap.paired_interval(divide(estimate.resampled, reference.resampled))
        assert kept_interval is not None
        self.comparisons.append(
            Comparison(
                metric=metric,
                model=model,
                against=against,
                data=data,
                parameters=dict(parameters or {}),
                difference=estimate.value - reference.value,
                interval=interval,
                kept=retained_quality([estimate.value], [reference.value]),
                kept_interval=kept_interval,
            )
        )


def texts_sha256(texts: Iterable[str]) -> str:
    """Hash of texts in their order, newline-joined."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
