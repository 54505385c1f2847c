#!/usr/bin/env bash
# The real Prometheus of Debian reads a running Easel, and says what it understood.
#   tests/observability.sh          EASEL_BIN=target/dist/easel tests/observability.sh takes another binary
#
# Prometheus is unpacked into target/prometheus and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0
begun=$SECONDS
ok() { passed=$((passed + 1)); echo "ok    $*"; }
fail() { echo "FAIL  $*" >&2; exit 1; }
for tool in curl jq; do command -v $tool >/dev/null || fail "$tool is missing: apt-get install $tool"; done

easel=${EASEL_BIN:-target/release/easel}
[[ -x $easel ]] || fail "there is no $easel: cargo build --release"

home=$PWD/target/prometheus
if [[ ! -x $home/usr/bin/prometheus ]]; then
  if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    mkdir -p "$home/usr/bin"
    ln -sf "$(command -v prometheus)" "$(command -v promtool)" "$home/usr/bin/"
  else
    command -v apt-get >/dev/null || fail "prometheus is missing, and this is no Debian to fetch it from"
    mkdir -p "$home"
    bench/unpack.sh "$home" prometheus >"$home/fetch.log" 2>&1 ||
      fail "prometheus cannot be fetched: $(tail -1 "$home/fetch.log")"
  fi
fi
prometheus=$home/usr/bin/prometheus promtool=$home/usr/bin/promtool

work=$(mktemp -d)
processes=()
# shellcheck disable=SC2329
clean_up() {
  ((${#processes[@]})) && kill "${processes[@]}" 2>/dev/null
  wait 2>/dev/null
  rm -rf "$work"
}
trap clean_up EXIT

# Everything listens on loopback, on ports that the kernel chooses; each log says which.
port_in() { # a log, and the words before the address
  for _ in $(seq 100); do
    local found
    found=$(sed -nE "s/.*$2[^0-9]*127\.0\.0\.1:([0-9]+).*/\1/p" "$1" | head -1)
    [[ -n $found ]] && { echo "$found"; return; }
    sleep 0.1
  done
  echo "it does not listen: $(tail -3 "$1")" >&2
  return 1
}

key=sk-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
cat >"$work/config.yaml" <<YAML
model_list:
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
YAML
clean=(env -i PATH="$PATH" HOME="$work")
"${clean[@]}" "$easel" emulate --port 0 2>"$work/emulator.log" &
processes+=($!)
bedrock=$(port_in "$work/emulator.log" "listens on")
"${clean[@]}" LITELLM_MASTER_KEY="$key" AWS_BEARER_TOKEN_BEDROCK=emulated \
  AWS_BEDROCK_RUNTIME_ENDPOINT="http://127.0.0.1:$bedrock" \
  "$easel" --config "$work/config.yaml" --host 127.0.0.1 --port 0 2>"$work/easel.log" &
processes+=($!)
port=$(port_in "$work/easel.log" "listening on")

paint() { # a body
  curl --silent --output /dev/null --write-out '%{http_code}' -H "Authorization: Bearer $key" \
    -H 'Content-Type: application/json' -d "$1" "http://127.0.0.1:$port/v1/images/generations"
}
[[ $(paint '{"prompt": "a fox", "n": 2}') == 200 ]] || fail "two pictures"
[[ $(paint '{"prompt": "emulate:filter-input"}') == 400 ]] || fail "a prompt that is refused"
[[ $(paint '{"prompt": "a fox", "model": "other"}') == 404 ]] || fail "a model that is not served"

# The config that is shipped, but for the address and the pace.
cp infrastructure/prometheus/*.yml "$work/"
echo "$key" >"$work/easel.key"
"$promtool" check config "$work/prometheus.yml" >"$work/check.log" 2>&1 || fail "promtool: $(cat "$work/check.log")"
ok "promtool takes prometheus.yml"
"$promtool" check rules infrastructure/prometheus/alerts.yml >"$work/check.log" || fail "promtool: $(cat "$work/check.log")"
ok "promtool takes alerts.yml: $(grep -o '[0-9]* rules' "$work/check.log")"
curl --silent -H "Authorization: Bearer $key" "http://127.0.0.1:$port/metrics" >"$work/metrics"
[[ $(tail -1 "$work/metrics") == "# EOF" ]] || fail "/metrics has no end"
sed -i "s/easel:4000/127.0.0.1:$port/; s/_interval: 15s/_interval: 1s/" "$work/prometheus.yml"
"$prometheus" --config.file "$work/prometheus.yml" --storage.tsdb.path "$work/data" \
  --web.listen-address 127.0.0.1:0 --log.format logfmt 2>"$work/prometheus.log" &
processes+=($!)
asked=http://127.0.0.1:$(port_in "$work/prometheus.log" 'Listening on"? address=')

query() { # an expression; its first value
  curl --silent --get --data-urlencode "query=$1" "$asked/api/v1/query" | jq -r '.data.result[0].value[1] // ""'
}
is() { # an expression, its value; as soon as Prometheus has it
  local value
  for _ in $(seq 100); do
    value=$(query "$1")
    [[ $value == "$2" ]] && { ok "$1 is $2"; return; }
    sleep 0.2
  done
  fail "$1 is '$value' and not $2: $(curl --silent "$asked/api/v1/targets" | jq -r '.data.activeTargets[0].lastError')"
}
is 'up{job="easel"}' 1
is 'easel_pictures_total{alias="core"}' 2
is 'easel_requests_total{route="/v1/images/generations",status="200"}' 1
is 'easel_errors_total{code="content_policy_violation"}' 1
is 'easel_upstream_duration_seconds_count{region="us-west-2"}' 2
is 'count(easel_build_info)' 1
is 'litellm_proxy_total_requests_metric_total{requested_model="core",status_code="200"}' 1
is 'litellm_proxy_failed_requests_metric_total{exception_class="ContentPolicyViolationError"}' 1
is 'litellm_proxy_failed_requests_metric_total{requested_model="unknown"}' 1
is 'litellm_spend_metric_total{model="stability.stable-image-core-v1:1"}' 0.08
is 'litellm_request_total_latency_metric_count' 1
is 'litellm_llm_api_latency_metric_count' 1
is 'process_resident_memory_bytes > bool 1e6' 1

# What the dashboard asks, Prometheus can parse, and what it asks of ordinary traffic is there.
expressions=$(jq -r '.panels[].targets[].expr' infrastructure/grafana/dashboards/easel.json)
while read -r expression; do
  expression=${expression//\$__rate_interval/1m}
  answer=$(curl --silent --get --data-urlencode "query=$expression" "$asked/api/v1/query")
  [[ $(jq -r .status <<<"$answer") == success ]] || fail "the dashboard asks $expression: $(jq -r .error <<<"$answer")"
done <<<"$expressions"
ok "Prometheus understands the $(wc -l <<<"$expressions") expressions of the dashboard"
rules=$(curl --silent "$asked/api/v1/rules" | jq '[.data.groups[].rules[]] | length')
[[ $rules == $(grep -c 'alert:' infrastructure/prometheus/alerts.yml) ]] || fail "$rules alerts are loaded"
ok "Prometheus watches $rules alerts"
echo "$passed passed in $((SECONDS - begun)).00s"
