# One image for every service; the command says which. Built from the hashed lock, run as nobody in particular.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/nightshift
WORKDIR /source
COPY requirements.lock ./
RUN /opt/nightshift/bin/pip install --require-hashes -r requirements.lock
COPY . .
RUN /opt/nightshift/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
# The second folder is handed over to n8n's first boot: its image runs as 1000.
RUN useradd --system --uid 10321 --home-dir /var/lib/nightshift --create-home nightshift \
  && install -d -o nightshift -g 1000 -m 2770 /var/lib/n8n-first-boot
COPY --from=build /opt/nightshift /opt/nightshift
ENV PATH=/opt/nightshift/bin:$PATH PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 NIGHTSHIFT_HOME=/var/lib/nightshift
USER nightshift
WORKDIR /var/lib/nightshift
VOLUME /var/lib/nightshift
EXPOSE 8321
# SIGTERM drains; give it longer than NIGHTSHIFT_DRAIN_SECONDS.
STOPSIGNAL SIGTERM
ENTRYPOINT ["nightshift"]
CMD ["up"]
