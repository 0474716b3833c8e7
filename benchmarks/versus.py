"""csd beside the baselines: training steps, generated fields, a trained network, right samples.

Ratios are taken within a repeat, in which all codes are timed in turn, and shown as quartiles over repeats.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
import xarray as xr

from benchmarks import ours
from benchmarks.baselines import BASELINES, euler_maruyama, load_kernels
from benchmarks.clock import Effort, Timed, elapsed, quartiles, strings
from benchmarks.limits import transform_pair
from benchmarks.plan import BATCH, Case, Plan
from csd.core.files import labelled
from csd.diffusion.integrators import EulerMaruyama
from csd.diffusion.reverse import ReverseDiffusion
from csd.lattice import Array
from csd.networks.linear import relative_error
from csd.networks.score import KernelScore
from csd.targets.noising import NoisedTarget
from csd.training.loop import train_network
from csd.training.options import TrainingSettings

CODES = ("csd", "conv", "fft", "numpy")
"""csd, and the baselines (a), (b), (c)."""
CONV_SITES = 4096
"""`nn.Conv` lays out N² numbers a field; beyond this many sites it is left out."""
CONV_WORK = 2 * 4096**2
"""Most N² × fields that `nn.Conv` is timed on; what is more is extrapolated in proportion."""


def conv_case(case: Case, sites: int) -> tuple[Case, float]:
    """The problem that `nn.Conv` is timed on, and the factor from it to the one that is asked for."""
    if sites**2 * case.batch * case.levels <= CONV_WORK:
        return case, 1.0
    batch = int(np.clip(CONV_WORK // sites**2, 1, case.batch))
    return replace(case, batch=batch, levels=1), case.batch * case.levels / batch


def _baseline_step(
    code: str, case: Case, effort: Effort, noised: NoisedTarget | None = None, device: str = "cpu"
) -> Timed:
    """Seconds a step of a baseline, its minibatch included; at the usual noise levels if no problem is given."""
    noised = ours.critical(case.dimension, case.size, case.levels) if noised is None else noised
    more = {"device": device} if device != "cpu" else {}
    baseline = BASELINES[code](noised, case.batch, ours.rates(noised), **more)

    def step() -> None:
        baseline.step(baseline.draw())
        if device != "cpu":
            torch.cuda.synchronize()

    return effort.repeated(step)


def _csd_step(case: Case, loss: str, effort: Effort) -> Timed:
    """Seconds a step of csd."""
    noised = ours.critical(case.dimension, case.size, case.levels)
    return ours.training_step(noised, ours.ONE, TrainingSettings(loss=loss, batch=case.batch), effort)


def training_race(case: Case, effort: Effort) -> tuple[dict[str, Array], dict[str, float]]:
    """Seconds a step of every code at one problem, and the factors that were extrapolated by.

    Returns:
        Seconds of shape (repeats,) for each code and for csd_implicit; factors for each code.
    """
    sites = case.size**case.dimension
    timed = {"csd": _csd_step(case, "denoising", effort), "csd_implicit": _csd_step(case, "implicit", effort)}
    factors = dict.fromkeys(CODES, 1.0)
    for code in CODES[1:]:
        own = case
        if code == "conv":
            own, factors[code] = conv_case(case, sites)
            if sites > CONV_SITES:
                continue
        timed[code] = _baseline_step(code, own, effort)
    seconds = effort.race(timed)
    return {name: values * factors.get(name, 1.0) for name, values in seconds.items()}, factors


def measure_training(plan: Plan) -> xr.Dataset:
    """training_seconds and training_ratio of every case and code; the check of the extrapolation."""
    cases, repeats = plan.training, plan.effort.repeats
    codes = (*CODES, "csd_implicit")
    seconds = np.full((len(cases), len(codes), repeats), np.nan)
    factor = np.ones((len(cases), len(codes)))
    for place, case in enumerate(cases):
        timed, factors = training_race(case, plan.effort)
        for column, code in enumerate(codes):
            seconds[place, column] = timed.get(code, np.nan)
            factor[place, column] = factors.get(code, 1.0)
    dims = ["training_case", "code"]
    headline = cases[0]
    # As much as can be timed in seconds, against what the rule would extrapolate it from.
    whole = replace(headline, batch=min(8, headline.batch), levels=min(2, headline.levels))
    part, scale = conv_case(whole, headline.size**headline.dimension)
    compared = {"whole": whole, "part": part}
    pair = plan.effort.race({name: _baseline_step("conv", own, plan.effort) for name, own in compared.items()})
    return xr.Dataset(
        {
            "training_seconds": labelled([*dims, "repeat"], seconds, "time of a training step", "s"),
            "training_ratio": labelled(
                [*dims, "quartile"], quartiles(seconds / seconds[:, :1]), "time of a training step over csd's"
            ),
            "training_factor": labelled(dims, factor, "factor from what was timed to what is shown"),
            "extrapolation_factor": labelled([], scale, "factor of the extrapolation that is checked"),
            "extrapolation": labelled(
                ["quartile"], quartiles(pair["whole"] / (scale * pair["part"])), "measured over extrapolated"
            ),
        },
        {
            "code": labelled(["code"], strings(codes), "code"),
            **{
                f"training_{name}": labelled(["training_case"], [getattr(case, name) for case in cases], name)
                for name in ("dimension", "size", "batch", "levels")
            },
        },
    )


def measure_same_error(plan: Plan) -> xr.Dataset:
    """final_error and final_time of every code: one layer, d = 2, L = 8, denoising, to ε = 0.01 and to the same step.

    csd's number of steps on the population loss is the prediction for all.
    """
    noised, batch, last = ours.critical(2, 8), BATCH, 400
    spectrum, weight = noised.spectra_at(noised.lattice.pairs), noised.lattice.pairs.multiplicity
    own = TrainingSettings(loss="denoising", batch=batch, tolerance=0.0, max_steps=last)
    record = train_network(noised, ours.ONE, own)
    errors, times = [float(record.score_error[0, 0, -1])], [float(record.training_time[0, 0])]
    record = train_network(noised, ours.ONE, replace(own, tolerance=0.01))
    times[0] = float(record.training_time[0, 0])
    for code in CODES[1:]:
        baseline = BASELINES[code](noised, batch, ours.rates(noised))
        curve = np.empty(last)
        for step in range(last):
            baseline.step(baseline.draw())
            kernels = noised.lattice.gather(baseline.kernels(), noised.lattice.pairs)
            curve[step] = relative_error(kernels, spectrum, weight)[0]
        errors.append(float(curve[-1]))
        times.append(float(np.argmax(curve <= 0.01) + 1) if curve.min() <= 0.01 else np.nan)
    coords = {"trained_code": labelled(["trained_code"], strings(CODES), "code")}
    return xr.Dataset(
        {
            "final_error": labelled(["trained_code"], errors, f"relative score error after {last} steps"),
            "final_time": labelled(["trained_code"], times, "training time", "steps"),
        },
        coords,
        {"final_steps": last},
    )


def _baseline_field(code: str, noised: NoisedTarget, effort: Effort) -> tuple[Timed, float]:
    """Seconds a generated field of a baseline, and the factor from the steps that are timed to all of them."""
    sites, steps, count = noised.lattice.sites, len(noised.levels) - 1, BATCH
    shown, factor = noised, 1.0
    if code == "conv" and sites**2 * count * steps > CONV_WORK:
        shown = NoisedTarget(noised.target, noised.schedule, noised.levels[:2])
        factor, count = float(steps), int(np.clip(CONV_WORK // sites**2, 1, BATCH))
    baseline = BASELINES[code](shown, count, ours.rates(shown))
    load_kernels(baseline, 1.0 / shown.spectra(shown.target.propagator(shown.lattice.laplacian)))

    def sample() -> None:
        euler_maruyama(baseline, shown, baseline.normal(count), partial(baseline.normal, count))

    return effort.repeated(sample, count), factor


def measure_sampling(plan: Plan) -> xr.Dataset:
    """sampling_seconds and sampling_ratio of every code, a field; and csd's step in units of a pair of transforms."""
    cases, repeats, steps = plan.sampling, plan.effort.repeats, plan.sampler_steps
    seconds = np.full((len(cases), len(CODES), repeats), np.nan)
    factor = np.ones((len(cases), len(CODES)))
    in_transforms = np.empty((len(cases), 2, repeats))
    for place, (dimension, size) in enumerate(cases):
        noised = ours.sampler_problem(dimension, size, steps)
        timed = {
            "csd": plan.effort.repeated(ours.mode_sampler(noised)),
            "modes": plan.effort.repeated(ours.mode_sampler(noised, transformed=False), steps),
            "score": plan.effort.repeated(ours.score_step(noised)),
            "transforms": plan.effort.repeated(transform_pair(noised.lattice)),
        }
        for column, code in enumerate(CODES[1:], start=1):
            if code != "conv" or noised.lattice.sites <= CONV_SITES:
                timed[code], factor[place, column] = _baseline_field(code, noised, plan.effort)
        found = plan.effort.race(timed)
        for column, code in enumerate(CODES):
            seconds[place, column] = found.get(code, np.nan) * factor[place, column]
        in_transforms[place] = found["modes"] / found["transforms"], found["score"] / found["transforms"]
    dims = ["sampling_case", "trained_code"]
    return xr.Dataset(
        {
            "sampling_seconds": labelled([*dims, "repeat"], seconds, "time of a generated field", "s"),
            "sampling_ratio": labelled(
                [*dims, "quartile"], quartiles(seconds / seconds[:, :1]), "time of a generated field over csd's"
            ),
            "sampling_factor": labelled(dims, factor, "factor from what was timed to what is shown"),
            "sampling_transforms": labelled(
                ["sampling_case", "sampler", "quartile"],
                quartiles(in_transforms),
                "time of a step of a field over that of a transform and its inverse",
            ),
        },
        {
            "trained_code": labelled(["trained_code"], strings(CODES), "code"),
            "sampler": labelled(["sampler"], strings(["modes", "score"]), "mode by mode, or with a score of fields"),
            "sampling_dimension": labelled(["sampling_case"], [d for d, _ in cases], "dimension"),
            "sampling_size": labelled(["sampling_case"], [size for _, size in cases], "size", "lattice spacings"),
        },
        {"sampler_steps": steps},
    )


