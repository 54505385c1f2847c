#!/usr/bin/env bash
# Runs every test. `--quick` stops after the Rust tests. Paints on the emulator only, and pays nobody.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
usage: ./run-tests.sh [--quick | --litellm | --chaos | --fuzz | --prometheus | --open-webui]

  Format, lints, documentation and the Rust tests, then the reply scanner under any bytes for a minute; then, with the
  release binary, ./test-local.sh and real clients (the OpenAI SDKs for Python and Node, Vercel's AI SDK, LangChain,
  LlamaIndex, async-openai, boto3, moto), the templates of infrastructure/, and every command of the documentation. What
  those need is installed into target/clients.

  --quick    stop after the Rust tests
  --chaos    at the end, ten long runs of tests/it/chaos, each with a new seed; takes about five minutes more
  --fuzz     the reply scanner under any bytes for ten minutes instead of one
  --prometheus  at the end, have Debian's Prometheus read the metrics, the alerts and the dashboard's queries; it is
             unpacked into target/, and needs apt-get and jq
  --litellm  at the end, ask a LiteLLM from PyPI the same as Easel; takes five minutes more
  --open-webui
             at the end, start Open WebUI from PyPI before Easel and drive it in Chromium; 2 GB, five minutes more
TEXT
}

quick=false
litellm=false
chaos=false
fuzz_seconds=60
prometheus=false
open_webui=false
for argument in "$@"; do
  case $argument in
    --quick) quick=true ;;
    --litellm) litellm=true ;;
    --chaos) chaos=true ;;
    --fuzz) fuzz_seconds=600 ;;
    --prometheus) prometheus=true ;;
    --open-webui) open_webui=true ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done

# Variables that would reach a real Bedrock, or bend what the tests start.
for name in $(compgen -e); do
  case $name in
    AWS_* | LITELLM_* | EASEL_* | OTEL_* | JSON_LOGS | CONFIG_FILE_PATH | PORT | HOST) unset "$name" ;;
  esac
