//! The front door: API keys, long and short, and signed requests.
//! It must not look into the body beyond its hash.
use super::{
    Options,
    problem::Problem,
    refusal::{bearer_expired, bearer_invalid},
    sigv4::{Scope, Signed, canonical_request, credential, signature, sorted, string_to_sign},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, request::Parts};
use time::{Duration, OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// How far a client's clock may be off.
const SKEW: Duration = Duration::minutes(5);
/// A short-term key lives twelve hours at most.
const LONGEST: i64 = 43_200;
/// Names the region that the emulator stands for, since its host name cannot.
const REGION_HEADER: &str = "x-emulated-region";

/// Who was let in, and for which region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    /// `bearer` or `sigv4`.
    pub(super) by: &'static str,
    pub(super) region: Option<String>,
}

/// Lets a request in to Bedrock or says, in the front door's words, why not.
pub(super) fn admit(request: &Parts, body: &[u8], options: &Options) -> Result<Admitted, Problem> {
    admit_to("bedrock", request, body, options)
}

/// The same for any service, by the name that requests are signed for.
pub(super) fn admit_to(service: &str, request: &Parts, body: &[u8], options: &Options) -> Result<Admitted, Problem> {
    let missing = || Problem::front_door(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
    let header = request.headers.get("authorization").ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        let wanted = text(&request.headers, REGION_HEADER);
        let region = bearer(rest.trim(), wanted, options)?;
        return Ok(Admitted { by: "bearer", region: region.or(wanted.map(str::to_owned)) });
    }
    if scheme != "AWS4-HMAC-SHA256" {
        return Err(missing());
    }
    let region = signed(service, request, rest, body, options)?;
    Ok(Admitted { by: "sigv4", region: Some(region) })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(key: &str, wanted: Option<&str>, options: &Options) -> Result<Option<String>, Problem> {
    if options.api_keys.iter().any(|known| known == key) {
        return Ok(None);
    }
    let encoded = key.strip_prefix("bedrock-api-key-").ok_or_else(bearer_invalid)?;
    let (region, expires) = short_term(encoded, options).ok_or_else(bearer_invalid)?;
    if wanted.is_some_and(|wanted| wanted != region) {
        return Err(bearer_invalid());
    }
    if (options.now)() >= expires {
        return Err(bearer_expired());
    }
    Ok(Some(region))
}

/// The region and the end of a short-term key, once its signature is found to be right. It is a presigned request
/// in base64, signed by the pair of keys that made it.
fn short_term(encoded: &str, options: &Options) -> Option<(String, OffsetDateTime)> {
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let query = decoded.strip_prefix("bedrock.amazonaws.com/?")?;
    let find = |name: &str| {
        let mut all = query.split('&').filter_map(|part| part.split_once('='));
        all.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (access_key_id, scope) = percent_decoded_credential(find("X-Amz-Credential")?)?;
    let [date, region, service] = scope.each_ref().map(String::as_str);
    let scope = Scope { date, region, service };
    let unsigned = |part: &&str| !part.starts_with("X-Amz-Signature=") && !part.starts_with("Version=");
    let signed_query = sorted(&query.split('&').filter(unsigned).collect::<Vec<_>>().join("&"));
    let mut headers = HeaderMap::new();
    headers.insert("host", http::HeaderValue::from_static("bedrock.amazonaws.com"));
    let time = find("X-Amz-Date")?;
    let to_sign =
        string_to_sign(time, &scope, &canonical_request("POST", "/", &signed_query, &headers, &["host"], b""));
    let sound = access_key_id == options.access_key_id
        && service == "bedrock"
        && time.starts_with(date)
        && find("Action") == Some("CallWithBearerToken")
        && find("X-Amz-SignedHeaders") == Some("host")
        && find("X-Amz-Signature") == Some(signature(&options.secret_access_key, &scope, &to_sign).as_str());
    let begins = instant(time)?;
    let seconds: i64 = find("X-Amz-Expires")?.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds))?;
    let begun = begins <= (options.now)() + SKEW;
    (sound && begun).then(|| (region.to_owned(), begins + Duration::seconds(seconds)))
}

