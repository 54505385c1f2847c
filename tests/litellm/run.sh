#!/usr/bin/env bash
# Asks a real LiteLLM and Easel the same requests, in front of the same emulator, and compares what comes of them.
# Needs python3, a built target/debug/easel, and PyPI for the first run. Must not reach AWS: no AWS_* variable is handed on.
#   tests/litellm/run.sh            the plain requests of tests/litellm/requests.yaml, at both
#   tests/litellm/run.sh --table    LiteLLM's column of tests/fixtures/from-litellm.yaml, at LiteLLM alone
#   CONFIGS="nova settings" tests/litellm/run.sh --table    the rows of some configs only
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")/../.."

# LiteLLM without prisma answers 500 to every wrong key; LiteLLM's own images have it.
packages=('litellm[proxy]==1.106.2' prisma==0.15.0)
venv=target/litellm-venv
easel=target/debug/easel

# What stands in the environment must not decide how either of them answers.
for name in $(compgen -e); do
  case $name in
    AWS_* | LITELLM_* | EASEL_* | CONFIG_FILE_PATH | PORT | HOST | DATABASE_URL | REDIS_* | SERVER_ROOT_PATH) unset "$name" ;;
  esac
done
export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"
export no_proxy=$NO_PROXY

[ -x "$easel" ] || cargo build --bin easel
if [ ! -x "$venv/bin/litellm" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
fi
exec "$venv/bin/python" tests/litellm/compare.py --easel "$easel" --litellm "$venv/bin/litellm" "$@"
