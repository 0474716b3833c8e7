# Limits that only clusters use; see workflow/profiles/slurm.
from csd.study.cluster import require_slurm


def summary_memory_mb(wildcards, attempt):
    """Memory of a step that reads or draws summaries; all such steps share one cluster job."""
    return 2000 * 2 ** (attempt - 1)


def summary_runtime_minutes(wildcards, attempt):
    """Time limit of such a step."""
    return 5 * 2 ** (attempt - 1)


# Before the first job, as without SLURM's commands the executor would wait for ever without a message.
onstart:
    executor = workflow.executor_plugin.name
    if executor == "slurm" or "sbatch" in str(
        getattr(workflow.executor_settings, "submit_cmd", "")
    ):
        asked = next(iter(workflow.dag.needrun_jobs())).resources
        try:
            require_slurm(
                asked.get("slurm_account"),
                asked.get("slurm_partition"),
                f"workflow/profiles/{'slurm' if executor == 'slurm' else 'sbatch'}/config.yaml",
            )
        except InputError as error:
            raise WorkflowError(f"{error}")