done
# A proxy may be needed to install packages, but never to speak to this machine.
NO_PROXY=${NO_PROXY:-${no_proxy:-}}
NO_PROXY=${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost
export NO_PROXY no_proxy=$NO_PROXY

missing=()
need() { # the command that has to work, then where it comes from
  local remedy=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$remedy")
}
need "cargo: install Rust with rustup" cargo --version
need "rustfmt: rustup component add rustfmt" cargo fmt --version
need "clippy: rustup component add clippy" cargo clippy --version
need "a C compiler: apt-get install gcc libc6-dev" cc --version
if ! $quick; then
  need "python3, 3.11 or later: apt-get install python3" python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'
  need "Python's venv: apt-get install python3-venv" python3 -c 'import venv, ensurepip'
  need "Node.js, 20 or later: apt-get install nodejs, from Debian 13 on" node -e 'if (process.versions.node.split(".")[0] < 20) process.exit(1)'
  need "npm: apt-get install npm" npm --version
  need "curl: apt-get install curl" curl --version
  need "openssl: apt-get install openssl" openssl version
fi
if ((${#missing[@]})); then
  echo "run-tests.sh: these are missing:" >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
fi

clients=$PWD/target/clients
mkdir -p "$clients"
log=$clients/stage.log
passed=0
failed=0
begun=$SECONDS

# Adds up the closing lines of cargo, pytest and node's test runner.
count_tests() {
  local sums
  sums=$(awk '
    { gsub(/\033\[[0-9;]*m/, "") }
    /^test result: / {
      for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^failed/) f += $(i - 1) }
      next
    }
    / in [0-9.]+s( \([0-9:]+\))?( =+)?$/ {
      for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i - 1); if ($i ~ /^(failed|errors?)/) f += $(i - 1) }
    }
    /^(#|ℹ) pass [0-9]+$/ { p += $3 }
    /^(#|ℹ) fail [0-9]+$/ { f += $3 }
    END { print p + 0, f + 0 }' "$log")
  passed=$((passed + ${sums% *}))
  failed=$((failed + ${sums#* }))
}

summary() {
  echo
  echo "$1 after $((SECONDS - begun)) s"
  echo "$passed passed, $failed failed"
}

# A stage without tests that fails counts as one failure, so that the last line never looks green.
stage() { # its name, then its command
  local name=$1 start=$SECONDS status=0
  shift
  echo
  echo "== $name"
  "$@" </dev/null 2>&1 | tee "$log" || status=$?
  count_tests
  if ((status)); then
    ((failed)) || failed=1
    echo "== $name failed after $((SECONDS - start)) s"
    summary "failed at: $name,"
    exit "$status"
  fi
  echo "== $name took $((SECONDS - start)) s"
}

# The Rust client is a crate of its own, so that Easel never gets what it needs.
rust_clients=tests/clients/rust/Cargo.toml

check_format() {
  cargo fmt --check || return
  cargo fmt --check --manifest-path "$rust_clients"
}

document() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps; }

# Made again only when what it is made from changes.
python_packages() { # the folder, the requirements
  local folder=$1 requirements=$2
  if [[ -x $folder/bin/python ]] && cmp -s "$requirements" "$folder/installed.txt"; then
    echo "$folder: as before"
    return
  fi
  rm -rf "$folder"
  python3 -m venv "$folder" || return
  "$folder/bin/pip" install --quiet --disable-pip-version-check --cache-dir "$clients/pip-cache" \
    --requirement "$requirements" || return
  cp "$requirements" "$folder/installed.txt"
}

node_packages() {
  local folder=$clients/node from=tests/clients/node
  mkdir -p "$folder"
  # Node looks for packages beside the file that imports them, so the tests run from a copy beside the packages.
  rm -f "$folder"/*.mjs
  cp "$from"/*.mjs "$folder/"
  if [[ -d $folder/node_modules ]] && cmp -s "$from/package-lock.json" "$folder/installed.json"; then
    echo "$folder: as before"
    return
  fi
  cp "$from/package.json" "$from/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --no-audit --no-fund --cache "$clients/npm-cache") || return
  cp "$from/package-lock.json" "$folder/installed.json"
}

install_clients() {
  python_packages "$clients/py" tests/clients/python/requirements.txt || return
  python_packages "$clients/py-openai-1" tests/clients/python/requirements-openai-1.txt || return
  python_packages "$clients/py-langchain" tests/clients/python/requirements-langchain.txt || return
  python_packages "$clients/py-infrastructure" tests/infrastructure/requirements.txt || return
  node_packages
}

try_locally() { PORT=$(free_port) ./test-local.sh --emulator --check; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# -B: no compiled files in the source tree.
with_pytest() { # the environment's folder, then pytest's arguments
  local folder=$1
  shift
  (cd tests/clients/python && "$folder/bin/python" -B -m pytest "$@")
}

# Of the infrastructure's environment: moto and the AWS CLI serve the documentation too.
tests_of() { (cd "tests/$1" && "$clients/py-infrastructure/bin/python" -B -m pytest -p no:cacheprovider); }

# In the folder above's target, so that what both need is fetched and built once.
with_cargo() { CARGO_TARGET_DIR=$PWD/target cargo test --locked --manifest-path "$rust_clients" --tests; }

long_chaos() {
  for ((round = 0; round < 10; round++)); do
    EASEL_CHAOS_SEED=$RANDOM$RANDOM EASEL_CHAOS_REQUESTS=${EASEL_CHAOS_REQUESTS:-5000} \
      cargo test --locked --test it chaos -- --nocapture || return
  done
}

# The binary of the Rust tests once more, with a new seed.
fuzz() { EASEL_FUZZ_SECONDS=$fuzz_seconds cargo test --locked --lib reply::tests::fuzz -- --nocapture; }

with_node() { (cd "$clients/node" && node --test --test-reporter=spec --test-timeout=120000 ./*.test.mjs); }

stage "format" check_format
stage "lints" cargo clippy --locked --all-targets -- -D warnings
stage "documentation" document
stage "Rust tests" cargo test --locked
if $quick; then
  summary "all well, but only the quick half,"
  exit
fi
stage "the reply scanner under any bytes" fuzz
stage "release build" cargo build --locked --release
export EASEL_BIN=$PWD/target/release/easel EASEL_CONFIG=$PWD/tests/clients/easel.yaml
stage "test-local.sh" try_locally
# What is shipped is built for what a picture goes through there.
stage "what build-dist.sh counts" python3 -B bench/train.py "$EASEL_BIN"
stage "clients' packages" install_clients
stage "Python clients" with_pytest "$clients/py" --ignore test_langchain.py --ignore test_open_webui.py
stage "Python, openai 1.x" with_pytest "$clients/py-openai-1" \
  test_openai.py test_openai_answers.py test_openai_edits.py test_openai_chat.py
stage "LangChain and LlamaIndex" with_pytest "$clients/py-langchain" test_langchain.py
stage "Node clients" with_node
stage "async-openai" with_cargo
stage "infrastructure" tests_of infrastructure
stage "the documentation's commands" tests_of docs
if $chaos; then
  stage "chaos" long_chaos
fi
if $prometheus; then
  stage "Prometheus" tests/observability.sh
fi
if $litellm; then
  stage "beside LiteLLM" tests/litellm/run.sh
fi
if $open_webui; then
  stage "Open WebUI" tests/clients/open-webui.sh
fi
summary "all well"
