#!/usr/bin/env bash
# Measures Easel beside nginx and HAProxy as plain proxies before the same mock of Bedrock, and writes the tables and the
# plot of docs/PERFORMANCE.md.
#   bench/run.sh                    25 to 50 minutes; the machine has to be quiet
#   bench/run.sh --quick            one round of what counts most, printed and not written
#   bench/run.sh --litellm          a LiteLLM from PyPI too, which takes some minutes more
#   EASEL_BIN=path bench/run.sh     another binary than what is shipped
#
# Exits with 1 where a goal is missed. nginx, HAProxy and Python's packages go to target/bench and are not installed.
# Everything listens on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/bench
mkdir -p "$home"
fail() { echo "bench/run.sh: $*" >&2; exit 1; }
[[ -e /proc/self/clear_refs ]] || fail "this needs Linux's /proc"
for tool in cargo python3 openssl; do command -v "$tool" >/dev/null || fail "$tool is missing"; done

unpacked() { find "$home/root" -type f -path "*bin/$1" -print -quit; }

# A program of Debian's as bin/NAME. Where it is not installed it is unpacked, and finds the libraries unpacked with it.
fetch() { # its name, its packages
  local name=$1
  shift
  [[ -x $home/bin/$name ]] && return
  mkdir -p "$home/bin" "$home/root"
  local found
  if found=$(command -v "$name"); then
    ln -sf "$found" "$home/bin/$name"
  else
    command -v apt-get >/dev/null || fail "$name is missing, and this is no Debian to fetch it from"
    echo "fetching $name"
    bench/unpack.sh "$home/root" "$@" >"$home/fetch.log" 2>&1 ||
      fail "$name cannot be fetched: $(tail -1 "$home/fetch.log")"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=$(echo "%s"/usr/lib/*-linux-gnu) exec "%s" "$@"\n' \
      "$home/root" "$(unpacked "$name")" >"$home/bin/$name"
    chmod +x "$home/bin/$name"
  fi
  # Whether its libraries are there shows only when it runs.
  if ! "$home/bin/$name" -v >/dev/null 2>&1; then
    rm "$home/bin/$name"
    fail "$name does not run: apt-get install $name"
  fi
}
fetch nginx nginx
fetch haproxy haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1

packages() { # a folder, then what pip is to install there
  local folder=$1
  shift
  [[ -f $folder/done ]] && return
  echo "installing $*"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
  touch "$folder/done"
}
packages "$home/py" matplotlib==3.10.8
for argument in "$@"; do
  if [[ $argument == --litellm ]]; then packages "$home/litellm" 'litellm[proxy]==1.106.0'; fi
done

echo "building what is shipped, which takes ten minutes the first time"
[[ -n ${EASEL_BIN:-} ]] || ./build-dist.sh
CARGO_TARGET_DIR=$PWD/target cargo build --quiet --locked --release --manifest-path bench/load/Cargo.toml
export EASEL_BIN=${EASEL_BIN:-$PWD/target/dist/easel}

for name in $(compgen -e); do
  case $name in
    EASEL_BIN) ;;
    AWS_* | LITELLM_* | EASEL_* | OTEL_* | JSON_LOGS | CONFIG_FILE_PATH | PORT | HOST | *_proxy | *_PROXY) unset "$name" ;;
  esac
done
exec "$home/py/bin/python" -B bench/bench.py "$@"
