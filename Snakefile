"""The study of this checkout; workflow/Snakefile holds it, where other workflows and remote repositories find it."""


include: "workflow/Snakefile"
