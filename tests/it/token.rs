//! `easel token`, as a program: what is on which stream, with which exit status; the emulator judges the keys.
//! Must not let the program inherit an environment.

use std::process::{Command, Output};

use easel::api_key::ApiKey;
use tempfile::TempDir;

use crate::support::NOVA;
use crate::support::child::Child;
use crate::support::service::{ID, SECRET, Service, as_json};

fn program(home: &TempDir, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_easel"))
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(env.iter().copied())
        .current_dir(home.path())
        .output()
        .unwrap()
}

/// Exit status, standard output and standard error.
fn token(args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    told(&program(&TempDir::new().unwrap(), &[&["token"], args].concat(), env))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];

#[tokio::test]
async fn a_key_opens_bedrock_in_its_region() {
    let (status, key, notes) = token(&["--region", "us-east-1", "--expires", "90m"], &KEYS);
    assert_eq!(status, 0, "{notes}");
    assert!(key.starts_with("bedrock-api-key-") && key.ends_with('\n') && key.lines().count() == 1);
    assert!(notes.starts_with("easel: a key for us-east-1, made with the credentials AKID…"), "{notes}");
    assert!(!notes.contains(key.trim()) && !notes.contains(SECRET));
    // Judged by an emulator whose clock is the system's, as the key's was.
    let easel = Child::with(NOVA).env("AWS_BEARER_TOKEN_BEDROCK", key.trim()).start().await;
    assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
    let call = easel.emulator.calls().pop().unwrap();
    assert_eq!((&*call.auth, call.region.as_deref()), ("bearer", Some("us-east-1")));
}

#[test]
fn export_is_a_line_for_a_shell() {
    let (status, line, _) = token(&["--region", "us-west-2", "--export"], &KEYS);
    assert_eq!(status, 0);
    let script = "eval \"$1\"; printf %s \"$AWS_BEARER_TOKEN_BEDROCK\"";
    let shell = Command::new("sh").args(["-c", script, "sh", &line]).output().unwrap();
    let key = String::from_utf8(shell.stdout).unwrap();
    assert_eq!(line, format!("export AWS_BEARER_TOKEN_BEDROCK={key}\n"));
    assert!(key.starts_with("bedrock-api-key-"));
}

#[test]
fn the_region_is_found_where_awss_tools_look() {
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), "[profile painter]\nregion = eu-west-1\n").unwrap();
    let credentials = format!("[painter]\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n");
    std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
    for (args, env, region) in [
        (vec!["token", "--profile", "painter"], vec![], "eu-west-1"),
        (vec!["token", "--profile", "painter"], vec![("AWS_DEFAULT_REGION", "us-east-1")], "us-east-1"),
        (
            vec!["token", "--profile", "painter", "--region", "us-west-2"],
            vec![("AWS_REGION", "us-east-1")],
            "us-west-2",
        ),
    ] {
        let (status, _, notes) = told(&program(&home, &args, &env));
        assert!(status == 0 && notes.contains(&format!("a key for {region}, ")), "{notes}");
    }
}

#[tokio::test]
async fn a_key_lives_no_longer_than_its_session() {
    let ecs = Service::start(|_, _| (200, as_json("of-the-task", 1800))).await;
    let env = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", ecs.url.clone())];
    let made = tokio::task::spawn_blocking(move || {
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, &**value)).collect();
        token(&["--region", "us-east-1"], &env)
    });
    let (status, key, notes) = made.await.unwrap();
    assert!(status == 0 && notes.ends_with("UTC, because their session ends then\n"), "{notes}");
    let ApiKey::ShortTerm { made, expires, .. } = ApiKey::read(key.trim()) else { panic!("{key}") };
    let life = expires.duration_since(made).unwrap().as_secs();
    assert!((1700..=1800).contains(&life), "{life}");
    let (_, _, notes) = token(&["--region", "us-east-1"], &[KEYS.to_vec(), vec![("AWS_SESSION_TOKEN", "x")]].concat());
    assert!(notes.ends_with("; or with their session, if that ends sooner\n"), "{notes}");
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    for (args, env, status, said) in [
        (&[][..], &KEYS[..], 64, "easel: no region is named. A short-term key works in one region only."),
        (&["--region", "oregon"], &KEYS, 64, "easel: 'oregon' is no region."),
        (&["--region", "us-west-2", "--expires", "13h"], &KEYS, 2, "Write 12h at most"),
        (&["--region", "us-west-2"], &[], 1, "this machine has none. Sign in (aws sso login), set AWS_ACCESS_KEY_ID"),
        (
            &["--region", "us-west-2", "--profile", "nobody"],
            &[],
            1,
            "the profile 'nobody' is not there, or holds nothing",
        ),
        (&["--region", "us-west-2"], &[("AWS_PROFILE", "nobody")], 1, "missing credentials: "),
    ] {
        let (found, key, notes) = token(args, env);
        assert_eq!((found, &*key), (status, ""), "{notes}");
        assert!(notes.contains(said), "{notes}");
    }
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let home = TempDir::new().unwrap();
    let mut pages = vec![told(&program(&home, &["man"], &[]))];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        pages.push(told(&program(&home, &["completions", shell], &[])));
    }
    for (status, page, notes) in pages {
        assert_eq!((status, &*notes), (0, ""));
        for command in ["serve", "check", "token", "emulate", "health", "completions", "man"] {
            assert!(page.contains(command), "{command}: {page}");
        }
    }
}