def measure_end_to_end(plan: Plan) -> xr.Dataset:
    """Time to a network with ε ≤ 1 %, and time to right samples, from nothing to the result within one process.

    csd's are measured whole. A baseline's are its time a step times csd's number of steps, which is the same for all
    (`final_time`), with the time of its fields; nothing else is counted for it.
    """
    rounds = plan.effort.repeats
    network = np.full((len(plan.trained), len(CODES), rounds), np.nan)
    steps = np.empty(len(plan.trained))
    for place, (dimension, size) in enumerate(plan.trained):
        case = Case(dimension, size)
        noised = ours.critical(dimension, size)
        settings = TrainingSettings(loss="denoising", batch=case.batch)
        steps[place] = float(train_network(noised, ours.ONE, settings).last_step[0])
        timed: dict[str, Timed] = {"csd": partial(elapsed, partial(train_network, noised, ours.ONE, settings))}
        factors = {"csd": 1.0} | _step_timers(case, noised, plan.effort, steps[place], timed)
        found = plan.effort.race(timed)
        network[place] = [found.get(code, np.full(rounds, np.nan)) * factors.get(code, 1.0) for code in CODES]
    count, dimension, size = plan.samples
    samples, excess, sampled_after = _right_samples(plan, count, dimension, size)
    ratio = partial(labelled, units="1")
    return xr.Dataset(
        {
            "network_seconds": labelled(
                ["network_case", "trained_code", "repeat"], network, "time to a network with an error of 1 %", "s"
            ),
            "network_ratio": ratio(
                ["network_case", "trained_code", "quartile"],
                quartiles(network / network[:, :1]),
                "time to a trained network over csd's",
            ),
            "network_steps": labelled(["network_case"], steps, "training steps to an error of 1 %", "steps"),
            "samples_seconds": labelled(["trained_code", "repeat"], samples, "time to right samples", "s"),
            "samples_ratio": ratio(
                ["trained_code", "quartile"], quartiles(samples / samples[:1]), "time to right samples over csd's"
            ),
            "samples_excess": labelled([], excess, "KL per site of the samples above the exact score's"),
            "samples_steps": labelled([], sampled_after, "training steps before sampling", "steps"),
        },
        {
            "network_dimension": labelled(["network_case"], [d for d, _ in plan.trained], "dimension"),
            "network_size": labelled(["network_case"], [size for _, size in plan.trained], "size", "lattice spacings"),
        },
        {"samples": count, "samples_dimension": dimension, "samples_size": size},
    )


