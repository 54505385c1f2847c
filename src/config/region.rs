//! Where a deployment is called: its region and the address of Bedrock there.
//!
//! Must not know who pays, nor read anything but the params it is handed and the environment.

use http::Uri;
use secrecy::ExposeSecret;

use super::model::Target;
use super::report::Report;
use super::section::{Field, Reader, Section, Text, Unset, truth};
use super::{Auth, Environment};
use crate::api_key::ApiKey;
use crate::loopback::names_this_machine;

/// Where LiteLLM ends up when nobody names a region.
const LAST_RESORT: &str = "us-west-2";

/// Whether a text can be a region: it goes into a host name and a signature.
pub fn is_region(text: &str) -> bool {
    let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.contains('-') && text.len() <= 40 && text.chars().all(fit) && !text.starts_with('-') && !text.ends_with('-')
}

/// `us-east-1` and its like, strict enough to tell it from the first part of a model id.
pub(super) fn looks_like_region(text: &str) -> bool {
    is_region(text) && text.ends_with(|c: char| c.is_ascii_digit()) && text.matches('-').count() >= 2
}

/// What those say of a region who pay: a short-term key works in one only, and a profile may prefer one.
pub(super) fn of_auth(auth: &Auth, env: &Environment) -> Option<String> {
    let of_key = match auth {
        Auth::Bearer { key, .. } => ApiKey::read(key.key.expose_secret()).region().map(str::to_owned),
        Auth::Keys { .. } | Auth::WebIdentity { .. } | Auth::Chain { .. } => None,
    };
    let profile = match auth {
        Auth::Chain { profile, .. } => profile.as_deref(),
        Auth::Bearer { .. } | Auth::Keys { .. } | Auth::WebIdentity { .. } => None,
    };
    let region = of_key.or_else(|| env.region_of_profile(profile).map(str::to_owned));
    // One that is none is passed over: it stands in no file that the report could point at.
    region.filter(|region| is_region(region))
}

/// The region, by LiteLLM's precedence; then what those who pay say (`of_auth`), and what the catalogue leaves as a
/// choice.
pub(super) fn region(
    params: &mut Section,
    target: Option<&Target>,
    told: Option<&str>,
    reader: &mut Reader,
) -> Option<String> {
    let written = reader.text(params.take("aws_region_name"), Unset::Warning);
    if let Some(text) = &written {
        valid(text, "aws_region_name", &mut reader.report)?;
    }
    let target = target?;
    if let Some(text) = &written {
        differing(text, target, reader);
    }
    let mut found = written.map(|text| text.value).or_else(|| target.region.clone());
    for name in ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"] {
        if found.is_none()
            && let Some(text) = reader.text(Some(of_env(name)), Unset::Silent)
        {
            valid(&text, name, &mut reader.report)?;
            found = Some(text.value);
        }
    }
    let region = found.or_else(|| told.map(str::to_owned)).unwrap_or_else(|| unnamed(target, &params.path, reader));
    offered(&region, target, &params.path, reader);
    Some(region)
}

/// A variable, read as if it stood in the config.
fn of_env(name: &str) -> Field {
    Field { path: String::new(), value: format!("os.environ/{name}").into() }
}

fn unnamed(target: &Target, path: &str, reader: &mut Reader) -> String {
    let region = match &target.model.regions[..] {
        [only] => only.as_str(),
        _ => LAST_RESORT,
    };
    reader.warn(path, format!("no region is named, so it is {region}. {}", choice(target)));
    region.to_owned()
}

/// What to write for a region that the model is offered in.
fn choice(target: &Target) -> String {
    match &target.model.regions[..] {
        [only] => format!("Write 'aws_region_name: {only}'"),
        several => format!("Write 'aws_region_name' with one of {}", several.join(", ")),
    }
}

fn valid(text: &Text, name: &str, report: &mut Report) -> Option<()> {
    if !is_region(&text.value) {
        report.mistake(&text.path, format!("{name} {} is no region. Write it like 'us-east-1'", text.shown));
        return None;
    }
    Some(())
}

fn differing(text: &Text, target: &Target, reader: &mut Reader) {
    if let Some(other) = target.region.as_ref().filter(|other| **other != text.value) {
        reader.warn(
            &text.path,
            format!("the model or its ARN names {other}, and aws_region_name {} wins. Name one of them", text.shown),
        );
    }
}

/// A base model is called where it is offered; a profile, an ARN or a custom model may live elsewhere.
fn offered(region: &str, target: &Target, path: &str, reader: &mut Reader) {
    let regions = &target.model.regions;
    if target.model_id == target.model.id && !regions.iter().any(|r| r == region) && !regions.is_empty() {
        let hint = choice(target);
        reader.warn(path, format!("{} is not offered in {region}. {hint}", target.model.id));
    }
}

