"""Names of figures, by the summary that each is drawn from."""

TRAINING_FIGURES = (
    "fields",
    "learning_curves",
    "training_time",
    "collapse",
    "finite_size",
    "residuals",
    "depth_law",
    "kernels",
    "parameters",
    "overfitting",
)
GENERATION_FIGURES = (
    "generation_time",
    "generation_curves",
    "generated_spectra",
    "generated_fields",
    "on_the_way",
    "local_range",
    "size_transfer",
    "memorisation",
)
INTEGRATOR_FIGURES = ("integrator_steps",)
MONTE_CARLO_FIGURES = ("dynamic_exponents", "cost_to_fields")
FIGURES = TRAINING_FIGURES + GENERATION_FIGURES + INTEGRATOR_FIGURES + MONTE_CARLO_FIGURES
"""What can be drawn, from one of the summaries each."""


def summary_of(figure: str) -> str:
    """Which file of the summary a figure is drawn from: 'training', 'generation', 'monte_carlo', …"""
    if figure in MONTE_CARLO_FIGURES:
        return "timing" if figure == "cost_to_fields" else "monte_carlo"
    if figure in INTEGRATOR_FIGURES:
        return "integrators"
    return "generation" if figure in GENERATION_FIGURES else "training"
