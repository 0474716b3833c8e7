"""How fast `csd` is, beside what a user would otherwise write and beside what the machine allows (docs/performance.md).

From the ground up: `clock` times, `baselines` are what a practitioner writes, `limits` what the machine can do, `ours`
what csd does, `measure` puts them side by side into a dataset, `table` and `figure` show it.

    python -m benchmarks [--quick] [--output results/benchmarks]
"""
