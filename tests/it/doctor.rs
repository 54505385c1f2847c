//! `easel doctor`: it finds each fault that is planted, names the remedy, and shows no secret.
//! Must not paint: the emulator keeps what it was sent.

mod ward;

use easel::cli::doctor::Form;
use easel::clock::Clock;
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::datetime;
use tokio::net::TcpSocket;

use crate::signing::tls_in_front_of;
use crate::support::service::{ID, SECRET, Service};
use crate::support::{API_KEY, CORE, NOVA};
use ward::Ward;

const KEYS: &str = "aws_access_key_id: AKIDEXAMPLE, aws_secret_access_key: wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The report on one line, so that what it says can be looked for however it is broken.
fn flat(report: &str) -> String {
    report.split_whitespace().filter(|word| *word != "->").collect::<Vec<_>>().join(" ")
}

const PLAIN: Form = Form::Text { colour: false };

/// Plants a fault and looks for what is said of it.
#[track_caller]
fn finds((status, report): (u8, String), words: &[&str]) {
    assert_eq!(status, 1, "{report}");
    for words in words {
        assert!(flat(&report).contains(words), "'{words}' is not in: {report}");
    }
}

fn vector(region: &str) -> String {
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/sigv4-and-api-keys.json")).unwrap();
    let found = vectors["tokens"].as_array().unwrap().iter().find(|token| token["region"] == region);
    found.unwrap()["token"].as_str().unwrap().to_owned()
}

fn with(yaml: &str, params: &str) -> String {
    yaml.replace("aws_region_name", &format!("{params}, aws_region_name"))
}

