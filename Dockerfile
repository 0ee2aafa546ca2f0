# Not run where it was written: there is no Docker engine there.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 atlas
WORKDIR /opt/circuit-atlas

COPY requirements.txt ./
RUN pip install --no-cache-dir "uv>=0.8,<1" \
    && uv pip install --system --no-cache --require-hashes -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY atlas ./atlas
COPY ingest ./ingest
COPY schema ./schema
COPY api ./api
COPY figures ./figures
RUN uv pip install --system --no-cache --no-deps --no-build-isolation -e .

USER atlas
WORKDIR /work
ENTRYPOINT ["atlas"]
CMD ["--help"]
