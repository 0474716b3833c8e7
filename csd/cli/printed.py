"""Print the numbers of training, theory and generation files."""

from typing import TYPE_CHECKING, Any

from csd.core.errors import log

if TYPE_CHECKING:
    from csd.core.files import Content

OF_SAMPLES = (
    *("susceptibility", "correlation_length", "energy", "variance"),
    *("excess_kurtosis", "absolute_magnetisation", "binder"),
    *("positive_fraction", "undecided_fraction"),
)
"""Observables of samples, those that a file has; the last two are of targets with phases."""

KINDS = ("reference", "held_out", "exact")
"""Beginnings of the names of what observables are compared with."""


def report_times(content: "Content") -> None:
    """Log the training times of each noise level, and when and why the training of each seed ended."""
    times, about = content["training_time"].values, content.attrs
    by_loss = about["until"] == "held_out_loss"
    if by_loss:
        _report_losses(content)
    if "exact_score_error" in content:
        _report_exact(content)
    for level, of_level in zip(content["noise_level"].values, times.T, strict=True):
        shown = ", ".join("not reached" if time != time else f"{time:.0f} steps" for time in of_level)
        log(f"noise level {level:g}: training time {shown}")
    settled = content["settled_time"].values if "settled_time" in content else times
    if settled is not times:
        for level, of_level in zip(content["noise_level"].values, settled.T, strict=True):
            shown = ", ".join("not reached" if time != time else f"{time:.0f} steps" for time in of_level)
            log(f"noise level {level:g}: time until the error stays within the tolerance {shown}")
    for seed, last, of_seed in zip(content["seed"].values, content["last_step"].values, settled, strict=True):
        if about["until"] == "samples":
            waited = f"samples had been right by {about['waited_for']}"
            why = waited if last < about["max_steps"] else f"max_steps, before {waited} for long enough"
        elif by_loss:
            why = "max_steps" if last >= about["max_steps"] else "the held-out loss had not fallen for the patience"
        elif about["tolerance"] == 0.0 or about["until"] == "max_steps":
            why = "max_steps"
        else:
            # A network of all noise levels is not measured at each of them.
            missed = (of_seed != of_seed).any() and last >= about["max_steps"]
            goal = "tolerance reached" if settled is times else "the error has stayed within the tolerance"
            before = "the tolerance was reached" if settled is times else "the error had stayed within the tolerance"
            why = f"max_steps, before {before}" if missed else goal
        log(f"seed {seed}: training ended at step {last}: {why}")


def _report_exact(content: "Content") -> None:
    """Log the last errors against exact scores at each noise level at which there are scores."""

    def last(name: str, seed: int, level: int) -> float:
        """Of a seed at its last step."""
        own = content[name].values[seed, level]
        return float(own[content["step"].values.searchsorted(content["last_step"].values[seed], "right") - 1])

    for level, at in enumerate(content["noise_level"].values):
        for seed, name in enumerate(content["seed"].values):
            error, zero = (
                f"{last(of, seed, level):.3g} ± {last(f'{of}_error', seed, level):.2g}"
                for of in ("exact_score_error", "zero_mode_error")
            )
            ratio = ""
            if "error_over_linear" in content:
                ratio = f", {last('error_over_linear', seed, level):.3g} of the best linear score's"
            if not error.startswith("nan"):
                log(f"noise level {at:g}, seed {name}: error against exact scores {error}{ratio}; at k = 0 {zero}")


def _report_losses(content: "Content") -> None:
    """Log the held-out losses of each noise level at their best steps."""
    names = ("noise_level", "held_out_loss", "linear_held_out_loss", "best_step", "step")
    levels, losses, linear, best, recorded = (content[name].values for name in names)
    places = recorded.searchsorted(best)
    for level, own, gaussian, at in zip(levels, losses.swapaxes(0, 1), linear, places.T, strict=True):
        shown = ", ".join(f"{loss[place]:.6g} at step {recorded[place]}" for loss, place in zip(own, at, strict=True))
        log(f"noise level {level:g}: held-out loss {shown}; best linear score {gaussian:.6g}")


