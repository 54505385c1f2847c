//! How pictures are handed over: links and where they point, events, proxies in front.
//!
//! Must not make a folder or ask a bucket: it only says where they are.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use super::keys;
use super::report::{join, quote};
use super::section::{Field, Reader, Section, Text, Unset};
use super::{AwsKeys, Bucket, Delivery, EventTimes, Links};

const EXPIRES_IN: Duration = Duration::from_secs(3600);

const MAX_SIZE_MB: u64 = 2048;

const STATUS_AFTER: Duration = Duration::from_secs(10);

/// nginx gives up after a minute of silence, some others after half of one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A shorter secret could be guessed.
const SECRET_CHARS: usize = 32;

/// Reads what of `easel_settings` is about this.
pub(super) fn read(easel: &mut Section, reader: &mut Reader) -> Delivery {
    let mut events = reader.section(easel, "events");
    let times = EventTimes {
        status_after: status_after(events.take("status_after"), reader).unwrap_or(STATUS_AFTER),
        keep_alive: reader.seconds(events.take("keep_alive")).unwrap_or(KEEP_ALIVE),
    };
    rest(events, reader);
    Delivery {
        data_dir: data_dir(easel, reader),
        links: links(easel, reader),
        events: times,
        trusted_proxies: proxies(easel.take("trusted_proxies"), reader),
    }
}

/// Clients and proxies wait for a status line, but not for ever.
fn status_after(field: Option<Field>, reader: &mut Reader) -> Option<Duration> {
    let most = STATUS_AFTER.as_secs_f64();
    let accepts = |seconds: f64| (0.001..=most).contains(&seconds);
    reader.number(field, "seconds above 0, at most 10", accepts).map(Duration::from_secs_f64)
}

/// Where what outlives a request is kept, as the config says, or the environment, or custom.
fn data_dir(easel: &mut Section, reader: &mut Reader) -> Option<PathBuf> {
    let written = reader.text(easel.take("data_dir"), Unset::Mistake).map(|text| text.value);
    let of = |name: &str| reader.env.get(name).map(PathBuf::from);
    let home = || of("HOME").map(|home| home.join(".local/share"));
    written
        .map(PathBuf::from)
        .or_else(|| of("EASEL_DATA_DIR"))
        .or_else(|| of("XDG_DATA_HOME").or_else(home).map(|data| data.join("easel")))
}

fn links(easel: &mut Section, reader: &mut Reader) -> Links {
    let mut section = reader.section(easel, "links");
    let links = Links {
        expires_in: reader.seconds(section.take("expires_in")).unwrap_or(EXPIRES_IN),
        base_url: reader.text(section.take("base_url"), Unset::Mistake).and_then(|text| base_url(&text, reader)),
        dall_e_links: dall_e_default(section.take("dall_e_default"), reader),
        max_bytes: megabytes(section.take("max_size_mb"), reader).unwrap_or(MAX_SIZE_MB) * 1_000_000,
        secret: secret(&mut section, reader),
        bucket: section.take("s3").and_then(|field| reader.map(field)).and_then(|s3| bucket(s3, reader)),
    };
    if links.bucket.is_some() && links.secret.is_none() {
        let message =
            "is missing. Every replica must have the same, at least 32 characters, to honour the others' links";
        reader.mistake(&join(&section.path, "secret"), message);
    }
    rest(section, reader);
    links
}

pub(super) fn megabytes(field: Option<Field>, reader: &mut Reader) -> Option<u64> {
    let whole = |mb: f64| mb.fract() == 0.0 && (1.0..=1e9).contains(&mb);
    format!("{}", reader.number(field, "a whole number of megabytes from 1 on", whole)?).parse().ok()
}

fn secret(section: &mut Section, reader: &mut Reader) -> Option<SecretString> {
    let secret = reader.secret(section.take("secret"), Unset::Mistake)?;
    if secret.value.expose_secret().len() < SECRET_CHARS {
        let message = "the secret has fewer than 32 characters. Make one with 'openssl rand -hex 32'";
        reader.mistake(&secret.path, message);
    }
    Some(secret.value)
}

/// Whether aliases that begin with `dall-e` answer links where nobody says otherwise, as OpenAI did.
fn dall_e_default(field: Option<Field>, reader: &mut Reader) -> bool {
    let Some(text) = reader.text(field, Unset::Mistake) else { return true };
    if !["url", "b64_json"].contains(&&*text.value) {
        reader.mistake(&text.path, format!("the value {} is not accepted. Write 'url' or 'b64_json'", text.shown));
    }
    text.value == "url"
}

/// An address without a slash at its end.
fn base_url(text: &Text, reader: &mut Reader) -> Option<String> {
    let url: Option<Uri> = text.value.parse().ok();
    let fits =
        |url: &Uri| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some() && url.query().is_none();
    if !url.is_some_and(|url| fits(&url)) {
        let message = format!("the value {} is no address. Write it like 'https://pictures.example'", text.shown);
        reader.mistake(&text.path, message);
    }
    Some(text.value.trim_end_matches('/').to_owned())
}

fn bucket(mut s3: Section, reader: &mut Reader) -> Option<Bucket> {
    let name = reader.text(s3.take("bucket"), Unset::Mistake).map(|text| text.value);
    if name.is_none() {
        reader.mistake(&join(&s3.path, "bucket"), "is missing. It names the bucket that pictures go to");
    }
    let region = reader.text(s3.take("region"), Unset::Mistake).map(|text| text.value);
    let of_env = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| reader.env.get(name));
    let region = region.or_else(|| of_env.map(str::to_owned)).unwrap_or_else(|| "us-east-1".to_owned());
    let endpoint = reader.text(s3.take("endpoint"), Unset::Mistake).and_then(|text| base_url(&text, reader));
    let prefix = reader.text(s3.take("prefix"), Unset::Mistake).map(|text| text.value).unwrap_or_default();
    let id = reader.text(s3.take("aws_access_key_id"), Unset::Mistake);
    let secret = reader.secret(s3.take("aws_secret_access_key"), Unset::Mistake);
    let token = reader.secret(s3.take("aws_session_token"), Unset::Mistake).map(|secret| secret.value);
    if id.is_some() != secret.is_some() {
        reader.mistake(&s3.path, "aws_access_key_id and aws_secret_access_key come together. Write both, or neither");
    }
    let keys = id.zip(secret).map(|(id, secret)| AwsKeys { id: id.value, secret: secret.value, token });
    rest(s3, reader);
    Some(Bucket { name: name?, region, endpoint, prefix: prefix.trim_matches('/').to_owned(), keys })
}

/// Networks, or single addresses.
fn proxies(field: Option<Field>, reader: &mut Reader) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for text in reader.texts(field) {
        let network = text.value.parse::<IpNet>();
        match network.or_else(|_| text.value.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.push(network),
            Err(_) => {
                let message = format!("the value {} is no network. Write it like '10.0.0.0/8'", text.shown);
                reader.mistake(&text.path, message);
            }
        }
    }
    networks
}

/// What nobody has read. These sections are Easel's own, so it is a mistake.
pub(super) fn rest(section: Section, reader: &mut Reader) {
    let path = section.path.clone();
    let accepted: Vec<_> = keys::members(&path).iter().map(|key| format!("'{key}'")).collect();
    for (key, field) in section.rest() {
        let message = format!("{path} has no {}. Accepted are {}", quote(&key), accepted.join(", "));
        reader.mistake(&field.path, message);
    }
}
