"""All benchmarks, one after the other: ``make bench``. Ratios of one run; absolute times differ."""

from tests.benchmarks import footprint, replay, ring

for benchmark in (replay, ring, footprint):
    print(f"\n{benchmark.__doc__.splitlines()[0] if benchmark.__doc__ else benchmark.__name__}")
    benchmark.main()
