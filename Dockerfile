# csd with the versions of requirements.lock, for Docker, Podman or (from the image) Apptainer:
#   docker build --tag csd .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" csd csd train --architecture two_layer \
#     --dimension 2 --size 32 --output run.nc
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" csd snakemake --snakefile /opt/csd/workflow/Snakefile \
#     --workflow-profile /opt/csd/workflow/profiles/default --cores 4
FROM python:3.11-slim-bookworm

# Nothing of csd runs on a GPU unless it is asked to: PyTorch's wheels for the CPU save gigabytes
# (--build-arg PIP_EXTRA_INDEX_URL=… with their address).
ARG PIP_EXTRA_INDEX_URL

WORKDIR /opt/csd
COPY requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY csd csd
COPY workflow workflow
RUN pip install --no-cache-dir --no-deps .

# Users without a home or a name: caches of Numba, matplotlib and Snakemake, and the name that Snakemake logs.
ENV HOME=/tmp USER=csd OMP_NUM_THREADS=1
WORKDIR /data
CMD ["csd", "--help"]
