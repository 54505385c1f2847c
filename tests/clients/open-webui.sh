#!/usr/bin/env bash
# Open WebUI from PyPI, set up as docker-compose.yml sets it up, before Easel and its emulator: signs up, paints, edits and
# chats, in Chromium where a page is needed. By hand or by ./run-tests.sh --open-webui; wants target/release/easel.
#   tests/clients/open-webui.sh                   SCREENSHOTS=docs tests/clients/open-webui.sh takes the picture anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "open-webui.sh: $1" >&2; exit 1; }
command -v "${CHROMIUM:=chromium}" >/dev/null || fail "chromium is missing: apt-get install chromium, or set CHROMIUM to one"
export CHROMIUM
CHROMIUM=$(command -v "$CHROMIUM")
export EASEL_BIN=${EASEL_BIN:-$PWD/target/release/easel}
[[ -x $EASEL_BIN ]] || fail "$EASEL_BIN is missing: cargo build --release"
SCREENSHOTS=${SCREENSHOTS:+$(realpath "$SCREENSHOTS")}
export SCREENSHOTS

# The version of the compose file; 2 GB, and made again only when what it is made from changes. torch stays out: it
# brings gigabytes of CUDA, and reads documents, not pictures.
folder=$PWD/target/clients/open-webui
version=$(sed -n 's|.*image: ghcr.io/open-webui/open-webui:v||p' docker-compose.yml)
wanted="open-webui==$version playwright==1.65.2 pytest==9.2.0"
if [[ $(cat "$folder/installed.txt" 2>/dev/null) != "$wanted" ]]; then
  python=
  for name in python3.12 python3.11 python3; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then python=$name; break; fi
  done
  [[ -n $python ]] || fail "Open WebUI runs on Python 3.11 or 3.12, and neither is here"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
  echo 'torch; sys_platform == "never"' >"$folder/overrides.txt"
  # shellcheck disable=SC2086
  "$folder/bin/uv" pip install --quiet --no-cache --python "$folder/bin/python" --override "$folder/overrides.txt" $wanted
  echo "$wanted" >"$folder/installed.txt"
fi

cd tests/clients/python
exec "$folder/bin/python" -B -m pytest test_open_webui.py "$@"