#[tokio::test]
async fn all_is_well() {
    let ward = Ward::new().await.key(API_KEY);
    let (status, report) = ward.examine(CORE, PLAIN).await;
    let times = |word: &str| word.parse::<u64>().is_ok();
    let report: Vec<_> = report.split(' ').map(|word| if times(word) { "N" } else { word }).collect();
    let report = report.join(" ");
    insta::assert_snapshot!(format!("{report}exit {status}"), @"
    config.yaml

    core
      stability.stable-image-core-v1:1 in us-west-2 (model_list[0])
      ok    credentials  long-term API key, any region, from
                         os.environ/AWS_BEARER_TOKEN_BEDROCK
      ok    name         127.0.0.1 has N address, N ms
      ok    connect      it takes connections, N ms
      ok    tls          it answers, without TLS, N ms
      ok    clock        right
      ok    model        active, no end announced
      ok    access       it may be called

    All is well.
    exit 0
    ");
}

#[tokio::test]
async fn an_expired_key() {
    let core = CORE.replace("us-west-2", "us-east-1");
    let ward = Ward::at(|| datetime!(2026-11-22 14:00 UTC)).await.key(&vector("us-east-1"));
    let late = Clock::new(|| datetime!(2026-11-22 14:00 UTC).into());
    let key = "the API key of 'core' (os.environ/AWS_BEARER_TOKEN_BEDROCK) expired at 2026-11-22 13:00 UTC";
    let words = [
        &*format!("FAIL credentials {key} Make a new one and set it there"),
        &format!("FAIL access invalid bearer token: {key} Make a new one and set it there"),
    ];
    finds(ward.examine_at(late, &core, PLAIN).await, &words);
}

#[tokio::test]
async fn the_life_of_a_key_is_told_and_a_near_end_is_a_warning() {
    let core = CORE.replace("us-west-2", "us-east-1");
    let ward = Ward::new().await.key(&vector("us-east-1"));
    let (_, report) = ward.examine(&core, PLAIN).await;
    let words =
        "ok credentials short-term API key for us-east-1, 0 min old, 1 h 0 min left (until 2026-11-22 13:00 UTC)";
    assert!(flat(&report).contains(words), "{report}");
    let later = Clock::new(|| datetime!(2026-11-22 12:01 UTC).into());
    let (_, report) = ward.examine_at(later, &core, PLAIN).await;
    let flat = flat(&report);
    assert!(flat.contains("warn credentials short-term API key for us-east-1, 1 min old, 59 min left"), "{report}");
    assert!(flat.contains("Make a new one in time: easel token --region us-east-1"), "{report}");
}

#[tokio::test]
async fn a_key_for_another_region() {
    let ward = Ward::new().await.key(&vector("us-west-2")).script("bearer-invalid");
    let words = "works in us-west-2 only, and the deployment is in us-east-1 Make a key for that region, or change aws_region_name";
    finds(
        ward.examine(NOVA, PLAIN).await,
        &[
            &format!("FAIL credentials the API key of 'nova-canvas' (os.environ/AWS_BEARER_TOKEN_BEDROCK) {words}"),
            "FAIL access invalid bearer token: ",
        ],
    );
}

#[tokio::test]
async fn a_malformed_key() {
    let whole = vector("us-west-2");
    let ward = Ward::new().await.key(&whole[..whole.len() / 2]);
    let report = ward.examine(CORE, PLAIN).await;
    finds(report, &["begins like a short-term key and cannot be read Copy it again, whole", "FAIL access"]);
    // What is no key at all may still be one that the endpoint takes.
    let ward = Ward::new().await.key("sk-of-somebody-else");
    let report = ward.examine(CORE, PLAIN).await;
    let words = [
        "warn credentials API key of no known kind, from os.environ/AWS_BEARER_TOKEN_BEDROCK",
        "begin with ABSK or bedrock-api-key-",
        "FAIL access invalid bearer token: ",
    ];
    finds(report, &words);
}

#[tokio::test]
async fn a_wrong_clock() {
    let ward = Ward::at(|| datetime!(2026-11-22 12:10 UTC)).await;
    let report = ward.examine(&with(CORE, KEYS), PLAIN).await;
    let words = [
        "FAIL clock this machine's clock is 600 s behind the endpoint's Set the clock by the network",
        "FAIL access access denied: AWS does not accept the credentials of 'core' Check the access key and its secret, and that this machine's clock is right",
    ];
    finds(report, &words);
    // A little is only worth a warning.
    let ward = Ward::at(|| datetime!(2026-11-22 11:58 UTC)).await;
    let (status, report) = ward.examine(&with(CORE, KEYS), PLAIN).await;
    assert_eq!(status, 0, "{report}");
    assert!(flat(&report).contains("warn clock this machine's clock is 120 s ahead of the endpoint's"), "{report}");
}

#[tokio::test]
async fn no_access() {
    for (fault, words) in [
        (
            "access-denied",
            "FAIL access access denied: 'core' may not use stability.stable-image-core-v1:1 in us-west-2 Allow bedrock:InvokeModel on arn:aws:bedrock:us-west-2::foundation-model/emulated. Add it to the policy of who signs",
        ),
        ("call-with-bearer", "Allow bedrock:CallWithBearerToken on *. Add it to the policy of who signs"),
        (
            "model-access",
            "Let somebody call the model once who may aws-marketplace:Subscribe and aws-marketplace:ViewSubscriptions, then wait 15 minutes",
        ),
    ] {
        let ward = Ward::new().await.key(API_KEY).script(fault);
        finds(ward.examine(CORE, PLAIN).await, &[words]);
    }
}

#[tokio::test]
async fn a_retired_model() {
    let ward = Ward::new().await.key(API_KEY).script("end-of-life");
    let remedy = "Write 'model: bedrock/stability.stable-image-core-v1:1' and 'aws_region_name: us-west-2'";
    let words = [
        &*format!("warn model ended on 2026-09-30 {remedy}, or add fallbacks"),
        &format!("FAIL access Bedrock has withdrawn it, or closed it to this account {remedy}, or add fallbacks"),
    ];
    finds(ward.examine(NOVA, PLAIN).await, &words);
    // With fallbacks its alias goes on.
    let both = format!(
        "{NOVA}{}\nrouter_settings: {{fallbacks: [{{nova-canvas: [core]}}]}}\n",
        CORE.trim_start().replace("model_list:\n", "")
    );
    for (fault, says) in
        [("end-of-life", "Bedrock has withdrawn it"), ("invalid-model", "Bedrock does not have it any more")]
    {
        let ward = Ward::new().await.key(API_KEY).env("AWS_REGION", "us-east-1");
        // The deployments are looked at side by side; only Nova Canvas is to be gone.
        let alone =
            both.replace("stability.stable-image-core-v1:1,", "stability.stable-image-core-v1:1, mock_response: x,");
        let (status, report) = ward.script(fault).examine(&alone, PLAIN).await;
        assert_eq!(status, 0, "{report}");
        let flat = flat(&report);
        assert!(flat.contains("note model ended on 2026-09-30; its fallbacks are asked first"), "{report}");
        assert!(
            flat.contains(&format!("warn access {says}")) && flat.contains("requests go to its fallbacks"),
            "{report}"
        );
    }
}

#[tokio::test]
async fn a_dead_endpoint() {
    let mut ward = Ward::new().await.key(API_KEY);
    // Bound and not listening: nobody else can take the port meanwhile.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    ward.endpoint = format!("http://{}", port.local_addr().unwrap());
    let (status, report) = ward.examine(CORE, PLAIN).await;
    assert!(!report.contains("access"), "nobody is asked who is not there: {report}");
    finds(
        (status, report),
        &[
            "FAIL connect no connection to 127.0.0.1: Connection refused",
            "Check the region, the network and the firewall, HTTPS_PROXY and NO_PROXY",
        ],
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority() {
    let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut ward = Ward::new().await.key(API_KEY);
    ward.endpoint = tls_in_front_of(ward.url.trim_start_matches("http://").to_owned(), &certificate).await;
    let report = ward.examine(CORE, PLAIN).await;
    finds(report, &["FAIL tls its certificate is not trusted: ", "put that into AWS_CA_BUNDLE (a PEM file)"]);
    ward.certificates.push(reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap());
    let (status, report) = ward.examine(CORE, PLAIN).await;
    assert_eq!(status, 0, "{report}");
    assert!(flat(&report).contains("ok tls it answers, by a certificate that is trusted, "), "{report}");
}

#[tokio::test]
async fn a_model_that_is_not_in_the_region() {
    let elsewhere = with(&CORE.replace("us-west-2", "eu-west-1"), KEYS);
    let ward = Ward::new().await.script("invalid-model");
    let remedy = "Write 'aws_region_name' with one of: us-west-2";
    let words = [
        &*format!("warn model AWS does not list it in eu-west-1 {remedy}"),
        &format!("FAIL access there is no model stability.stable-image-core-v1:1 in eu-west-1 {remedy}"),
    ];
    finds(ward.examine(&elsewhere, PLAIN).await, &words);
}

#[tokio::test]
async fn a_role_that_is_not_given() {
    let ward = Ward::present().await;
    let role = "aws_role_name: 'arn:aws:iam::123456789012:role/painter'";
    let report = ward.examined(&with(CORE, &format!("{KEYS}, {role}")), &TempDir::new().unwrap(), &[]).await;
    let words = [
        "FAIL credentials the role arn:aws:iam::123456789012:role/painter is not given: ",
        "AccessDenied",
        "Check that the role exists, that its trust policy names who assumes it, and that they may sts:AssumeRole",
    ];
    assert!(!report.1.contains("access"), "nobody can call: {}", report.1);
    finds(report, &words);
}

#[tokio::test]
async fn a_profile_that_is_not_there() {
    let home = TempDir::new().unwrap();
    let named = with(CORE, "aws_profile_name: painter");
    let words = [
        "FAIL credentials the profile 'painter' is not there, or holds nothing to sign with",
        "Write one of 'aws configure list-profiles' as aws_profile_name, or make it: aws configure --profile painter",
    ];
    finds(Ward::present().await.examined(&named, &home, &[]).await, &words);
    let ambient = Ward::present().await.env("AWS_PROFILE", "painter");
    finds(
        ambient.examined(CORE, &home, &[]).await,
        &["FAIL credentials the profile 'painter' (AWS_PROFILE) is not there", "Change or unset AWS_PROFILE"],
    );
    // With files of AWS's tools, too.
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), "[profile other]\nregion = us-east-1\n").unwrap();
    finds(
        Ward::present().await.examined(&named, &home, &[]).await,
        &["FAIL credentials", "painter", "or make it: aws configure --profile painter"],
    );
    finds(ambient.examined(CORE, &home, &[]).await, &["FAIL credentials", "painter", "Change or unset AWS_PROFILE"]);
}

#[tokio::test]
async fn no_credentials() {
    let report = Ward::present().await.examined(CORE, &TempDir::new().unwrap(), &[]).await;
    finds(
        report,
        &[
            "FAIL credentials missing credentials: there is nobody to sign as Set AWS_BEARER_TOKEN_BEDROCK, or AWS access keys, or run with a profile or a role",
        ],
    );
}

#[tokio::test]
async fn who_signs_and_where_that_comes_from() {
    let home = TempDir::new().unwrap();
    let ward = Ward::present().await.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    let (status, report) = ward.examined(CORE, &home, &[]).await;
    assert_eq!(status, 0, "{report}");
    for words in [
        "ok credentials the AWS chain: AKID… (environment)",
        "ok identity arn:aws:iam::123456789012:user/emulated",
        "ok clock right",
        "ok model active, no end announced",
        "ok access it may be called",
        "All is well.",
    ] {
        assert!(flat(&report).contains(words), "{words}: {report}");
    }
    assert!(!report.contains('\u{1b}'), "no colours but on a terminal");
    let ward = ward.env("AWS_SECRET_ACCESS_KEY", "another-secret-altogether");
    let words = [
        "FAIL identity STS does not take them: SignatureDoesNotMatch The secret access key is not this access key's, or this machine's clock is wrong",
        "FAIL access",
    ];
    finds(ward.examined(CORE, &home, &[]).await, &words);
    let ward = ward.env("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    finds(
        ward.examined(CORE, &home, &[]).await,
        &["FAIL identity STS does not take them: InvalidClientTokenId AWS does not know this access key"],
    );
}

#[tokio::test]
async fn a_list_that_may_not_be_read_is_nothing_to_mend() {
    let closed = Service::start(|_, _| {
        (403, json!({"message": "User: x is not authorized to perform: bedrock:ListFoundationModels"}).to_string())
    })
    .await;
    let ward = Ward::new().await.key(API_KEY).env("AWS_ENDPOINT_URL_BEDROCK", &closed.url);
    let (status, report) = ward.examine(CORE, PLAIN).await;
    assert_eq!(status, 0, "{report}");
    let words =
        "note model no end announced, by the catalogue; bedrock:ListFoundationModels is not allowed, and not needed";
    assert!(flat(&report).contains(words), "{report}");
    assert_eq!(closed.only().target, "/foundation-models");
}

#[tokio::test]
async fn a_wildcard_is_looked_at_model_by_model() {
    let yaml = "
model_list:
  - model_name: bedrock/*
    litellm_params: {model: bedrock/*, aws_region_name: us-west-2}
easel_settings:
  allowed_models: ['stability.sd3*', 'stability.stable-image-core*', 'stability.stable-image-ultra*']
";
    let ward = Ward::new().await.key(API_KEY);
    let (status, report) = ward.examine(yaml, PLAIN).await;
    assert_eq!(status, 0, "{report}");
    let all = flat(&report);
    assert_eq!((all.matches("ok credentials").count(), all.matches(" model ").count()), (1, 3), "{report}");
    for model in ["stability.sd3-5-large-v1:0", "stability.stable-image-core-v1:1", "stability.stable-image-ultra-v1:1"]
    {
        assert!(all.contains(&format!("ok access {model}: it may be called")), "{model}: {report}");
    }
    // One that is missing is nothing to fail for, all of them are.
    let ward = Ward::new().await.key(API_KEY).script("invalid-model");
    let (status, report) = ward.examine(yaml, PLAIN).await;
    assert!(status == 0 && flat(&report).contains("warn access stability."), "{report}");
    let ward = Ward::new().await.key(API_KEY).script("access-denied").script("access-denied").script("invalid-model");
    assert_eq!(ward.examine(yaml, PLAIN).await.0, 1);
}

#[tokio::test]
async fn the_report_fits_a_terminal_and_has_colours_there() {
    let ward = Ward::new().await.key(&vector("us-west-2")).script("access-denied");
    let yaml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/litellm-config.yaml")).unwrap();
    let (_, report) = ward.examine(&yaml, PLAIN).await;
    let long: Vec<_> = report.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
    let (_, colourful) = ward.examine(&yaml, Form::Text { colour: true }).await;
    assert!(!report.contains('\u{1b}') && colourful.contains("\u{1b}[32mok  \u{1b}[0m  access"), "{colourful}");
}

#[tokio::test]
async fn json_and_exit_statuses_are_for_programs() {
    let home = TempDir::new().unwrap();
    let ward = Ward::present().await.key(API_KEY).script("access-denied");
    let (status, report) = ward.examined(CORE, &home, &["--json"]).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((status, &report["failures"], &report["warnings"]), (1, &json!(1), &json!(0)));
    let deployment = &report["deployments"][0];
    assert_eq!(
        [&deployment["name"], &deployment["path"], &deployment["region"]],
        ["core", "model_list[0]", "us-west-2"]
    );
    let checks = deployment["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["credentials", "name", "connect", "tls", "clock", "model", "access"]);
    let access = checks.last().unwrap();
    assert!(
        access["state"] == "failure" && access["remedy"].as_str().unwrap().starts_with("Allow bedrock:InvokeModel")
    );
    assert!(checks[1]["duration_ms"].is_number() && access["duration_ms"].is_null());
    let (status, _) = Ward::present().await.key(API_KEY).examined(CORE, &home, &["--json"]).await;
    assert_eq!(status, 0);
    let (status, report) = ward.examined(&format!("{CORE}\neasel_settings: {{nonsense: 1}}\n"), &home, &[]).await;
    assert_eq!(status, 64);
    assert!(report.contains("easel_settings has no 'nonsense'"), "{report}");
}

#[tokio::test]
async fn of_two_keys_each_is_told() {
    let next = "AWS_BEARER_TOKEN_BEDROCK_NEXT";
    let ward = Ward::new().await.key("ABSK-deleted-long-ago").env(next, API_KEY);
    let (status, report) = ward.examine(CORE, PLAIN).await;
    assert_eq!(status, 0, "the second opens Bedrock: {report}");
    let flat = flat(&report);
    assert!(flat.contains(&format!("ok next key long-term API key, any region, from os.environ/{next}")), "{report}");
    let words = "warn access it may be called, but not with the first key: invalid bearer token: the API key of 'core' \
                 (os.environ/AWS_BEARER_TOKEN_BEDROCK) is not accepted by Bedrock Make a new one";
    assert!(flat.contains(words), "{report}");
}
