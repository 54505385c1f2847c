# The image holds Easel, the C library it is linked to, certificates and a config: no shell, no package manager.
#   docker build -t easel .
FROM rust:1.95-slim-bookworm AS build
# `dist` is what is published, and takes four times as long: build-dist.sh builds it twice. docker build --build-arg PROFILE=dist
ARG PROFILE=release
WORKDIR /build
RUN if [ $PROFILE = dist ]; then \
      apt-get update \
      && apt-get install --yes --no-install-recommends python3 openssl llvm-$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p'); \
    fi

# The dependencies, against empty sources: made again only when Cargo.toml or Cargo.lock change.
COPY Cargo.toml Cargo.lock ./
COPY patches ./patches
RUN mkdir -p src tests/it bench \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs tests/it/main.rs bench/scanner.rs \
 && if [ $PROFILE != dist ]; then cargo build --profile $PROFILE --locked --bin easel; fi

# Easel itself. The touch is for cargo, which compiles what is newer than the last build.
COPY build-dist.sh ./
COPY bench/shared.py bench/train.py ./bench/
COPY config ./config
COPY src ./src
RUN touch src/main.rs src/lib.rs \
 && if [ $PROFILE = dist ]; then ./build-dist.sh; else cargo build --profile $PROFILE --locked --bin easel; fi

# The root of the final image. /app/config.yaml is where Easel looks last, so whatever is mounted wins over it.
COPY LICENSE litellm-config.yaml ./
RUN mkdir -p /image/app /image/etc/ssl/certs /image/usr/local/bin /image/usr/share/doc/easel \
 && mkdir -m 1777 /image/tmp \
 && install -d -m 1777 -o 10001 -g 10001 /image/data \
 && cp target/$PROFILE/easel /image/usr/local/bin/ \
 && cp -L --parents $(ldd target/$PROFILE/easel | grep -o '/[^ ]*') /image/ \
 && cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp LICENSE /image/usr/share/doc/easel/ \
 && cp litellm-config.yaml /image/app/config.yaml \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && echo 'easel:x:10001:10001:Easel:/app:/nonexistent' > /image/etc/passwd \
 && echo 'easel:x:10001:' > /image/etc/group

FROM scratch
LABEL org.opencontainers.image.title="Easel" \
      org.opencontainers.image.description="OpenAI's image API on Amazon Bedrock" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /
# What outlives a request, and what is too large for memory, goes to /data: mount a volume there to keep it. Whatever
# user the container is given may write there; on Fargate only for the line VOLUME.
ENV PATH=/usr/local/bin HOME=/app HOST=0.0.0.0 PORT=4000 EASEL_DATA_DIR=/data TMPDIR=/data
VOLUME ["/data"]
WORKDIR /app
USER 10001:10001
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=5s --retries=3 CMD ["easel", "health"]
ENTRYPOINT ["easel"]
CMD ["serve"]
