# An image without a shell: the program, the libraries that it loads, and folders to mount into.

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY templates templates
COPY sdk/dist sdk/dist
COPY sdk/demo sdk/demo
COPY docs/openapi.json docs/openapi.json
# Cargo wants to see every target that Cargo.toml names.
COPY benches benches
COPY deploy/root-file-system deploy/root-file-system
RUN cargo build --release --locked --bin throughline \
    && deploy/root-file-system target/release/throughline /image \
    && mkdir -p /folders/config /folders/made /folders/sites /folders/state

FROM scratch
COPY --from=build /image /
# A new volume takes over the owner of the folder that it is mounted on.
COPY --from=build --chown=65532:65532 /folders /etc/throughline
USER 65532:65532
WORKDIR /etc/throughline/config
EXPOSE 8400
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 CMD ["/usr/local/bin/throughline", "health"]
ENTRYPOINT ["/usr/local/bin/throughline"]
CMD ["serve"]
