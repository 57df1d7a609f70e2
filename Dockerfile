# syntax=docker/dockerfile:1

# Builds in the full image, runs in the slim one of the same Debian release: compilers stay behind.
FROM python:3.12 AS build
WORKDIR /src
RUN python -m venv --without-pip /opt/stream-filter
COPY pyproject.toml README.md LICENSE ./
COPY stream_filter ./stream_filter
RUN pip --python /opt/stream-filter/bin/python install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin stream-filter
COPY --from=build /opt/stream-filter /opt/stream-filter
COPY models/triage-starter /models/triage-starter
ENV PATH=/opt/stream-filter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREAM_FILTER_MODEL_DIR=/models
USER 10001
WORKDIR /tmp
EXPOSE 6066
# Before the broker answers, a worker serves no page: hence the start period.
HEALTHCHECK --interval=10s --timeout=5s --start-period=75s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ.get('STREAM_FILTER_WEB__PORT', '6066'), timeout=4)"]
ENTRYPOINT ["stream-filter"]
CMD ["--help"]
