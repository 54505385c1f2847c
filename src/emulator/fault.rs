//! What can be made to go wrong: every fault has one name, one line of help and at most one value.
//! It must not answer anything itself: `refusal.rs` and `invoke.rs` turn a fault into bytes.
use std::{fmt, mem::discriminant, str::FromStr, time::Duration};

/// The word that asks for a fault from inside a prompt, as in `a cat emulate:throttle`.
const MAGIC: &str = "emulate:";

macro_rules! faults {
    ($($variant:ident $(($value:ty, $default:expr))? = $name:literal, $help:literal;)*) => {
        /// One way in which a call can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $help] $variant $(($value))?,)*
        }

        const TABLE: &[(Fault, &str, &str)] = &[$((Fault::$variant $(($default))?, $name, $help),)*];
    };
}

faults! {
    Throttle = "throttle", "429 ThrottlingException, without Retry-After, as Bedrock does it";
    ThrottleRetryAfter(u32, 1) = "throttle-retry-after", "429 ThrottlingException with Retry-After: 1 (=SECONDS)";
    Validation = "validation", "400 ValidationException";
    AccessDenied = "access-denied", "403: IAM does not allow bedrock:InvokeModel";
    ModelAccess = "model-access", "403: the model's Marketplace subscription is missing";
    CallWithBearer = "call-with-bearer", "403: the API key's user lacks bedrock:CallWithBearerToken";
    NotFound = "not-found", "404 ResourceNotFoundException";
    EndOfLife = "end-of-life", "404: the model version has reached the end of its life";
    Legacy = "legacy", "404: the model is marked Legacy and was not used lately";
    InvalidModel = "invalid-model", "400: the model identifier is invalid, as in a wrong region";
    Timeout = "timeout", "408 ModelTimeoutException";
    ModelError = "model-error", "424 ModelErrorException";
    NotReady = "not-ready", "429 ModelNotReadyException";
    Internal = "internal", "500 InternalServerException";
    Unavailable = "unavailable", "503 with a body of HTML";
    Overloaded = "overloaded", "529 overloaded_error";
    Quota = "quota", "400 ServiceQuotaExceededException";
    ExpiredToken = "expired-token", "403 ExpiredTokenException: the session token ran out";
    BearerExpired = "bearer-expired", "403: the API key has expired";
    BearerInvalid = "bearer-invalid", "403: the API key is not valid";
    FilterInput = "filter-input", "the prompt is filtered (Nova 400, Stability 200 without pictures)";
    FilterImage = "filter-image", "a picture that was sent in is filtered (Nova 400, Stability 200 without pictures)";
    FilterAll = "filter-all", "200, all pictures filtered";
    FilterSome = "filter-some", "200, one picture fewer than asked and the error after them (Stability: filter-all)";
    InferenceError = "inference-error", "200, Stability's finish reason `Inference error` (Nova: 424)";
    Guardrail = "guardrail", "200, a guardrail intervened, no pictures";
    Empty = "empty", "200 with an empty list of pictures";
    Slow(Duration, Duration::from_secs(5)) = "slow", "waits before the head of the reply, 5 s (=SECONDS)";
    SlowBody(Duration, Duration::from_secs(5)) = "slow-body", "pauses in mid-picture, 5 s (=SECONDS), then goes on";
    Stall = "stall", "sends half of the picture, then nothing, and keeps the connection open";
    ResetBeforeHead = "reset-before-head", "resets the connection without an answer";
    ResetMidBody = "reset-mid-body", "resets the connection in mid-picture";
    TruncatedJson = "truncated-json", "a well-ended HTTP message whose JSON stops in mid-picture";
    ShortLength = "short-length", "closes in mid-picture, before Content-Length is reached";
    LongLength = "long-length", "sends more than a Content-Length that ends in mid-picture";
    NotJson = "not-json", "200 with HTML";
    NullBody = "null-body", "200 with the JSON value null";
    OddJson = "odd-json", "legal JSON in an unusual dress: white space, escapes, order, unknown members";
    Tiny = "tiny", "a good reply with a picture of 64 by 64, whatever was asked";
}

/// A fault's name was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = TABLE.iter().map(|row| row.1).collect();
        write!(f, "unknown fault \"{}\"; one of: {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(text.to_owned());
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let fault = TABLE.iter().find(|row| row.1 == name).map(|row| row.0).ok_or_else(unknown)?;
        match value {
            None => Ok(fault),
            Some(value) => fault.with(value).ok_or_else(unknown),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fault {
    /// Every name with its one line of help, in the order of the documentation.
    pub fn names() -> Vec<(&'static str, &'static str)> {
        TABLE.iter().map(|row| (row.1, row.2)).collect()
    }

    /// The name by which the fault is asked for.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| discriminant(&row.0) == discriminant(&self)).map_or("", |row| row.1)
    }

    fn with(self, value: &str) -> Option<Self> {
        let seconds = || Duration::try_from_secs_f64(value.parse().ok()?).ok();
        match self {
            Self::Slow(_) => Some(Self::Slow(seconds()?)),
            Self::SlowBody(_) => Some(Self::SlowBody(seconds()?)),
            Self::ThrottleRetryAfter(_) => Some(Self::ThrottleRetryAfter(value.parse().ok()?)),
            _ => None,
        }
    }

    /// The fault that a prompt asks for; a misspelt one is an error, so that no test passes by a typing mistake.
    pub(super) fn in_prompt(prompt: &str) -> Option<Result<Self, UnknownFault>> {
        let rest = &prompt[prompt.find(MAGIC)? + MAGIC.len()..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-=.".contains(c))).unwrap_or(rest.len());
        Some(rest[..end].trim_end_matches('.').parse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for (name, help) in Fault::names() {
            let fault: Fault = name.parse().unwrap();
            assert_eq!(fault.name(), name);
            assert!(!help.is_empty());
        }
    }

    #[test]
    fn values_are_taken_where_they_mean_something() {
        assert_eq!("slow=0.5".parse(), Ok(Fault::Slow(Duration::from_millis(500))));
        assert_eq!("throttle-retry-after=7".parse(), Ok(Fault::ThrottleRetryAfter(7)));
        assert!("throttle=7".parse::<Fault>().is_err());
        assert!("slow=-1".parse::<Fault>().is_err());
        assert!("slow=soon".parse::<Fault>().is_err());
    }

    #[test]
    fn an_unknown_name_lists_all_names() {
        let error = "thorttle".parse::<Fault>().unwrap_err().to_string();
        for (name, _) in Fault::names() {
            assert!(error.contains(name), "{name}");
        }
    }

    #[test]
    fn a_prompt_may_ask_for_one() {
        assert_eq!(Fault::in_prompt("a cat"), None);
        assert_eq!(Fault::in_prompt("a cat emulate:throttle"), Some(Ok(Fault::Throttle)));
        assert_eq!(Fault::in_prompt("emulate:tiny. A cat"), Some(Ok(Fault::Tiny)));
        assert_eq!(Fault::in_prompt("(emulate:slow=0.25)"), Some(Ok(Fault::Slow(Duration::from_millis(250)))));
        assert!(Fault::in_prompt("emulate:nothing").unwrap().is_err());
    }
}