fn percent_decoded_credential(text: &str) -> Option<(String, [String; 3])> {
    let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    let (key, scope) = credential(&text, '/')?;
    Some((key.to_owned(), [scope.date, scope.region, scope.service].map(str::to_owned)))
}

fn signed(service: &str, request: &Parts, parameters: &str, body: &[u8], options: &Options) -> Result<String, Problem> {
    let refuse = |message: String| Problem::front_door(403, "InvalidSignatureException", message);
    let incomplete = |what: &str| {
        Problem::front_door(400, "IncompleteSignatureException", format!("Authorization header requires {what}."))
    };
    let signed = Signed::parse(parameters)
        .ok_or_else(|| incomplete("'Credential', 'SignedHeaders' and 'Signature' parameters"))?;
    if signed.access_key_id != options.access_key_id {
        let message = "The security token included in the request is invalid.";
        return Err(Problem::front_door(403, "UnrecognizedClientException", message));
    }
    if signed.scope.service != service {
        return Err(refuse(format!("Credential should be scoped to correct service: '{service}'.")));
    }
    let time = text(&request.headers, "x-amz-date").unwrap_or("");
    let then = instant(time).ok_or_else(|| incomplete("existence of either a 'X-Amz-Date' or a 'Date' header"))?;
    if !signed.headers.contains(&"host") || !signed.headers.contains(&"x-amz-date") {
        return Err(refuse("'Host' and 'X-Amz-Date' must be 'SignedHeader's in the AWS Authorization.".into()));
    }
    if !time.starts_with(signed.scope.date) {
        return Err(refuse("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.".into()));
    }
    in_time(then, time, (options.now)())?;
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or(""));
    let canonical = canonical_request(request.method.as_str(), path, query, &request.headers, &signed.headers, body);
    let expect = signature(&options.secret_access_key, &signed.scope, &string_to_sign(time, &signed.scope, &canonical));
    if expect != signed.signature {
        return Err(refuse("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".into()));
    }
    Ok(signed.scope.region.to_owned())
}

fn in_time(then: OffsetDateTime, written: &str, now: OffsetDateTime) -> Result<(), Problem> {
    let refuse = |message: String| Err(Problem::front_door(403, "InvalidSignatureException", message));
    if then < now - SKEW {
        let (limit, now) = (basic(now - SKEW), basic(now));
        return refuse(format!("Signature expired: {written} is now earlier than {limit} ({now} - 5 min.)"));
    }
    if then > now + SKEW {
        let (limit, now) = (basic(now + SKEW), basic(now));
        return refuse(format!("Signature not yet current: {written} is still later than {limit} ({now} + 5 min.)"));
    }
    Ok(())
}

fn instant(text: &str) -> Option<OffsetDateTime> {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(text, form).ok().map(PrimitiveDateTime::assume_utc)
}

