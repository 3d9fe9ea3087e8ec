# Web page and HTTP API with the shipped model; `--target mlflow` builds the tracking server.
FROM python:3.11-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
RUN useradd --system --uid 10001 --create-home --home-dir /home/netchu netchu

# requirements.lock pins the versions of all extras; without hashes it serves as constraints.
FROM base AS build
RUN python -m venv /opt/venv && pip install --no-cache-dir uv==0.13.8
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN sed -E '/^ +--hash|^ *#/d; s/ *\\$//' requirements.lock > /tmp/versions.txt
RUN uv pip install --python /opt/venv/bin/python --no-cache --constraints /tmp/versions.txt \
    --requirements pyproject.toml --extra serve
COPY src src
RUN uv pip install --python /opt/venv/bin/python --no-cache --no-deps .

FROM base AS build-mlflow
COPY requirements.lock /tmp/requirements.lock
RUN python -m venv /opt/venv && sed -E '/^ +--hash|^ *#/d; s/ *\\$//' /tmp/requirements.lock \
    > /tmp/versions.txt && pip install --no-cache-dir --constraint /tmp/versions.txt mlflow

FROM base AS mlflow
COPY --from=build-mlflow /opt/venv /opt/venv
RUN mkdir /store && chown netchu /store
USER netchu
VOLUME /store
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--backend-store-uri", "sqlite:////store/mlflow.db", "--artifacts-destination", "/store/artifacts"]

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
