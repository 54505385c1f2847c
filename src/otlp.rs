//! Sends spans to a collector, if the environment names one: OTLP over HTTP, by OpenTelemetry's own variables.
//!
//! Must not decide what a span says: `traces.rs` does. OpenTelemetry's exporter reads the other variables itself.

use std::collections::HashMap;

use easel::config::Environment;
use easel::traces::Traces;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Where the collector may be named, besides by LiteLLM's OTEL_ENDPOINT.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Where traces go. Nowhere unless a collector is named; why not, if it cannot be used.
pub(crate) fn traces(env: &Environment) -> Result<Traces, String> {
    let says = |name: &str, value: &str| env.get(name).is_some_and(|set| set.eq_ignore_ascii_case(value));
    let named = ENDPOINTS.iter().any(|name| env.get(name).is_some());
    let litellm = env.get("OTEL_ENDPOINT").filter(|_| !named);
    if !named && litellm.is_none() || says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
        return Ok(Traces::default());
    }
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    if let Some(protocol) = protocols.iter().find_map(|name| env.get(name)).filter(|text| *text != "http/protobuf") {
        return Err(format!(
            "'{protocol}' is not spoken. Set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf (port 4318)"
        ));
    }
    let mut exporter = SpanExporter::builder().with_http();
    if let Some(endpoint) = litellm {
        let endpoint = endpoint.trim_end_matches('/');
        exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches("/v1/traces")));
        exporter = exporter.with_headers(headers(env.get("OTEL_HEADERS").unwrap_or_default()));
    }
    let exporter =
        exporter.build().map_err(|error| format!("{error}. Set it to an address such as http://otel:4318"))?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(env)).build();
    Ok(Traces::new(provider))
}

/// What OTEL_RESOURCE_ATTRIBUTES says, and the name and version of this service where it says neither.
fn resource(env: &Environment) -> Resource {
    let said = env.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_named = env.get("OTEL_SERVICE_NAME").is_some() || said.contains("service.name=");
    let mut resource = Resource::builder();
    if !is_named {
        resource = resource.with_service_name("easel");
    }
    if !said.contains("service.version=") {
        resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    resource.build()
}

/// `name=value,name=value`.
fn headers(text: &str) -> HashMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}