def _step_timers(
    case: Case, noised: NoisedTarget, effort: Effort, steps: float, timed: dict[str, Timed]
) -> dict[str, float]:
    """Add a timer of a step for each baseline; the factors from it to all of the steps."""
    factors = {}
    for code in CODES[1:]:
        if code == "conv" and noised.lattice.sites > CONV_SITES:
            continue
        own, factor = conv_case(case, noised.lattice.sites) if code == "conv" else (case, 1.0)
        timed[code] = _baseline_step(code, own, effort, noised if own == case else None)
        factors[code] = factor * steps
    return factors


def _right_samples(plan: Plan, count: int, dimension: int, size: int) -> tuple[Array, float, float]:
    """Seconds to right samples of every code, shape (codes, repeats); KL per site above the exact score's; steps."""
    noised = ours.sampler_problem(dimension, size, plan.sampler_steps)
    settings = TrainingSettings(loss="denoising", batch=BATCH)
    record = train_network(noised, ours.ONE, settings)
    assert record.kernel is not None
    steps = float(record.last_step[0])
    # The first criterion: KL per site above what the exact score leaves.
    score = KernelScore(noised.lattice, record.modes, noised.levels, record.kernel[0])
    excess = float(ReverseDiffusion(noised, EulerMaruyama()).deviations(score)[0])

    def whole() -> None:
        trained = train_network(noised, ours.ONE, settings)
        assert trained.kernel is not None
        draw = ours.mode_sampler(noised, trained.kernel[0])
        for _ in range(count):
            draw()

    timed: dict[str, Timed] = {"csd": partial(elapsed, whole)}
    case = Case(dimension, size, BATCH, len(noised.levels))
    factors = _step_timers(case, noised, plan.effort, steps, timed)
    drawn = {}
    for code in factors:
        timed[f"{code} fields"], drawn[code] = _baseline_field(code, noised, plan.effort)
    found = plan.effort.race(timed)
    seconds = np.full((len(CODES), plan.effort.repeats), np.nan)
    seconds[0] = found["csd"]
    for code, factor in factors.items():
        seconds[CODES.index(code)] = factor * found[code] + count * drawn[code] * found[f"{code} fields"]
    return seconds, excess, steps


