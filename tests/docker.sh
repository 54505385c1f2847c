#!/usr/bin/env bash
# Builds the image and runs docker-compose.yml for real, on the emulator: Easel, not Open WebUI, which open-webui.sh in
# clients/ drives, nor Prometheus and Grafana, of which only the definitions are read. By hand, where a container engine runs:
#   tests/docker.sh                 EASEL_BUILD_ARGS="--network=host" tests/docker.sh hands options to docker build
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0
ok() { passed=$((passed + 1)); echo "ok    $*"; }
say() { echo "      $*"; }
fail() { echo "FAIL  $*" >&2; exit 1; }
now() { date +%s%3N; }

command -v docker >/dev/null || fail "there is no docker here. Install Docker Engine with the compose plugin"
docker info >/dev/null 2>&1 || fail "no container engine answers. Start one, or set DOCKER_HOST to it"
docker compose version >/dev/null 2>&1 || fail "docker has no compose plugin. Install docker-compose-plugin"
for tool in curl python3; do command -v $tool >/dev/null || fail "$tool is missing. Install it"; done

# Nothing of this machine gets in: no AWS, no .env, a home of its own, a free port.
for name in $(compgen -e | grep -E '^(AWS_|LITELLM_|EASEL_(UID|GID|CONFIG_DIR)$)' || true); do unset "$name"; done
work=$(mktemp -d)
mkdir "$work/.aws"
chmod 755 "$work" "$work/.aws"
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
key="sk-test-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
export PORT
project="easel-test-$$"
compose() { HOME=$work docker compose --project-name "$project" --env-file /dev/null --profile emulator "$@"; }
# shellcheck disable=SC2329
clean_up() {
  docker rm --force "$project-litellm" >/dev/null 2>&1 || true
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$work"
}
export DOCKER_CONFIG=${DOCKER_CONFIG:-$HOME/.docker}
trap clean_up EXIT

# The image.
began=$(now)
# shellcheck disable=SC2086
docker build ${EASEL_BUILD_ARGS:-} --tag easel . >"$work/build.log" 2>&1 || { tail -40 "$work/build.log" >&2; fail "the image does not build"; }
ok "the image builds ($((($(now) - began) / 1000)) s)"
size=$(docker image inspect --format '{{.Size}}' easel)
[ "$size" -lt 60000000 ] || fail "the image has $size bytes"
ok "the image is small ($(python3 -c "print(f'{$size / 1e6:.1f}')") MB)"
user=$(docker image inspect --format '{{.Config.User}}' easel)
[[ $user =~ ^[1-9][0-9]*:[1-9][0-9]*$ ]] || fail "the image runs as '$user'"
ok "the image runs as user $user"
[ "$(docker run --rm easel --version)" = "easel $(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)" ] || fail "--version"
! docker run --rm --entrypoint sh easel -c true >/dev/null 2>&1 || fail "there is a shell in the image"
ok "the image holds no shell"

# The door: a container is reachable, so a weak key is refused in words.
for weak in "" sk-1234 sk-test-1234567890; do
  status=0
  words=$(docker run --rm --env LITELLM_MASTER_KEY="$weak" easel 2>&1) || status=$?
  [ "$status" = 64 ] || fail "with the key '$weak' the exit status is $status: $words"
  [[ $words == *"LITELLM_MASTER_KEY=sk-"* ]] || fail "with the key '$weak' it says: $words"
done
ok "without a key of one's own it ends with status 64 and says what to do"

# The compose file.
compose config | grep -q AWS_BEARER_TOKEN_BEDROCK || fail "compose does not pass AWS_BEARER_TOKEN_BEDROCK"
services=$(LITELLM_MASTER_KEY=$key compose --profile metrics config --services | sort | xargs)
[ "$services" = "easel emulator grafana open-webui prometheus" ] || fail "the services are: $services"
ok "the compose file is in order ($services)"
# A folder of its own for the config, which is changed below.
mkdir "$work/config"
cp litellm-config.yaml "$work/config/"
chmod -R a+rX "$work/config"
export EASEL_CONFIG_DIR=$work/config
export LITELLM_MASTER_KEY=$key AWS_BEARER_TOKEN_BEDROCK=emulated AWS_BEDROCK_RUNTIME_ENDPOINT=http://emulator:9100
began=$(now)
compose up --no-build --wait easel emulator >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; compose logs >&2; fail "compose up"; }
ok "compose is up and healthy ($(($(now) - began)) ms)"
container=$(compose ps --quiet easel)
[ "$(docker inspect --format '{{.State.Health.Status}}' "$container")" = healthy ] || fail "not healthy"
[ "$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}}' "$container")" = true ] || fail "the root is not read-only"
[ "$(docker inspect --format '{{.Config.User}}' "$container")" = 1000:1000 ] || fail "not the user of ~/.aws"
for published in $(docker inspect --format '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}' "$container"); do
  [ "$published" = 127.0.0.1 ] || fail "published on $published"
