//! The faults that are errors, with the words that Bedrock uses for them.
//! It must not know models, bodies or sockets.
use super::{fault::Fault, problem::Problem};

/// The resource that IAM's refusals name: nobody's account.
const RESOURCE: &str = "arn:aws:bedrock:us-west-2::foundation-model/emulated";
const USER: &str = "arn:aws:iam::123456789012:user/emulated";

/// The error that a fault stands for, if it is one.
pub(super) fn refusal(fault: Fault) -> Option<Problem> {
    service(fault).or_else(|| front_door(fault))
}

fn service(fault: Fault) -> Option<Problem> {
    const BUSY: &str = "Too many requests, please wait before trying again.";
    let problem = match fault {
        Fault::Throttle => Problem::new(429, "ThrottlingException", BUSY),
        Fault::ThrottleRetryAfter(seconds) => {
            Problem { retry_after: Some(seconds), ..Problem::new(429, "ThrottlingException", BUSY) }
        }
        Fault::Validation => Problem::malformed("#: extraneous key [emulated] is not permitted"),
        Fault::NotFound => Problem::new(404, "ResourceNotFoundException", "The specified resource ARN was not found."),
        Fault::EndOfLife => Problem::end_of_life(),
        Fault::Legacy => Problem::new(
            404,
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 30 days. Please upgrade to an active model on Amazon Bedrock",
        ),
        Fault::InvalidModel => Problem::invalid_model(),
        Fault::Timeout => Problem::new(
            408,
            "ModelTimeoutException",
            "Model has timed out in processing the request. Try your request again.",
        ),
        Fault::ModelError => Problem::new(
            424,
            "ModelErrorException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        Fault::NotReady => Problem::new(
            429,
            "ModelNotReadyException",
            "Model is not ready for inference. Wait and try your request again.",
        ),
        Fault::Internal => Problem::internal(),
        Fault::Overloaded => Problem::new(529, "overloaded_error", "Overloaded"),
        Fault::Quota => Problem::new(
            400,
            "ServiceQuotaExceededException",
            "Your request exceeds the service quota for your account.",
        ),
        _ => return None,
    };
    Some(problem)
}

fn front_door(fault: Fault) -> Option<Problem> {
    let denied = |message: String| Problem::front_door(403, "AccessDeniedException", message);
    let problem = match fault {
        Fault::AccessDenied => denied(format!(
            "User: {USER} is not authorized to perform: bedrock:InvokeModel on resource: {RESOURCE} because no identity-based policy allows the bedrock:InvokeModel action"
        )),
        Fault::CallWithBearer => denied(format!(
            "User: {USER} is not authorized to perform: bedrock:CallWithBearerToken on resource: * because no identity-based policy allows the bedrock:CallWithBearerToken action"
        )),
        Fault::ModelAccess => Problem::new(
            403,
            "AccessDeniedException",
            "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model.",
        ),
        Fault::ExpiredToken => {
            Problem::front_door(403, "ExpiredTokenException", "The security token included in the request is expired")
        }
        Fault::BearerExpired => bearer_expired(),
        Fault::BearerInvalid => bearer_invalid(),
        _ => return None,
    };
    Some(problem)
}

/// What the front door says of an API key past its time.
pub(super) fn bearer_expired() -> Problem {
    Problem::front_door(403, "AccessDeniedException", "Bearer Token has expired")
}

/// What the front door says of any other API key that it does not take.
pub(super) fn bearer_invalid() -> Problem {
    Problem::front_door(403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
}
