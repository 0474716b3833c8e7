"""An open, reproducible laboratory for critical slowing down in diffusion models.

From the ground up: `lattice`, `field`, `noise`, `objectives`, `networks`, `minibatch`, `training`, `theory`, `scaling`,
`store`, `record`, `config`, `summary`, `claims`, `figures`, `cli`. Each imports only from those before it.
"""
