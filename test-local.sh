#!/usr/bin/env bash
# Builds Easel, starts it, paints one picture through it as any OpenAI client would, and keeps serving.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
usage: ./test-local.sh [--check] [--emulator] [--docker]

  Builds Easel, starts it on http://localhost:4000 with litellm-config.yaml, paints one picture into
  target/local and keeps serving until Ctrl-C.

  With AWS_BEARER_TOKEN_BEDROCK or AWS credentials, in the environment or in .env, Amazon Bedrock paints,
  which costs a few cents. Without any, the built-in emulator paints, which costs nothing.

  --check      exit after the picture: 0 if it came, 1 if not
  --emulator   use the emulator even if there are credentials
  --docker     run it by docker compose instead of building it here

  PORT=4001 ./test-local.sh takes another port. LITELLM_MASTER_KEY is the key that clients show; without
  one it is sk-test-1234567890, which everybody knows, and which is good on this machine only.
TEXT
}

check=false
emulate=false
docker=false
for argument in "$@"; do
  case $argument in
    --check) check=true ;;
    --emulator) emulate=true ;;
    --docker) docker=true ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
done

fail() {
  echo "test-local.sh: $1" >&2
  exit 1
}

need() { command -v "$1" >/dev/null || fail "$1 is missing. $2"; }

# A setting as Easel will see it: the environment wins over .env, even where it is empty.
setting() {
  local name=$1 line value
  if [[ -n ${!name+set} ]]; then
    printf '%s' "${!name}"
    return
  fi
  [[ -f .env ]] || return 0
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%$'\r'}
    if [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?${name}[[:space:]]*=[[:space:]]*(.*)$ ]]; then
      value=${BASH_REMATCH[2]}
      if [[ $value =~ ^\"([^\"]*)\" || $value =~ ^\'([^\']*)\' ]]; then
        value=${BASH_REMATCH[1]}
      else
        value=${value%%[[:space:]]#*}
        value=${value%"${value##*[![:space:]]}"}
      fi
      printf '%s' "$value"
      return
    fi
  done <.env
}

# What guides write where a key belongs.
is_placeholder() {
  case $1 in
    your_api_key_here | your_key_here | '<'*) return 0 ;;
    *) return 1 ;;
  esac
}

# Whether a file of AWS's says how to get credentials; one that names only a region does not.
says_who() {
  [[ -r $1 ]] && grep -qE '^[[:space:]]*(aws_access_key_id|role_arn|sso_session|sso_start_url|credential_process|login_session)[[:space:]]*=' "$1"
}