/// The address that is called, by LiteLLM's precedence, without a trailing slash.
pub(super) fn endpoint(params: &mut Section, region: Option<&str>, reader: &mut Reader) -> String {
    let region = region.unwrap_or(LAST_RESORT);
    let places = [
        (params.take("aws_bedrock_runtime_endpoint"), Unset::Warning, true),
        (Some(of_env("AWS_BEDROCK_RUNTIME_ENDPOINT")), Unset::Silent, true),
        // People write 'bedrock-runtime' there, and LiteLLM never minded.
        (params.take("api_base").or(params.take("base_url")), Unset::Warning, false),
        (Some(of_env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")), Unset::Silent, true),
        (Some(of_env("AWS_ENDPOINT_URL")), Unset::Silent, true),
    ];
    let mut found = None;
    for (field, unset, strict) in places {
        let Some(text) = reader.text(field, unset) else { continue };
        let why = match address(&text.value) {
            Ok(address) => {
                found = found.or(Some(address));
                continue;
            }
            Err(why) => why,
        };
        let Text { path, shown, .. } = &text;
        if strict {
            let hint = format!("Write it like '{}'", host(region, false, false));
            reader.mistake(path, format!("the address {shown} {why}. {hint}"));
        } else {
            let hint = "Leave the line out to call AWS itself";
            reader.warn(path, format!("the address {shown} {why}, so it is ignored. {hint}"));
        }
    }
    let on = |name: &str| reader.env.get(name).and_then(truth) == Some(true);
    let [fips, dual_stack] = ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"].map(on);
    let Some(address) = found else { return host(region, fips, dual_stack) };
    if fips || dual_stack {
        let name = if fips { "AWS_USE_FIPS_ENDPOINT" } else { "AWS_USE_DUALSTACK_ENDPOINT" };
        let hint = "Write the address that you mean, or leave it out";
        reader.warn(&params.path, format!("{name} goes unused, because the address to call is given. {hint}"));
    }
    address
}

/// An http(s) address without what could hide a secret or break the path behind it.
pub(super) fn address(text: &str) -> Result<String, &'static str> {
    let text = text.trim_end_matches('/');
    let uri: Uri = text.parse().map_err(|_| "is no http(s) URL")?;
    let host = uri.host().unwrap_or_default();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || host.is_empty() {
        return Err("is no http(s) URL");
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err("holds a user name");
    }
    if uri.query().is_some() || text.contains('#') {
        return Err("holds more than a host and a path");
    }
    Ok(text.to_owned())
}

/// Whether a secret sent there crosses a network in the clear.
pub(super) fn in_the_clear(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    uri.scheme_str() == Some("http") && !names_this_machine(host)
}

/// AWS's partitions: how their regions begin, and the domains for one and for both protocol versions.
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("", "amazonaws.com", "api.aws"),
];

fn host(region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = PARTITIONS.iter().find(|(beginning, _, _)| region.starts_with(beginning));
    let (_, single, dual) = partition.unwrap_or(&PARTITIONS[6]);
    let name = if fips { "bedrock-runtime-fips" } else { "bedrock-runtime" };
    format!("https://{name}.{region}.{}", if dual_stack { dual } else { single })
}

/// The region inside an ARN.
pub(super) fn of_arn(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|_| arn.starts_with("arn:")).filter(|region| is_region(region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_the_partition() {
        for (region, expected) in [
            ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "https://bedrock-runtime.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "https://bedrock-runtime.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", "https://bedrock-runtime.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", "https://bedrock-runtime.eu-isoe-west-1.cloud.adc-e.uk"),
        ] {
            assert_eq!(host(region, false, false), expected);
        }
        for (region, fips, dual_stack, expected) in [
            ("us-east-1", true, false, "https://bedrock-runtime-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, "https://bedrock-runtime.us-east-1.api.aws"),
            ("us-east-1", true, true, "https://bedrock-runtime-fips.us-east-1.api.aws"),
            ("us-gov-west-1", true, false, "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "https://bedrock-runtime-fips.us-gov-west-1.api.aws"),
            ("cn-north-1", false, true, "https://bedrock-runtime.cn-north-1.api.amazonwebservices.com.cn"),
            ("eusc-de-east-1", false, true, "https://bedrock-runtime.eusc-de-east-1.api.amazonwebservices.eu"),
            ("eusc-de-east-1", true, false, "https://bedrock-runtime-fips.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(host(region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn addresses_are_plain_urls() {
        assert_eq!(address("http://localhost:9100//").as_deref(), Ok("http://localhost:9100"));
        assert_eq!(address("https://x.example/bedrock/").as_deref(), Ok("https://x.example/bedrock"));
        for bad in ["bedrock-runtime", "ftp://x", "https://", "https://u:p@x", "https://x?y=z", "https://x/#y", "/x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_plain_http_beyond_this_machine_is_in_the_clear() {
        for (endpoint, expected) in [
            ("http://emulator:9100", true),
            ("http://127.0.0.1:9100", false),
            ("http://127.evil.example:9100", true),
            ("http://[::1]:9100", false),
            ("http://localhost", false),
            ("https://x.example", false),
        ] {
            assert_eq!(in_the_clear(endpoint), expected, "{endpoint}");
        }
    }

    #[test]
    fn regions_are_told_from_other_words() {
        for (text, is, looks) in [
            ("us-east-1", true, true),
            ("us-gov-west-1", true, true),
            ("us east 1", false, false),
            ("us-east-1/..", false, false),
            ("US-EAST-1", false, false),
            ("stable-image", true, false),
        ] {
            assert_eq!((is_region(text), looks_like_region(text)), (is, looks), "{text}");
        }
        assert_eq!(of_arn("arn:aws:bedrock:eu-west-1:123456789012:x/y"), Some("eu-west-1"));
        assert_eq!(of_arn("amazon.nova-canvas-v1:0"), None);
    }
}
