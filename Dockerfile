# Web page and HTTP API with the shipped model; `--target mlflow` builds the tracking server.
FROM python:3.11-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
RUN useradd --system --uid 10001 --create-home --home-dir /home/netchu netchu

# uv lies outside /opt/venv, which is what the images copy. requirements.lock pins the versions of
# all extras; without hashes it serves as constraints.
FROM base AS tools
RUN python -m venv /opt/tools && /opt/tools/bin/pip install --no-cache-dir uv==0.13.8 \
    && /opt/tools/bin/uv venv --python "$(command -v python3)" /opt/venv
ENV VIRTUAL_ENV=/opt/venv UV_NO_CACHE=1 PATH=/opt/tools/bin:$PATH
WORKDIR /src
COPY requirements.lock ./
RUN sed -E '/^ +--hash|^ *#/d; s/ *\\$//' requirements.lock > /tmp/versions.txt

FROM tools AS build
COPY pyproject.toml README.md LICENSE ./
RUN uv pip install --constraints /tmp/versions.txt --requirements pyproject.toml --extra serve
COPY src src
RUN uv pip install --no-deps .

FROM tools AS build-mlflow
# With the driver of PostgreSQL, for a team's store.
RUN uv pip install --constraints /tmp/versions.txt mlflow 'psycopg[binary]'

FROM base AS mlflow
# One worker and no jobs: 2 processes of 445 MB in all, instead of 15 of 1.5 GB that take three times
# the processor time to start. Its threads serve a team.
ENV MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
COPY --from=build-mlflow /opt/venv /opt/venv
RUN mkdir /store && chown netchu /store
USER netchu
VOLUME /store
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--backend-store-uri", "sqlite:////store/mlflow.db", "--artifacts-destination", "/store/artifacts", "--workers", "1"]

FROM base AS netchu
COPY --from=build /opt/venv /opt/venv
RUN mkdir /corrections && chown netchu /corrections
USER netchu
WORKDIR /home/netchu
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["netchu"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
