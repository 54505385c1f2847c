//! `easel token`: a short-term Bedrock API key from IAM credentials, made on this machine.
//!
//! Must not call Bedrock, nor write the key anywhere but to `out`.

use std::io::Write;
use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret;

use crate::api_key::utc;
use crate::bedrock::{Lack, Minted, NoCredentials, Session, mint_key};
use crate::clock::Clock;
use crate::config::{Environment, is_region};

/// AWS takes no key that lives longer.
pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The only region that the key will work in; else by the environment or the profile.
    pub region: Option<String>,
    /// How long it shall live.
    pub life: Duration,
    /// A profile of `~/.aws`; else what the AWS chain finds.
    pub profile: Option<String>,
    /// Write a line for a shell instead of the key alone.
    pub export: bool,
}

/// Why there is no key, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Unusable(String),
    /// There is nobody to make it for, or it cannot be written.
    #[error("{0}")]
    Failed(String),
}

/// Makes the key and writes it to `out`; what there is to know of it goes to `notes`.
pub async fn run(
    wish: &Wish,
    env: &Environment,
    clock: Clock,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), NoKey> {
    let region = region(wish, env)?;
    let now = clock.now();
    let minted = mint_key(wish.profile.as_deref(), &region, wish.life, now).await;
    let minted = minted.map_err(|error| NoKey::Failed(missing(wish, &error)))?;
    let write = |out: &mut dyn Write, notes: &mut dyn Write| {
        let key = minted.key.expose_secret();
        match wish.export {
            true => writeln!(out, "export AWS_BEARER_TOKEN_BEDROCK={key}")?,
            false => writeln!(out, "{key}")?,
        }
        out.flush()?;
        writeln!(notes, "easel: {}", describe(&minted, &region, wish.life, now))
    };
    write(out, notes).map_err(|error| NoKey::Failed(format!("cannot write: {error}")))
}

fn missing(wish: &Wish, error: &NoCredentials) -> String {
    let hint = match (&wish.profile, error.lack) {
        (Some(profile), Lack::Profile) => {
            format!("See 'aws configure list-profiles', or make it: 'aws configure --profile {profile}'")
        }
        (Some(profile), _) => format!("Sign in again, such as by 'aws sso login --profile {profile}'"),
        (None, Lack::Profile) => "Change or unset AWS_PROFILE".into(),
        (None, _) => {
            "Sign in (aws sso login), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a --profile".into()
        }
    };
    // The chain lists each place where it looked in vain.
    let detail = if error.lack == Lack::Credentials { "this machine has none".into() } else { error.to_string() };
    format!("missing credentials: there is nobody to make a key for: {detail}. {hint}")
}

/// Reads a life such as `12h`, `90m` or `3600s`.
pub fn life(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no length of time. Write it like 12h, 90m or 3600s");
    let (digits, seconds) = match text.char_indices().next_back() {
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 's')) => (&text[..at], 1),
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let life = Duration::from_secs(number.saturating_mul(seconds));
    match life {
        Duration::ZERO => Err(wrong()),
        life if life > LONGEST => Err(format!("'{text}' is longer than a short-term key can live. Write 12h at most")),
        life => Ok(life),
    }
}

fn region(wish: &Wish, env: &Environment) -> Result<String, NoKey> {
    let of_env = || env.get("AWS_REGION").or(env.get("AWS_DEFAULT_REGION"));
    let region = wish.region.as_deref().or_else(of_env).or_else(|| env.region_of_profile(wish.profile.as_deref()));
    let hint = "A short-term key works in one region only. Name that of your deployments, such as --region us-west-2";
    match region {
        None => Err(NoKey::Unusable(format!("no region is named. {hint}"))),
        Some(region) if is_region(region) => Ok(region.to_owned()),
        Some(region) => Err(NoKey::Unusable(format!("'{region}' is no region. {hint}"))),
    }
}

fn describe(minted: &Minted, region: &str, asked: Duration, now: SystemTime) -> String {
    let Minted { expires, session, signer, .. } = minted;
    let until = utc(*expires);
    let shorter = expires.duration_since(now).is_ok_and(|life| life < asked);
    let session = match session {
        Session::Until(_) if shorter => ", because their session ends then",
        Session::Unknown => "; or with their session, if that ends sooner",
        Session::Until(_) | Session::Endless => "",
    };
    format!("a key for {region}, made with the credentials {signer}; it expires {until}{session}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_have_a_unit_and_an_end() {
        for (text, seconds) in [("12h", 43_200), ("90m", 5400), ("1s", 1), ("720m", 43_200)] {
            assert_eq!(life(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "12", "h", "0h", "-1h", "1d", "1.5h", "１h", "99999999999999999999h"] {
            assert!(life(text).unwrap_err().ends_with("Write it like 12h, 90m or 3600s"), "{text}");
        }
        for text in ["13h", "43201s", "18446744073709551615h"] {
            assert!(life(text).unwrap_err().ends_with("Write 12h at most"), "{text}");
        }
    }
}
