"""What commands print of files: numbers of training, theory and generation files, a row each."""

from typing import TYPE_CHECKING

from csd.cli.parser import log

if TYPE_CHECKING:
    from csd.core.files import Content


def report_times(content: "Content") -> None:
    """Training times of each noise level, one line each, and where and why the training of each seed ended."""
    for level, times in zip(content["noise_level"].values, content["training_time"].values.T, strict=True):
        shown = ", ".join("not reached" if time != time else f"{time:.0f} steps" for time in times)
        log(f"noise level {level:g}: training time {shown}")
    about = content.attrs
    for row, seed in enumerate(content["seed"].values):
        last = int(content["last_step"].values[row])
        reached = not (content["training_time"].values[row] != content["training_time"].values[row]).any()
        if about["until"] == "samples":
            waited = f"samples had been right by {about['waited_for']}"
            why = waited if last < about["max_steps"] else f"max_steps, before {waited} for long enough"
        elif reached and about["tolerance"] > 0.0:
            why = "tolerance reached"
        else:
            why = "max_steps" if about["tolerance"] == 0.0 else "max_steps, before the tolerance was reached"
        log(f"seed {seed}: training ended at step {last}: {why}")


def print_generation(content: "Content") -> None:
    """The numbers of a generation file, a row a criterion and seed."""
    criteria = content["criterion"].values
    print("exact score:")
    for name in criteria:
        print(f"  {name:<22}{float(content[f'exact_score_{name}'].values):.4g}")
    remarks = {name: why for name, why in zip(criteria, content["criterion_remark"].values, strict=True) if why}
    for name, why in remarks.items():
        print(f"no training time by {name}: {why}")
    steps = content["step"].values
    advice = [] if steps[0] == 0 else ["--kernel-steps sparse"]
    advice += [] if content.attrs.get("until") == "samples" else ["--until samples"]
    untold = f"the steps kept do not tell (train with {' and '.join(advice)})" if advice else "not reached"
    last = steps == content.attrs["sampled_step"]
    for row, seed in enumerate(content["seed"].values):

        def at(name: str, row: int = row) -> float:
            return float(content[name].values[row])

        print(f"seed {seed}: samples are right from a step of training on, by")
        for name, right in zip(criteria, content["generation_training_time"].values[row], strict=True):
            if name not in remarks:
                print(f"  {name:<22}{f'{right:.1f}' if right == right else untold}")
        print(f"seed {seed}: fields drawn after {content.attrs['sampled_step']} steps")
        print(f"  {'kl_per_site':<22}{float(content['kl_per_site'].values[row, last][0]):.3g}, of their kernels")
        for name in ("susceptibility", "correlation_length", "energy", "variance", "excess_kurtosis"):
            value, error = at(f"sampled_{name}"), at(f"sampled_{name}_error")
            exact = float(content[f"exact_{name}"].values) if f"exact_{name}" in content else 0.0
            shown = f"{value:.5g} ± {error:.2g}" if error == error else f"{value:.5g}, no error: too few samples"
            if name == "correlation_length" and value != value:
                shown = "no correlation length: S(0) < S(k1) in these samples"
            print(f"  {name:<22}{shown}, exact {exact:.5g}")
        distance, p_value = at("two_sample_distance"), at("two_sample_p_value")
        print(f"  {'two-sample test':<22}energy distance {distance:.3g} from exact fields, p = {p_value:.2g}")


def print_table(content: "Content") -> None:
    """The numbers of a training or theory file, a row a noise level."""
    print(f"{'noise level':>12} {'rate':>12} {'parameters':>11} {'floor':>11}  training time (steps)")
    columns = [content[name].values for name in ("noise_level", "learning_rate", "level_parameters", "floor")]
    for level, rate, parameters, floor, of_seeds in zip(*columns, content["training_time"].values.T, strict=True):
        times = "  ".join("not reached" if time != time else f"{time:.0f}" for time in of_seeds)
        print(f"{level:12g} {rate:12.6g} {parameters:11d} {floor:11.3g}  {times}")