has_credentials() {
  local name home=${HOME:-}
  for name in AWS_ACCESS_KEY_ID AWS_PROFILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_CREDENTIALS_FULL_URI \
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; do
    [[ -z $(setting "$name") ]] || return 0
  done
  local credentials config
  credentials=$(setting AWS_SHARED_CREDENTIALS_FILE)
  config=$(setting AWS_CONFIG_FILE)
  says_who "${credentials:-$home/.aws/credentials}" || says_who "${config:-$home/.aws/config}"
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

folder=target/local
easel_log=$folder/easel.log
emulator_log=$folder/emulator.log
easel_pid=
emulator_pid=
composed=false

# Stops what this script started, and nothing else.
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  local status=$? pid
  trap - EXIT INT TERM HUP
  for pid in $easel_pid $emulator_pid; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if $composed; then
    echo "stopping the containers"
    docker compose --profile emulator down --timeout 5 >/dev/null 2>&1 || true
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

last_log_lines() {
  echo "the last lines of the log:"
  if $docker; then
    docker compose --profile emulator logs --no-color --tail 20 2>&1 | sed 's/^/  /'
  else
    tail -n 20 "$easel_log" | sed 's/^/  /'
  fi
}

# Polls an address until it answers. Fails when the program behind it has ended, or after a while.
wait_until_alive() { # the address, the process id or nothing
  local deadline=$((SECONDS + 30))
  until curl -fs --noproxy '*' --max-time 2 -o /dev/null "$1"; do
    if [[ -n $2 ]] && ! kill -0 "$2" 2>/dev/null; then return 1; fi
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

start_emulator() {
  local port=9100 deadline=$((SECONDS + 30)) address
  # Another emulator may be at the usual port; any free one will do.
  if is_taken $port; then port=0; fi
  : >"$emulator_log"
  target/release/easel emulate --port $port 2>>"$emulator_log" &
  emulator_pid=$!
  until address=$(sed -n 's/.*listens on \(http:[^;]*\);.*/\1/p' "$emulator_log") && [[ -n $address ]]; do
    if ! kill -0 "$emulator_pid" 2>/dev/null || ((SECONDS >= deadline)); then
      cat "$emulator_log" >&2
      fail "the emulator did not start"
    fi
    sleep 0.05
  done
  export AWS_BEDROCK_RUNTIME_ENDPOINT=$address AWS_BEARER_TOKEN_BEDROCK=emulated
}

start_easel() {
  : >"$easel_log"
  EASEL_DATA_DIR=${EASEL_DATA_DIR:-$PWD/$folder/data} \
    target/release/easel --config litellm-config.yaml --host 127.0.0.1 --port "$port" 2>>"$easel_log" &
  easel_pid=$!
  if ! wait_until_alive "http://127.0.0.1:$port/health/liveliness" "$easel_pid"; then
    last_log_lines >&2
    fail "Easel did not start"
  fi
}

start_containers() {
  # The service runs as whoever owns ~/.aws, and Docker would make that folder as root.
  mkdir -p "$HOME/.aws"
  EASEL_UID=$(setting EASEL_UID)
  EASEL_GID=$(setting EASEL_GID)
  export PORT=$port EASEL_UID=${EASEL_UID:-$(id -u)} EASEL_GID=${EASEL_GID:-$(id -g)}
  # The port is published on loopback only, so a key that everybody knows does no harm.
  export LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true
  local profile=() services=(easel)
  if $emulate; then
    export AWS_BEDROCK_RUNTIME_ENDPOINT=http://emulator:9100 AWS_BEARER_TOKEN_BEDROCK=emulated
    profile=(--profile emulator) services=(easel emulator)
  fi
  composed=true
  if ! docker compose ${profile[@]+"${profile[@]}"} up -d --build --wait "${services[@]}"; then
    last_log_lines >&2
    fail "the containers did not start"
  fi
  wait_until_alive "http://127.0.0.1:$port/health/liveliness" "" || fail "the container does not answer on port $port"
}

# The bytes of a file as hexadecimal digits: offset, count.
bytes_at() { od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'; }

show_failure() {
  echo "no picture came: HTTP $1" >&2
  if [[ -s $folder/answer.json ]]; then
    head -c 2000 "$folder/answer.json" >&2
    echo >&2
  fi
  last_log_lines >&2
  exit 1
}

paint() {
  local url=http://localhost:$port/v1/images/generations status picture=$folder/sunset.png dimensions model
  rm -f "$folder/answer.json" "$folder/headers.txt" "$picture"
  status=$(curl -sS --noproxy '*' --max-time 400 -o "$folder/answer.json" -D "$folder/headers.txt" -w '%{http_code}' \
    -X POST "$url" \
    -H 'Content-Type: application/json' \
    -H "Authorization: Bearer $LITELLM_MASTER_KEY" \
    -d '{
      "model": "nova-canvas",
      "prompt": "A sunset over mountains",
      "n": 1
    }') || show_failure "${status:-000}, broken off"
  [[ $status == 200 ]] || show_failure "$status"
  # One line of two megabytes, cut at its quotes: the picture is the second piece after its name.
  tr '"' '\n' <"$folder/answer.json" | sed -n '/^b64_json$/{n;n;p;}' | base64 --decode >"$picture" ||
    show_failure "$status, but the picture in it is not base64"
  if [[ $(bytes_at "$picture" 0 8) != 89504e470d0a1a0a || $(tail -c 8 "$picture" | od -An -tx1 | tr -d ' \n') != 49454e44ae426082 ]]; then
    show_failure "$status, but the picture in it is no whole PNG"
  fi
  rm -f "$folder/answer.json"
  dimensions="$((16#$(bytes_at "$picture" 16 4)))x$((16#$(bytes_at "$picture" 20 4)))"
  model=$(tr -d '\r' <"$folder/headers.txt" | sed -n 's/^x-easel-model: //p')
  echo
  echo "picture    $PWD/$picture"
  echo "           $(wc -c <"$picture" | tr -d ' ') bytes, $dimensions pixels"
  if $emulate; then model="$model, emulated"; fi
  echo "painted by $model"
  echo "base URL   http://localhost:$port/v1, for any OpenAI client"
  echo "API key    $shown_key"
}

need curl "Install it, on Debian with: apt-get install curl"
need base64 "It is part of coreutils"
need od "It is part of coreutils"

port=$(setting PORT)
port=${port:-4000}
[[ $port =~ ^[0-9]{1,5}$ ]] || fail "PORT is '$port'. Write a number"
if is_taken "$port"; then
  fail "port $port is taken on this machine. Stop what listens there, or take another: PORT=$((port + 1)) ./test-local.sh"
fi

LITELLM_MASTER_KEY=$(setting LITELLM_MASTER_KEY)
if [[ -z $LITELLM_MASTER_KEY || $LITELLM_MASTER_KEY == sk-test-1234567890 ]]; then
  LITELLM_MASTER_KEY=sk-test-1234567890
  shown_key=$LITELLM_MASTER_KEY
else
  shown_key="your LITELLM_MASTER_KEY"
fi
export LITELLM_MASTER_KEY

key=$(setting AWS_BEARER_TOKEN_BEDROCK)
if is_placeholder "$key"; then
  echo "AWS_BEARER_TOKEN_BEDROCK is only the placeholder of a guide, so it counts as none"
  key=
  # What is set and empty is not taken from .env either.
  export AWS_BEARER_TOKEN_BEDROCK=
fi
if ! $emulate && [[ -z $key ]] && ! has_credentials; then emulate=true; fi

mkdir -p $folder
if $docker; then
  need docker "Install Docker with its compose plugin, or leave out --docker"
  docker compose version >/dev/null 2>&1 || fail "docker has no compose. Install the compose plugin, or leave out --docker"
  docker info >/dev/null 2>&1 || fail "no Docker engine answers. Start it, or leave out --docker"
else
  need cargo "Install Rust with rustup, or use --docker"
  echo "building Easel; the first time takes some minutes"
  cargo build --release --locked --quiet || fail "Easel does not build, see above"
fi

if $emulate; then
  echo
  echo "*** EMULATOR: nothing is real and nothing is paid. For real pictures set AWS_BEARER_TOKEN_BEDROCK, see .env.example ***"
else
  endpoint=$(setting AWS_BEDROCK_RUNTIME_ENDPOINT)
  identity="your AWS credentials"
  if [[ -n $key ]]; then identity="the API key of AWS_BEARER_TOKEN_BEDROCK"; fi
  echo "Amazon Bedrock paints${endpoint:+ by way of $endpoint}, with $identity; the picture costs a few cents"
fi

if $docker; then
  start_containers
else
  if $emulate; then start_emulator; fi
  start_easel
fi
paint
if $check; then exit 0; fi
trap 'echo; echo "stopped"; exit 0' INT TERM HUP
echo
if $docker; then
  echo "serving until Ctrl-C; the log: docker compose logs -f"
  docker compose wait easel >/dev/null 2>&1 &
  wait $! || true
else
  echo "serving until Ctrl-C; the log: $PWD/$easel_log"
  wait "$easel_pid" || true
  easel_pid=
fi
last_log_lines >&2
fail "Easel has ended by itself"
