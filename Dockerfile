# The program without the lab. It needs no libpq, but OpenSSL, and the authorities for sslrootcert=system.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends libssl-dev pkg-config
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package archipelago-app --no-default-features \
    && cp target/release/archipelago /usr/local/bin/archipelago

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/archipelago /usr/local/bin/archipelago
USER nobody
EXPOSE 8080 9091
# fly.toml's release_command is the argument: `archipelago migrate`.
ENTRYPOINT ["archipelago"]
