//! Credentials that end: fetched anew ahead of time, once for all, and kept while nobody gives newer ones.
//! Must not wait for an expiry: short lives are given out instead.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::NOVA;
use crate::support::child::{Builder, Child};
use crate::support::service::{Service, as_json};

fn from(source: &Service) -> Builder {
    Child::with(NOVA).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &source.url)
}

/// Credentials whose session token is the number of the request that they answer.
async fn numbered(life: u64) -> Service {
    Service::start(move |_, number| (200, as_json(&number.to_string(), life))).await
}

#[tokio::test]
async fn many_requests_cause_one_fetch() {
    let source = Service::slow(Duration::from_millis(200), |_, _| (200, as_json("of-all", 3600))).await;
    let easel = from(&source).start().await;
    let replies = join_all((0..12).map(|_| easel.generate())).await;
    assert!(replies.iter().all(|reply| reply.status() == 200), "{}", easel.said());
    assert_eq!(source.received().len(), 1);
}

#[tokio::test]
async fn what_is_about_to_expire_is_fetched_for_each_call() {
    let source = numbered(4).await;
    let easel = from(&source).start().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
        let call = easel.emulator.calls().pop().unwrap();
        tokens.push(call.headers["x-amz-security-token"].to_str().unwrap().to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "{tokens:?}");
}

#[tokio::test]
async fn refused_credentials_are_fetched_anew_for_the_next_call_and_the_same_is_not_sent_again() {
    let source = numbered(3600).await;
    let easel = from(&source).start().await;
    assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
    easel.assert_signed(Some("1"));
    easel.emulator.script(["expired-token".parse().ok()]);
    assert_eq!(easel.generate().await.status(), 500);
    assert_eq!((easel.emulator.calls().len(), source.received().len()), (2, 1));
    assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
    easel.assert_signed(Some("2"));
    // What a model forbids says nothing about the credentials.
    easel.emulator.script([None, "access-denied".parse().ok()]);
    easel.generate().await;
    easel.generate().await;
    easel.assert_signed(Some("2"));
    assert_eq!(source.received().len(), 2);
}

#[tokio::test]
async fn a_slow_source_holds_up_nobody_elses_requests() {
    let slow = Service::slow(Duration::from_secs(60), |_, _| (500, String::new())).await;
    let yaml = format!(
        "{NOVA}  - model_name: slow\n    litellm_params: {{model: bedrock/amazon.nova-canvas-v1:0, \
         aws_region_name: us-east-1, aws_role_name: 'arn:aws:iam::123456789012:role/x', aws_sts_endpoint: '{}'}}\n",
        slow.url
    );
    let source = numbered(3600).await;
    let start = Child::with(&yaml).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &source.url);
    let easel = start.start().await;
    for _ in 0..1000 {
        if !slow.received().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(slow.received().len(), 1, "the other source is being asked");
    let reply = tokio::time::timeout(Duration::from_secs(10), easel.generate()).await;
    assert_eq!(reply.unwrap().status(), 200, "{}", easel.said());
}