done
[ -z "$(docker inspect --format '{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}{{end}}{{end}}' "$(compose ps --quiet emulator)")" ] ||
  fail "the emulator is published"
ok "read-only, user 1000, published on 127.0.0.1 only"

url=http://127.0.0.1:$PORT
status=$(curl --silent --output /dev/null --write-out '%{http_code}' "$url/v1/models")
[ "$status" = 401 ] || fail "a caller without the key gets $status"
paint() {
  curl --silent --show-error --fail-with-body --max-time 60 --dump-header "$work/head" --output "$work/reply" "$url/v1/images/generations" \
    --header "Authorization: Bearer $key" --header 'Content-Type: application/json' --data "$1" || { cat "$work/reply" >&2; compose logs >&2; fail "no picture"; }
}
paint '{"model": "nova-canvas", "prompt": "A sunset over mountains", "n": 2, "size": "1024x1024"}'
python3 - "$work/reply" <<'P' || fail "the pictures are not as they should be"
import base64, json, struct, sys
data = json.load(open(sys.argv[1]))["data"]
pictures = [base64.b64decode(picture["b64_json"], validate=True) for picture in data]
assert len(pictures) == 2 and pictures[0] != pictures[1]
for picture in pictures:
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", picture[16:24]) == (1024, 1024)
print(f"      {len(pictures)} pictures, {sum(map(len, pictures)) / 1e6:.1f} MB")
P
grep -qi '^x-easel-model: stability.stable-image-core-v1:1' "$work/head" || fail "nova-canvas was not painted by its fallback"
ok "the pictures of the guide's call come through the container"
say "memory: $(docker stats --no-stream --format '{{.MemUsage}}' "$container")"

# AWS credentials of ~/.aws instead of a key. The emulator knows AWS's published example pair.
printf '[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = %s\n' wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY >"$work/.aws/credentials"
chmod 644 "$work/.aws/credentials"
unset AWS_BEARER_TOKEN_BEDROCK
compose up --no-build --wait easel emulator >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "compose up"; }
container=$(compose ps --quiet easel)
paint '{"prompt": "A sunset over mountains"}'
ok "it signs with the credentials of ~/.aws"

# Files of its own go to the volume, and nowhere else.
link=$(curl --silent --fail "$url/v1/images/generations" --header "Authorization: Bearer $key" --header 'Content-Type: application/json' \
  --data '{"prompt": "a fox", "response_format": "url"}' | python3 -c 'import json, sys; print(json.load(sys.stdin)["data"][0]["url"])') || fail "no link"
[ "$(curl --silent --fail "$link" | head -c 8 | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no picture behind $link"
compose restart easel >/dev/null 2>&1
until curl --silent --fail --output /dev/null "$url/health/liveliness"; do sleep 0.1; done
curl --silent --fail --output /dev/null "$link" || fail "a restart has lost the picture behind $link"
ok "links last through a restart"

# A config that an editor replaces: another file under the same name.
sed 's/^  - model_name: creative-upscale$/  - model_name: renamed/' "$work/config/litellm-config.yaml" >"$work/config/new"
mv "$work/config/new" "$work/config/litellm-config.yaml"
began=$(now)
until curl --silent "$url/v1/models" --header "Authorization: Bearer $key" | grep -q '"renamed"'; do
  [ $(($(now) - began)) -lt 30000 ] || { compose logs easel >&2; fail "a replaced config is not read again"; }
  sleep 0.1
done
ok "a replaced config is read again ($(($(now) - began)) ms)"

# Its end: SIGTERM, at once and in order.
began=$(now)
compose stop easel >/dev/null 2>&1
took=$(($(now) - began))
[ "$(docker inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || fail "SIGTERM ends it with another status than 0"
[ "$took" -lt 5000 ] || fail "it took $took ms to stop"
ok "SIGTERM ends it with status 0 ($took ms)"

# Its start, and LiteLLM's way to start it.
cp litellm-config.yaml "$work/config.yaml"
chmod 644 "$work/config.yaml"
docker create --name "$project-litellm" --network "${project}_default" --read-only --cap-drop ALL --publish "127.0.0.1:$PORT:4000" --env LITELLM_MASTER_KEY="$key" \
  --volume "$work/config.yaml:/app/config.yaml:ro" easel --config /app/config.yaml --port 4000 --num_workers 4 --detailed_debug >/dev/null
began=$(now)
docker start "$project-litellm" >/dev/null
started=$(now)
until [ "$(curl --silent --max-time 1 "$url/health/liveliness")" = "\"I'm alive!\"" ]; do
  [ $(($(now) - started)) -lt 10000 ] || { docker logs "$project-litellm" >&2; fail "it does not answer"; }
  sleep 0.01
done
ok "LiteLLM's command line starts it (engine $((started - began)) ms, then Easel within $(($(now) - started)) ms)"

echo "$passed passed, 0 failed"