def measure_gpu(plan: Plan) -> xr.Dataset:
    """gpu_ratio of training steps on a GPU; why not, where there is none."""
    if not torch.cuda.is_available():
        return xr.Dataset(attrs={"gpu": "skipped: PyTorch finds no GPU here"})
    return on_device(plan.training[0], plan.effort, "cuda").assign_attrs(gpu=torch.cuda.get_device_name())


def on_device(case: Case, effort: Effort, device: str) -> xr.Dataset:
    """Training steps on a device, over csd's spectral step on one core."""
    noised = ours.critical(case.dimension, case.size, case.levels)
    fields = TrainingSettings(loss="denoising", batch=case.batch, path="fields", device=device)
    spectral = replace(fields, path="spectral")
    timed = {
        "csd on one core": ours.training_step(noised, ours.ONE, replace(spectral, device="cpu"), effort),
        "csd": ours.training_step(noised, ours.ONE, spectral, effort),
        "csd, raw fields": effort.repeated(ours.bare_step(noised, ours.ONE, fields)[1]),
        "(b) PyTorch, FFT": _baseline_step("fft", case, effort, device=device),
    }
    found = effort.race(timed)
    reference = found.pop("csd on one core")
    return xr.Dataset(
        {
            "gpu_ratio": labelled(
                ["gpu_code", "quartile"],
                quartiles(np.stack([seconds / reference for seconds in found.values()])),
                "time of a training step on the GPU over that of csd's spectral step on one core",
            )
        },
        {"gpu_code": labelled(["gpu_code"], strings(found), "code on the GPU")},
    )