def print_generation(content: "Content") -> None:
    """Print the numbers of a generation file, one line for each criterion and observable of each seed."""
    from csd.diffusion.criteria import LIMITS

    def row(name: str, shown: str) -> None:
        print(f"  {name:<24}{shown}")

    def value(name: str, *place: Any) -> float:
        return float(content[name].values[place])

    _print_windows(content)
    criteria = content["criterion"].values
    # A network without a kernel generates fields alone.
    steps = content["step"].values if "step" in content else None
    known = "held-out" if "held_out_mean" in content else "exact"
    of_data = "data_digest" in content.attrs
    of_fields = "held-out fields" if known == "held-out" else "long run"
    best = f" of the {of_fields}" if of_data else ""
    linear = of_data or "sampled_positive_fraction" in content
    print(f"best linear score{best}:" if linear else "exact score:")
    for name in criteria:
        row(name, f"{value(f'exact_score_{name}'):.4g}")
    remarks = dict(zip(criteria, content["criterion_remark"].values, strict=True))
    for name in criteria:
        if remarks[name]:
            print(f"no training time by {name}: {remarks[name]}")
    advice = [] if steps is None or steps[0] == 0 else ["--kernel-steps sparse"]
    # Of a data set no closed form tells when samples are right.
    advice += [] if content.attrs.get("until") == "samples" or "data_digest" in content.attrs else ["--until samples"]
    untold = f"not known from the steps kept (train with {' and '.join(advice)})" if advice else "not reached"
    for number, seed in enumerate(content["seed"].values):
        if "generation_training_time" in content:
            print(f"seed {seed}: samples are right from a step of training on, by")
            for name, right in zip(criteria, content["generation_training_time"].values[number], strict=True):
                if not remarks[name]:
                    row(name, f"{right:.1f}" if right == right else untold)
        many = f"{value('samples_drawn', number):.0f} " if "samples_drawn" in content else ""
        several = content.attrs.get("architecture") == "hybrid"
        after = "the last step of each network" if several else f"{content.attrs['sampled_step']} steps"
        print(f"seed {seed}: {many}fields drawn after {after}")
        if "verdict" in content:
            for which, name in enumerate(criteria):
                off, error = (value(f"sampled_deviation{end}", number, which) for end in ("", "_error"))
                said, limit = content["verdict"].values[number, which], LIMITS[str(name)]
                row(name, f"{said}: deviation {off:.2g} ± {error:.2g}, limit {limit:.2g}")
        if steps is not None:
            place = number, int((steps == content.attrs["sampled_step"]).argmax())
            scatter = f" ± {value('kl_per_site_error', *place):.2g}" if "kl_per_site_error" in content else ""
            row("kl_per_site", f"{value('kl_per_site', *place):.3g}{scatter}, of their kernels")
        for name in (name for name in OF_SAMPLES if f"sampled_{name}" in content):
            found, error = value(f"sampled_{name}", number), value(f"sampled_{name}_error", number)
            shown = f"{found:.5g} ± {error:.2g}" if error == error else f"{found:.5g}, no error: too few samples"
            if name == "correlation_length" and found != found:
                shown = "no correlation length: S(0) < S(k1) in these samples"
            row(name, shown + _reference(content, name, number))
        if "nearest_training_field" in content:
            own = content["nearest_training_field"].values[number]
            shown = f"{own.min():.3g} to {own.max():.3g} from samples"
            if known == "held-out":
                others = content["held_out_nearest_training_field"].values
                shown += f", {others.min():.3g} to {others.max():.3g} from held-out fields"
                shown += f", {value('nearer_fraction', number):.0%} nearer than these"
            row("nearest training", f"field at {shown}")
        if "two_sample_distance" in content:
            distance, p_value = value("two_sample_distance", number), value("two_sample_p_value", number)
            kind = "held-out" if of_data else "exact"
            row("two-sample test", f"energy distance {distance:.3g} from {kind} fields, p = {p_value:.2g}")


def _print_windows(content: "Content") -> None:
    """Print the network of each window of a hybrid, and what all of them take to train."""
    if "window_network" not in content:
        return
    names = ("window_low", "window_high", "window_network", "window_levels", "window_parameters")
    for low, high, network, levels, parameters in zip(*(content[name].values for name in names), strict=True):
        print(f"{network}: {levels} noise levels t in ({low:g}, {high:g}], {parameters} parameters")
    costs = ", ".join(f"{cost:.4g}" for cost in content["training_cost"].values)
    print(f"parameters times training steps, over all networks used: {costs}")


