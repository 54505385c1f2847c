//! Spans of requests and calls, for a collector of OpenTelemetry's, if there is one.
//!
//! Must not carry a prompt, a picture or a key. Where there is no collector, nothing is computed.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// The collector gets so long for the last spans.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where spans go; by default nowhere.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

/// A span under way, and what begins below it; nothing where spans go nowhere. It ends with its last clone, or before
/// if it is told to.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    tracer: SdkTracer,
    context: Context,
}

impl Traces {
    /// Spans go where the provider sends them.
    pub fn new(provider: SdkTracerProvider) -> Self {
        Self(Some(provider))
    }

    /// The span of a request, below the one that its `traceparent` names.
    pub fn request(&self, method: &str, route: &str, headers: &HeaderMap) -> Trace {
        let Some(provider) = &self.0 else { return Trace::default() };
        let tracer = provider.tracer("easel");
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
        ];
        let builder = tracer.span_builder(format!("{method} {route}"));
        let span = builder.with_kind(SpanKind::Server).with_attributes(attributes).start_with_context(&tracer, &parent);
        Trace(Some(Open { context: parent.with_span(span), tracer }))
    }

    /// Sends what has ended and was not sent yet, and no more after that. Blocks.
    pub fn end(&self) {
        // The exporter has logged what went wrong.
        let _ = self.0.as_ref().map(|provider| provider.shutdown_with_timeout(FAREWELL));
    }
}

impl Trace {
    /// The span of a call to another service that is made for this one.
    pub fn call(&self, name: impl FnOnce() -> String, attributes: impl FnOnce() -> Vec<KeyValue>) -> Self {
        let Some(Open { tracer, context }) = &self.0 else { return Self::default() };
        let builder = tracer.span_builder(name()).with_kind(SpanKind::Client).with_attributes(attributes());
        let span = builder.start_with_context(tracer, context);
        Self(Some(Open { tracer: tracer.clone(), context: context.with_span(span) }))
    }

    /// What is learned of it later.
    pub fn add(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(Open { context, .. }) = &self.0 {
            context.span().set_attributes(attributes());
        }
    }

    /// Something happened now.
    pub fn event(&self, name: &'static str) {
        if let Some(Open { context, .. }) = &self.0 {
            context.span().add_event(name, Vec::new());
        }
    }

    /// It failed, and whose fault it is lies here or further up.
    pub fn fail(&self) {
        if let Some(Open { context, .. }) = &self.0 {
            context.span().set_status(Status::error(""));
        }
    }

    /// It is over, whatever still begins below it.
    pub fn end(&self) {
        if let Some(Open { context, .. }) = &self.0 {
            context.span().end();
        }
    }

    /// The trace's id, for the log.
    pub fn id(&self) -> Option<String> {
        Some(self.0.as_ref()?.context.span().span_context().trace_id().to_string())
    }

    /// `traceparent` and `tracestate`, for whoever is called.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(Open { context, .. }) = &self.0 {
            TraceContextPropagator::new().inject_context(context, &mut Carried(&mut headers));
        }
        headers
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Carried<'a>(&'a mut HeaderMap);

impl Injector for Carried<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            // No state is no header.
            if !value.is_empty() {
                self.0.insert(name, value);
            }
        }
    }
}
