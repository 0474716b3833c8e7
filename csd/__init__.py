"""An open, reproducible laboratory for critical slowing down in diffusion models.

From the ground up: `errors`, `plugins`, `stream`, `lattice`, `field`, `sites`, `model`, `samplers`, `simulation`,
`updates`, `autocorrelation`, `chains`, `noise`, `objectives`, `networks`, `minibatch`, `training`, `theory`,
`generation`, `observables`, `samples`, `scaling`, `store`, `watch`, `record`, `ensemble`, `measured`,
`discretisation`, `trained`, `quality`, `schema`, `campaign`, `config`, `cost`, `cluster`, `summary`, `dynamics`,
`timing`, `claims`, `figures`, `source`, `inventory`, `cli`. Each imports only from those before it.
"""
