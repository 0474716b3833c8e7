"""A measurement as Markdown: targets first, then ratios, fractions of limits, exponents, and where the time goes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.clock import quartiles
from csd.core.errors import InputError
from csd.core.paths import write_text

BEGIN = "<!-- made by: python -m benchmarks --table results/benchmarks/benchmarks.nc --document docs/performance.md -->"
END = "<!-- end of what is made -->"

CODES = {
    "conv": "(a) PyTorch, `nn.Conv`",
    "fft": "(b) PyTorch, FFT",
    "numpy": "(c) NumPy, FFT",
    "csd_implicit": "csd, implicit loss",
}
OVERHEAD_TARGET = 15e-6
LOCAL_TARGET, CLUSTER_TARGET = 2e6, 5e5
"""Site updates a second."""


def table(dataset: xr.Dataset) -> str:
    """All tables of a measurement."""
    return f"{summary(dataset)}\n{details(dataset)}"


def summary(dataset: xr.Dataset) -> str:
    """The machine, and the targets beside what was measured."""
    return f"{_about(dataset)}\n\n{_section('Targets', _targets(dataset))}\n"


def details(dataset: xr.Dataset) -> str:
    """All tables but that of the targets."""
    parts = [
        _section("A training step, as a multiple of csd's", _training(dataset)),
        _section("A generated field, as a multiple of csd's", _sampling(dataset)),
        _section("End to end, as a multiple of csd's", _end_to_end(dataset)),
        _section("Hot loops, as fractions of their limits", _loops(dataset)),
        _section("Growth with N = L^d", _growth(dataset)),
        _section("Monte Carlo updates", _updates(dataset)),
        _section("Jobs", _jobs(dataset)),
        _section("Where the time goes", _profiles(dataset)),
    ]
    return "\n\n".join(parts) + "\n"


def put_into(document: Path, dataset: xr.Dataset) -> None:
    """Replace what stands between the marks of a document by the summary, and write the rest and the figure beside it.

    The other tables are `benchmarks/measured.md`, which the site shows in the same page.

    Raises:
        InputError: if the document is missing or has no marks.
    """
    from benchmarks.figure import save

    if not document.is_file():
        raise InputError(f"{document}: there is no such file")
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{document}: the lines {BEGIN!r} and {END!r} are missing; put them where the tables belong")
    write_text(f"{before}{BEGIN}\n\n{summary(dataset)}\n{END}{after}", document)
    write_text(details(dataset), document.parent.parent / "benchmarks" / "measured.md")
    save(dataset, document.parent / "images" / "performance", suffixes=(".png",))


def _about(dataset: xr.Dataset) -> str:
    """Machine and versions."""
    attrs = dataset.attrs
    kind = "Smallest sizes, only to see that it runs; no number here means anything. " if attrs.get("quick") else ""
    return (
        f"{kind}Machine: {attrs['machine']}; one thread. Medians over {attrs['repeats']} repeats with quartiles in"
        f" parentheses where they differ; code {attrs.get('csd_commit', 'unknown')}. {_draws(dataset)}"
    )


def _draws(dataset: xr.Dataset) -> str:
    """What draws the random numbers of what is measured in this process."""
    if dataset.attrs["draws"] != "compiled":
        return "The compiled loops cannot be used here: random numbers are drawn by NumPy's."
    loading = seconds(float(dataset["loading_seconds"]))
    return f"Compiled loops draw the random numbers; they were loaded before, in {loading}, as a long job does once."


def _section(title: str, body: str) -> str:
    """A heading and what is under it."""
    return f"### {title}\n\n{body}"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int = 2) -> str:
    """A number to so many digits, without exponents and with separators of thousands."""
    if not np.isfinite(value):
        return "–"
    if value == 0.0:
        return "0"
    places = digits - 1 - int(np.floor(np.log10(abs(value))))
    return f"{round(value, places):,.{max(places, 0)}f}"


def spread(values: Any, mark: str = "", digits: int = 2) -> str:
    """Median with quartiles in parentheses, where they differ from it."""
    low, middle, high = (number(float(value), digits) for value in values)
    if middle == "–":
        return middle
    return f"{mark}{middle}" if low == middle == high else f"{mark}{middle} ({low}–{high})"


def multiple(values: Any) -> str:
    """A ratio with quartiles."""
    return spread(values, "×")


def seconds(value: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.995 * size:
            return f"{number(value / size)} {unit}"
    return f"{number(value / 1e-9)} ns"


def _bytes(value: float) -> str:
    """A size with its unit."""
    if not np.isfinite(value):
        return "–"
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value / 1e3)} kB"


def _median(values: xr.DataArray) -> float:
    """Over repeats."""
    return float(values.median())


def training_label(dataset: xr.Dataset, place: int) -> str:
    """A training problem in words."""
    one = dataset.isel(training_case=place)
    words = [
        f"{name} = {int(one[f'training_{key}'])}" for name, key in (("d", "dimension"), ("L", "size"), ("B", "batch"))
    ]
    return f"{', '.join(words)}, levels = {int(one['training_levels'])}"


def _targets(dataset: xr.Dataset) -> str:
    """What was asked for, beside what was measured."""
    first = dataset["training_ratio"].isel(training_case=0)
    share = dataset["loop_share"].sel(resource="copy")
    overhead = quartiles(dataset["overhead_seconds"].values) / OVERHEAD_TARGET
    transforms = dataset["sampling_transforms"].sel(sampler="modes").values
    slowest = transforms[np.argmax(transforms[:, 1])]
    where = training_label(dataset, 0)
    rows = [
        (f"training step over (a), {where}", "at least ×100,000", multiple(first.sel(code="conv").values)),
        (f"training step over (b), {where}", "at least ×300", multiple(first.sel(code="fft").values)),
        (
            "share of the copy bandwidth, population step beyond the cache",
            "at least 0.30",
            spread(share.sel(loop="population step, beyond cache").values),
        ),
        *(
            (f"overhead of a step on 5 modes over 15 µs, {loss}", "at most 1", spread(overhead[row]))
            for row, loss in enumerate(dataset["loss"].values)
        ),
        (
            "a step of a generated field over a transform and its inverse, slowest lattice",
            "at most ×2",
            multiple(slowest),
        ),
        (
            "site updates a second of the slowest local update, d = 2, over 2 million",
            "at least 1",
            spread(_slowest_updates(dataset, "metropolis", "heat_bath", "overrelaxation", "langevin") / LOCAL_TARGET),
        ),
        (
            "site updates a second of Wolff's clusters, slowest target, d = 2, over 0.5 million",
            "at least 1",
            spread(_slowest_updates(dataset, "wolff") / CLUSTER_TARGET),
        ),
        ("two jobs on two cores over one", "at most 1.15", spread(dataset["pair_ratio"].values, digits=3)),
        ("cores that a job uses", "at most 1", spread(dataset["cores_used"].values, digits=3)),
    ]
    return _rows(["what", "target", "measured"], rows)


def _extrapolated(value: str, factor: float) -> str:
    """Marked where it was extrapolated."""
    return value if factor == 1.0 or value == "–" else f"{value}†"


def _training(dataset: xr.Dataset) -> str:
    """Ratios of a training step."""
    rows = []
    for place in range(dataset.sizes["training_case"]):
        one = dataset.isel(training_case=place)
        ratios = [
            _extrapolated(
                multiple(one["training_ratio"].sel(code=code).values), float(one["training_factor"].sel(code=code))
            )
            for code in CODES
        ]
        own = _median(one["training_seconds"].sel(code="csd"))
        problem = ", ".join(str(int(one[f"training_{key}"])) for key in ("dimension", "size", "batch", "levels"))
        rows.append([problem, *ratios, f"{number(1.0 / own)}"])
    factor = float(dataset["training_factor"].sel(code="conv").isel(training_case=0))
    notes = (
        "\n\nOne layer, denoising loss (last but one column: csd with its implicit loss), float64."
        f" † extrapolated in proportion to batch and levels from what takes seconds (first row: by"
        f" {factor:,.0f}); checked at B = 8 and 2 levels, a factor of"
        f" {float(dataset['extrapolation_factor']):.0f}: measured over extrapolated is"
        f" {spread(dataset['extrapolation'].values)}."
        f" {_errors(dataset)}"
    )
    return _rows(["d, L, B, levels", *CODES.values(), "csd, steps/s"], rows) + notes


def _errors(dataset: xr.Dataset) -> str:
    """Final errors and training times of all codes."""
    errors = ", ".join(f"{value:.1e}" for value in dataset["final_error"].values)
    times = ", ".join(f"{value:.0f}" for value in dataset["final_time"].values)
    return (
        f"All reach the same error at d = 2, L = 8, B = 64, t = 0.1: {errors} after {dataset.attrs['final_steps']}"
        f" steps and 1 % at step {times} (csd, a, b, c; other minibatches each)."
    )


def _sampling(dataset: xr.Dataset) -> str:
    """Ratios of a generated field."""
    rows = []
    for place in range(dataset.sizes["sampling_case"]):
        one = dataset.isel(sampling_case=place)
        ratios = [
            _extrapolated(
                multiple(one["sampling_ratio"].sel(trained_code=code).values),
                float(one["sampling_factor"].sel(trained_code=code)),
            )
            for code in ("conv", "fft", "numpy")
        ]
        transforms = [multiple(one["sampling_transforms"].sel(sampler=name).values) for name in ("modes", "score")]
        own = _median(one["sampling_seconds"].sel(trained_code="csd"))
        label = f"d = {int(one['sampling_dimension'])}, L = {int(one['sampling_size'])}"
        rows.append([label, *ratios, *transforms, number(1.0 / own)])
    head = ["lattice", *list(CODES.values())[:3], "step by modes / FFT pair", "step by a score / FFT pair"]
    note = (
        f"\n\nEuler–Maruyama, {dataset.attrs['sampler_steps']} steps, the exact score's kernels; fields in real space"
        " at the end. The two columns after compare one step of one field with one transform and its inverse: mode by"
        " mode (no transform), and with a score that is called on fields (one pair, and everything else)."
    )
    return _rows([*head, "csd, fields/s"], rows) + note


def _end_to_end(dataset: xr.Dataset) -> str:
    """Ratios of a trained network and of right samples."""
    rows = []
    for place in range(dataset.sizes["network_case"]):
        one = dataset.isel(network_case=place)
        label = f"d = {int(one['network_dimension'])}, L = {int(one['network_size'])}"
        rows.append(
            [
                f"network to 1 % at t = 0.1, {label}, {int(one['network_steps']):,} steps",
                *(multiple(one["network_ratio"].sel(trained_code=code).values) for code in ("conv", "fft", "numpy")),
                seconds(_median(one["network_seconds"].sel(trained_code="csd"))),
            ]
        )
    attrs = dataset.attrs
    rows.append(
        [
            f"{attrs['samples']} right samples, d = {attrs['samples_dimension']}, L = {attrs['samples_size']},"
            f" {int(dataset['samples_steps']):,} steps",
            *(multiple(dataset["samples_ratio"].sel(trained_code=code).values) for code in ("conv", "fft", "numpy")),
            seconds(_median(dataset["samples_seconds"].sel(trained_code="csd"))),
        ]
    )
    note = (
        "\n\nOne layer, denoising loss, B = 64. csd measured whole, from building the problem to the result; baselines"
        " are their time a step times the same number of steps, and their fields. KL per site of the samples above the"
        f" exact score's on the same grid: {float(dataset['samples_excess']):.2g} (right is below 0.01)."
    )
    if "study_ratio" in dataset:
        fft, numpy = dataset["study_ratio"].values
        parts = ", ".join(
            f"{name.replace('_', ' ')} {number(float(value))}"
            for name, value in zip(dataset["job_part"].values, dataset["study_share"].values, strict=True)
        )
        note += (
            f"\n\nWhole study: the steps of its {int(dataset['study_jobs'])} training jobs would take (b) about"
            f" ×{number(float(fft))} and (c) ×{number(float(numpy))} as long, by their time a field and site in the"
            f" first row above. Shares of the jobs' {number(float(dataset['study_seconds']) / 60.0)} minutes: {parts}."
        )
    else:
        note += f"\n\nWhole study: {attrs['study']}."
    return _rows(["what", *list(CODES.values())[:3], "csd"], rows) + note


def _loops(dataset: xr.Dataset) -> str:
    """Shares of the limits."""
    rows = []
    for loop in dataset["loop"].values:
        one = dataset.sel(loop=loop)
        shares = one["loop_share"]
        total = float(shares.isel(quartile=1).sum())
        rows.append(
            [
                str(loop),
                *(spread(shares.sel(resource=name).values) for name in dataset["resource"].values),
                number(1.0 - total) if total < 1.0 else "0",
                number(float(one["loop_intensity"])),
            ]
        )
    rates = {str(name): _median(dataset["limit_rate"].sel(limit=name)) for name in dataset["limit"].values}
    nanoseconds = {name: number(1e9 / rates[name]) for name in ("gamma", "normal", "gamma_numpy", "normal_numpy")}
    note = (
        f"\n\nLimits in the same run: copies {number(rates['copy_memory'] / 1e9)} GB/s beyond the cache and"
        f" {number(rates['copy_cache'] / 1e9)} GB/s within it (read and written), {nanoseconds['gamma']} ns a"
        f" Gamma(64) number and {nanoseconds['normal']} ns a normal one ({nanoseconds['gamma_numpy']} and"
        f" {nanoseconds['normal_numpy']} ns by NumPy), {seconds(1.0 / rates['call'])} a call of a ufunc on five"
        " numbers; transforms"
        f" {number(float(dataset['loop_transform_rate'].median('repeat').min()) / 1e9)} to"
        f" {number(float(dataset['loop_transform_rate'].median('repeat').max()) / 1e9)} Gflop/s."
    )
    return _rows(["loop", *map(str, dataset["resource"].values), "the rest", "flops a byte"], rows) + note


def _growth(dataset: xr.Dataset) -> str:
    """Exponents."""
    from csd.study.rounding import parentheses

    rows = [
        [
            str(name),
            *(
                parentheses(float(value), float(error))
                for value, error in zip(
                    dataset["growth_exponent"].sel(step_of=name).values,
                    dataset["growth_exponent_error"].sel(step_of=name).values,
                    strict=True,
                )
            ),
            "1, times log N for the FFT" if "transforms" in str(name) else "1",
        ]
        for name in dataset["step_of"].values
    ]
    for place, name in enumerate(("peak memory of a job, above L = 4", "training file on disk")):
        law = parentheses(*(float(dataset[key][place]) for key in ("file_exponent", "file_exponent_error")))
        cells = [law if dimension == 2 else "" for dimension in dataset["dimension"].values]
        rows.append([name, *cells, "1"])
    largest = dataset.isel(file_case=-1)
    note = (
        f"\n\nExponents of N, fitted to N from 2^16 (standard errors of the fit) to"
        f" {int(dataset['growth_sites'].max()):,}. At N = {int(largest['file_sites']):,} a job peaks at"
        f" {_bytes(float(largest['file_memory']))} ({_bytes(float(dataset['file_memory_base']))} of it"
        " for the smallest lattice) and writes"
        f" {_bytes(float(largest['file_disk']))}."
    )
    return _rows(["cost of", *(f"d = {d}" for d in dataset["dimension"].values), "expected"], rows) + note


def _updates(dataset: xr.Dataset) -> str:
    """Site updates a second."""
    kinds = list(dict.fromkeys(str(kind) for kind in dataset["update_kind"].values))
    cells: dict[str, dict[str, str]] = {}
    for target, kind, rate in zip(
        dataset["update_target"].values, dataset["update_kind"].values, dataset["update_quartiles"].values, strict=True
    ):
        cells.setdefault(str(target), {})[str(kind)] = number(float(rate[1]) / 1e6)
    rows = [[target, *(of.get(kind, "") for kind in kinds)] for target, of in cells.items()]
    note = (
        "\n\nMillions of site updates a second: sites visited in a sweep, times steps of leapfrog for HMC, or sites in"
        " clusters. MALA, HMC and Fourier acceleration move φ⁴ only."
    )
    return _rows(["target", *(f"`{kind}`" for kind in kinds)], rows) + note


def _slowest_updates(dataset: xr.Dataset, *kinds: str) -> Any:
    """Quartiles of the slowest of some updates in two dimensions."""
    chosen = np.isin(dataset["update_kind"].values.astype(str), kinds)
    chosen &= np.array(["d = 2" in str(target) for target in dataset["update_target"].values])
    rates = dataset["update_quartiles"].values[chosen]
    return rates[np.argmin(rates[:, 1])]


def _jobs(dataset: xr.Dataset) -> str:
    """Large runs, GPU."""
    limit, memory_limit = dataset.attrs["large_limit_seconds"], 8e9
    rows = []
    for place, name in enumerate(dataset["large"].values):
        one = dataset.isel(large=place)
        trouble = str(one["large_trouble"].values)
        rows.append(
            [
                f"`csd train`, {name}, t = 0.1, to 1 %",
                number(float(one["large_memory"]) / memory_limit),
                _bytes(float(one["large_memory"])),
                trouble or seconds(float(one["large_seconds"])),
                f"{int(one['large_steps'])}",
            ]
        )
    text = _rows(["large run", "memory over 8 GB", "peak memory", f"time (limit {limit:g} s)", "steps"], rows)
    if not rows:
        text = "No large runs in a quick measurement."
    if "gpu_ratio" not in dataset:
        return f"{text}\n\nGPU: {dataset.attrs['gpu']}."
    codes = zip(dataset["gpu_code"].values, dataset["gpu_ratio"].values, strict=True)
    ratios = ", ".join(f"{code} {multiple(values)}" for code, values in codes)
    return f"{text}\n\nGPU ({dataset.attrs['gpu']}), a training step over csd's on one core of this machine: {ratios}."


def _profiles(dataset: xr.Dataset) -> str:
    """Shares of the functions."""
    rows = [
        [
            str(name),
            ", ".join(
                f"{function} {number(float(share))}"
                for function, share in zip(
                    dataset["profile_function"].sel(profiled=name).values,
                    dataset["profile_share"].sel(profiled=name).values,
                    strict=True,
                )
                if share > 0.005
            ),
        ]
        for name in dataset["profiled"].values
    ]
    note = (
        "\n\nShares of the time of 400 recorded steps at 16 noise levels (cProfile; NumPy's arithmetic counts for the"
        " function that it stands in)."
    )
    return _rows(["training", "time in each function alone"], rows) + note