fn basic(time: OffsetDateTime) -> String {
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    time.format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use time::macros::datetime;

    fn noon() -> OffsetDateTime {
        datetime!(2026-11-22 12:00:00 UTC)
    }

    fn one_o_clock() -> OffsetDateTime {
        datetime!(2026-11-22 13:00:00 UTC)
    }

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/sigv4-and-api-keys.json")).unwrap()
    }

    /// Hands a vector's request to the front door, with one header changed if asked.
    fn knock(case: &Value, change: Option<(&'static str, &str)>, options: &Options) -> Result<Admitted, Problem> {
        let text = |name: &str| case[name].as_str().unwrap();
        let uri: http::Uri = text("url").parse().unwrap();
        let mut request = http::Request::post(uri.path()).header("host", uri.host().unwrap());
        for (name, value) in [("accept", "application/json"), ("content-type", "application/json")] {
            request = request.header(name, value);
        }
        request = request.header("x-amz-date", text("x-amz-date")).header("authorization", text("authorization"));
        if let Some(token) = case["session_token"].as_str() {
            request = request.header("x-amz-security-token", token);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        if let Some((name, value)) = change {
            parts.headers.insert(name, value.parse().unwrap());
        }
        admit(&parts, text("body").as_bytes(), options)
    }

    fn key(token: &str, region: Option<&str>, now: fn() -> OffsetDateTime) -> Result<Option<String>, String> {
        bearer(token, region, &Options::new(now)).map_err(|problem| problem.message)
    }

    #[test]
    fn admits_every_signed_vector_and_no_other() {
        let options = Options::new(noon);
        for case in vectors()["sigv4"].as_array().unwrap() {
            let region = case["region"].as_str().map(str::to_owned);
            assert_eq!(knock(case, None, &options), Ok(Admitted { by: "sigv4", region }));
            let problem = knock(case, Some(("accept", "*/*")), &options).unwrap_err();
            assert_eq!((problem.status, problem.kind), (403, "InvalidSignatureException"));
            let late = knock(case, None, &Options::new(one_o_clock)).unwrap_err();
            assert!(late.message.starts_with("Signature expired: 20261122T120000Z"), "{}", late.message);
            let stranger = Options { access_key_id: "AKIDSTRANGER".into(), ..Options::new(noon) };
            assert_eq!(knock(case, None, &stranger).unwrap_err().kind, "UnrecognizedClientException");
            let other_secret = Options { secret_access_key: "other".into(), ..Options::new(noon) };
            assert_eq!(knock(case, None, &other_secret).unwrap_err().kind, "InvalidSignatureException");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_header() {
        let case = &vectors()["sigv4"][0];
        let kind = |value: &str| knock(case, Some(("authorization", value)), &Options::new(noon)).unwrap_err().kind;
        assert_eq!(kind("AWS4-HMAC-SHA256 Credential=x"), "IncompleteSignatureException");
        assert_eq!(kind("Basic abc"), "MissingAuthenticationTokenException");
        let other = case["authorization"].as_str().unwrap().replace("/bedrock/", "/bedrock-runtime/");
        assert_eq!(kind(&other), "InvalidSignatureException");
    }

    #[test]
    fn reads_every_short_term_key() {
        for case in vectors()["tokens"].as_array().unwrap() {
            let (token, region) = (case["token"].as_str().unwrap(), case["region"].as_str().unwrap());
            assert_eq!(key(token, None, noon), Ok(Some(region.to_owned())));
            assert_eq!(key(token, Some(region), noon), Ok(Some(region.to_owned())));
            assert!(key(token, Some("eu-west-1"), noon).unwrap_err().starts_with("Authentication failed"));
            let hour = case["expires"] == 3600;
            assert_eq!(key(token, None, one_o_clock).is_err(), hour);
            if hour {
                assert_eq!(key(token, None, one_o_clock).unwrap_err(), "Bearer Token has expired");
            }
            assert!(key(token, None, || datetime!(2026-11-22 11:00 UTC)).is_err());
            let longer = case["decoded"].as_str().unwrap().replace("X-Amz-Expires=3600", "X-Amz-Expires=7200");
            if hour {
                let forged = format!("bedrock-api-key-{}", BASE64_STANDARD.encode(longer));
                assert!(key(&forged, None, noon).unwrap_err().starts_with("Authentication failed"));
            }
        }
    }

    #[test]
    fn takes_known_keys_and_no_garbage() {
        assert_eq!(key("emulated", None, noon), Ok(None));
        for bad in ["", "emulate", "bedrock-api-key-", "bedrock-api-key-!!", "bedrock-api-key-YWJj"] {
            assert!(key(bad, None, noon).unwrap_err().starts_with("Authentication failed"), "{bad}");
        }
    }
}