def _reference(content: "Content", name: str, seed: int) -> str:
    """What an observable is compared with, and the pull; of old files, which have no pulls, what they hold."""
    source = next((f"{kind}_{name}" for kind in KINDS if f"{kind}_{name}" in content), "")
    if not source:
        return ""
    right, error = (float(content[at].values) if at in content else 0.0 for at in (source, f"{source}_error"))
    kind = content.attrs.get("reference", "held-out" if source.startswith("held_out") else "exact")
    shown = f", {kind} {right:.5g}" + (f" ± {error:.2g}" if error else "")
    pull = float(content[f"sampled_{name}_pull"].values[seed]) if f"sampled_{name}_pull" in content else float("nan")
    return f"{shown}, pull {pull:+.1f}" if pull == pull else shown


def print_table(content: "Content") -> None:
    """Print the numbers of a training or theory file, one line for each noise level."""
    print(f"{'noise level':>12} {'rate':>12} {'parameters':>11} {'floor':>11}  training time (steps)")
    columns = [content[name].values for name in ("noise_level", "learning_rate", "level_parameters", "floor")]
    for level, rate, parameters, floor, of_seeds in zip(*columns, content["training_time"].values.T, strict=True):
        times = "  ".join("not reached" if time != time else f"{time:.0f}" for time in of_seeds)
        print(f"{level:12g} {rate:12.6g} {parameters:11d} {floor:11.3g}  {times}")


def scores_lines(content: "Content") -> list[str]:
    """E|s*|²/N of a file of scores at each noise level, with what chains found."""
    lines = []
    for place, level in enumerate(content["noise_level"].values):
        line = f"noise level {level:g}: E|s*|^2 / N = {content['squared_score'].values[place]:.6g}"
        if "tau" in content:
            one = {name: content[name].values[place] for name in content.variables if content[name].values.ndim == 1}
            line += (
                f" +- {one['squared_score_error']:.2g}, best linear score off by {one['linear_score_error']:.3g}"
                f" +- {one['linear_score_error_error']:.2g} (zero mode {one['linear_zero_mode_error']:.3g}"
                f" +- {one['linear_zero_mode_error_error']:.2g}); relative error {one['relative_error']:.2g}"
                f" with {one['sweeps']:.0f} sweeps, tau {one['tau']:.3g}"
            )
        elif "linear_score_error" in content:
            errors = (content[f"linear_{of}_error"].values[place] for of in ("score", "zero_mode"))
            line += ", best linear score off by {:.3g} (zero mode {:.3g}), exactly".format(*errors)
        lines.append(line)
    return lines


UNKNOWN = {
    "speciation_time": "at no noise level do fields know half of their phase",
    "box_speciation_time": "at no noise level does the box know half of the phase",
    "window_width": "one of its ends is missing",
    "box_level": "box_share does not fall through 1/2 at these noise levels",
}
"""Why a number of a file of phases is NaN."""


def phases_lines(content: "Content") -> list[str]:
    """A table of a file of phases: numbers by range, and by noise level and range, with errors if they have any."""
    from csd.study.rounding import parentheses

    def row(name: str, start: str, place: tuple[int, ...] = ()) -> str:
        values = content[name].values[place]
        errors = content[f"{name}_error"].values[place] if f"{name}_error" in content else 0.0 * values
        shown = (
            parentheses(float(value), float(error)) if error > 0.0 else f"{value:.4g}"
            for value, error in zip(values, errors, strict=True)
        )
        return f"{start:<32}" + "".join(f"{text:>14}" for text in shown)

    lines = []
    if "speciation_time" in content:
        lines.append(f"{'speciation_time':<32}{float(content['speciation_time'].values):>14.4g}")
    lines += [f"{'range R':<32}" + "".join(f"{reach:>14d}" for reach in content["range"].values)]
    for name, own in content.variables.items():
        if own.dims == ("range",) and not name.endswith("_error"):
            lines.append(row(name, name))
    lines += [f"{name} nan: {why}" for name, why in UNKNOWN.items() if name in content and _lacking(content, name)]
    for name in ("conditional_mutual_information", "score_gap", "mmse_difference", "box_share"):
        if name in content:
            levels = content["noise_level"].values
            lines += [name, *(row(name, f"  noise level {level:g}", (at,)) for at, level in enumerate(levels))]
    return lines


def _lacking(content: "Content", name: str) -> bool:
    """Whether a number of a variable is NaN."""
    values = content[name].values
    return bool((values != values).any())
