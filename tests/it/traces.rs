//! Spans as a collector gets them, from the program itself: whose they are, what they say, what they must not.
//! Must not trust Easel's own reading of OTLP: OpenTelemetry's messages are decoded here.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use easel::emulator::Fault;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;

use crate::support::CORE;
use crate::support::child::{Builder, Child};
use crate::support::service::{ID, SECRET};

/// A caller's trace and the span in which it asks.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A collector that keeps what it gets.
struct Collector {
    url: String,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    async fn start() -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = got.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move { kept.lock().unwrap().push((headers, body)) };
        let app = Router::new().route("/v1/traces", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, got, serving }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let got = self.got.lock().unwrap();
        got.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    /// Every span, by the time of its beginning.
    fn spans(&self) -> Vec<Span> {
        let scopes = self.requests().into_iter().flat_map(|request| request.resource_spans);
        let scopes = scopes.flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Attributes by name; those that differ each time are only named.
fn attributes(all: &[KeyValue]) -> Vec<String> {
    let varying = ["aws.request_id", "easel.request_id", "telemetry.sdk.version"];
    let mut lines: Vec<_> = all
        .iter()
        .map(|one| match varying.contains(&&*one.key) {
            true => format!("{} = ...", one.key),
            false => format!("{} = {}", one.key, text(&one.value)),
        })
        .collect();
    lines.sort();
    lines
}

/// A span, and what it says.
fn described(span: &Span) -> String {
    let (kind, status) = (span.kind().as_str_name(), span.status.as_ref().map_or(0, |status| status.code));
    let events: Vec<_> = span.events.iter().map(|event| event.name.clone()).collect();
    format!(
        "{} ({kind}, status {status}, events {events:?})\n  {}\n",
        span.name,
        attributes(&span.attributes).join("\n  ")
    )
}

/// Easel that signs, for a collector.
fn easel(collector: &Collector) -> Builder {
    Child::with(CORE)
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
}

async fn paint(easel: &Child, prompt: &str) -> reqwest::Response {
    let request = crate::support::client().post(format!("{}/v1/images/generations", easel.url));
    let request = request.header("traceparent", format!("00-{TRACE}-{SPAN}-01")).header("tracestate", "shop=7");
    let body = serde_json::json!({"prompt": prompt, "num_retries": 1});
    request.body(body.to_string()).send().await.unwrap()
}

async fn stop(easel: &mut Child) {
    easel.signal("TERM");
    assert_eq!(easel.end().await, Some(0), "{}", easel.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_leads_from_the_caller_through_easel_to_bedrock() {
    let collector = Collector::start().await;
    let mut easel = easel(&collector).env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop").start().await;
    // The first call is throttled, the second paints.
    easel.emulator.script(["throttle", "tiny"].map(|name| name.parse::<Fault>().ok()));
    let reply = paint(&easel, "a fox nobody may read of").await;
    assert_eq!(reply.status(), 200);
    reply.bytes().await.unwrap();
    stop(&mut easel).await;

    let spans = collector.spans();
    insta::assert_snapshot!(spans.iter().map(described).collect::<String>());
    let [request, failed, painted] = &spans[..] else { panic!("three spans: {spans:?}") };
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (TRACE.to_owned(), SPAN.to_owned()));
    for call in [failed, painted] {
        assert_eq!((&call.trace_id, &call.parent_span_id), (&request.trace_id, &request.span_id));
    }
    // What Bedrock was sent, and believed although the signature does not cover it.
    let calls = easel.emulator.calls();
    assert_eq!(calls.len(), 2);
    for (call, span) in calls.iter().zip([failed, painted]) {
        assert_eq!(call.auth, "sigv4");
        assert_eq!(call.headers["traceparent"], format!("00-{TRACE}-{}-01", hex(&span.span_id)));
        assert_eq!(call.headers["tracestate"], "shop=7");
    }
    assert!(easel.said().contains(&format!("trace_id=\"{TRACE}\"")), "{}", easel.said());
    let (headers, body) = collector.got.lock().unwrap()[0].clone();
    assert_eq!(
        (&headers["content-type"], &headers["x-tenant"]),
        (&"application/x-protobuf".parse().unwrap(), &"shop".parse().unwrap())
    );
    let secrets = ["fox", SECRET, ID, "Bearer", "iVBOR"];
    let sent = String::from_utf8_lossy(&body);
    assert!(secrets.iter().all(|secret| !sent.contains(secret)), "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_is_named_as_the_environment_says_and_probes_are_no_traces() {
    for (variables, expected) in [
        (&[][..], "easel"),
        (&[("OTEL_SERVICE_NAME", "studio")][..], "studio"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=atelier")][..], "atelier"),
    ] {
        let collector = Collector::start().await;
        let mut builder = easel(&collector);
        for (name, value) in variables {
            builder = builder.env(name, value);
        }
        let mut easel = builder.start().await;
        for path in ["/health/liveliness", "/metrics", "/v1/models"] {
            crate::support::client().get(format!("{}{path}", easel.url)).send().await.unwrap();
        }
        stop(&mut easel).await;
        let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["GET /v1/models"]);
        let resource = collector.requests()[0].resource_spans[0].resource.clone().unwrap();
        let resource = attributes(&resource.attributes);
        assert!(resource.contains(&format!("service.name = {expected}")), "{resource:?}");
        assert!(resource.contains(&format!("service.version = {}", env!("CARGO_PKG_VERSION"))), "{resource:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_or_a_sample_nothing_is_sent() {
    let off: [&[(&str, &str)]; 4] = [
        &[("OTEL_SDK_DISABLED", "true")],
        &[("OTEL_TRACES_EXPORTER", "none")],
        &[("OTEL_TRACES_SAMPLER", "always_off")],
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
    ];
    for variables in off {
        let collector = Collector::start().await;
        let mut builder = easel(&collector);
        for (name, value) in variables {
            builder = builder.env(name, value);
        }
        let mut easel = builder.start().await;
        paint(&easel, "a cat").await.bytes().await.unwrap();
        stop(&mut easel).await;
        assert_eq!(collector.spans(), [], "{variables:?}");
        let said = easel.said();
        assert_eq!(said.contains("traces are off"), variables[0].1 == "grpc", "{said}");
    }
    let mut easel = Child::with(CORE).env("AWS_BEARER_TOKEN_BEDROCK", "emulated").start().await;
    assert_eq!(paint(&easel, "a cat").await.status(), 200);
    assert!(!easel.emulator.calls()[0].headers.contains_key("traceparent"));
    stop(&mut easel).await;
    assert!(!easel.said().contains("trace_id"), "{}", easel.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variables_of_litellm_name_a_collector_too() {
    let collector = Collector::start().await;
    let mut easel = Child::with(CORE)
        .env("AWS_BEARER_TOKEN_BEDROCK", "emulated")
        .env("OTEL_ENDPOINT", &collector.url)
        .env("OTEL_HEADERS", "x-tenant=shop")
        .start()
        .await;
    assert_eq!(paint(&easel, "a cat").await.status(), 200);
    stop(&mut easel).await;
    assert_eq!(collector.spans().len(), 2);
    assert_eq!(collector.got.lock().unwrap()[0].0["x-tenant"], "shop");
}
