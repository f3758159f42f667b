# Masters in a container, with the native engine (the container has no PixInsight):
#
#     docker build --tag calmasters .
#     docker run --rm --user "$(id -u)" --volume "$PWD:/data" calmasters masters
#
# makes masters of /data/frames in /data/output.
FROM python:3.12-slim

WORKDIR /opt/calmasters
COPY LICENSE README.md Snakefile environment.yml hatch_build.py pyproject.toml ./
COPY calmasters calmasters
COPY config config
COPY pixinsight pixinsight
COPY profiles profiles
COPY report report
COPY rules rules
COPY scripts scripts
# The build has no git: docker build --build-arg VERSION=1.2.3
ARG VERSION=0.0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION pip install --no-cache-dir --editable .

# Compiled code and Snakemake's own files are stored with the data: they remain after the container
# ends, and any user may write them.
ENV HOME=/data/.calmasters XDG_CACHE_HOME=/data/.calmasters/cache
WORKDIR /data
ENTRYPOINT ["snakemake", "--snakefile", "/opt/calmasters/Snakefile"]
CMD ["masters"]
