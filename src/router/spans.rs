//! What the span of a call to Bedrock says, by OpenTelemetry's conventions for generative models.
//!
//! Must not say what is painted, nor an ARN, which names an account.

use http::Uri;
use opentelemetry::KeyValue;

use super::Painting;
use crate::bedrock::Error;
use crate::config::Deployment;
use crate::image::Part;
use crate::traces::Trace;

/// The conventions have no word of their own for painting; `gen_ai.output.type` says what comes out.
const OPERATION: &str = "generate_content";

/// A call begins.
pub(super) fn of_call(request: &Trace, deployment: &Deployment, part: Part) -> Trace {
    let model = || deployment.model.id.clone();
    let attributes = || {
        let endpoint = deployment.endpoint.parse::<Uri>().unwrap_or_default();
        vec![
            KeyValue::new("gen_ai.operation.name", OPERATION),
            KeyValue::new("gen_ai.provider.name", "aws.bedrock"),
            KeyValue::new("gen_ai.request.model", model()),
            KeyValue::new("gen_ai.request.choice.count", i64::from(part.count)),
            KeyValue::new("gen_ai.output.type", "image"),
            KeyValue::new("server.address", endpoint.host().unwrap_or_default().to_owned()),
            KeyValue::new("easel.alias", deployment.alias.clone()),
            KeyValue::new("easel.deployment", deployment.path.clone()),
            KeyValue::new("easel.region", deployment.region.clone()),
        ]
    };
    request.call(|| format!("{OPERATION} {}", model()), attributes)
}

/// Its picture begins, or it has failed, and how.
pub(super) fn tell(trace: &Trace, result: &Result<Box<Painting>, Error>, outcome: &'static str) {
    let request_id = match result {
        Ok(painting) => painting.request_id(),
        Err(error) => error.request_id.as_deref(),
    };
    trace.add(|| request_id.map(|id| KeyValue::new("aws.request_id", id.to_owned())).into_iter().collect());
    match result {
        Ok(_) => trace.event("a picture begins"),
        Err(_) => {
            trace.add(|| vec![KeyValue::new("error.type", outcome)]);
            trace.fail();
            trace.end();
        }
    }
}
