//! Roles by STS, with keys, profiles and web identity tokens; what STS is asked, field by field.
//! Must not let a child inherit an environment.

use crate::support::NOVA;
use crate::support::child::{Builder, Child, message};
use crate::support::service::{ID, SECRET, Service, as_json, as_xml};

const ROLE: &str = "arn:aws:iam::123456789012:role/painter";

/// An STS that gives the emulator's keys for whatever it is asked.
async fn sts() -> Service {
    Service::start(|asked, _| {
        let action = asked.form()["Action"].clone();
        (200, as_xml(&action, "of-the-role"))
    })
    .await
}

/// Nova Canvas with more params, each `key: value`.
fn with(params: &[&str]) -> String {
    NOVA.replace("us-east-1", &format!("us-east-1, {}", params.join(", ")))
}

async fn paints(builder: Builder) -> Child {
    let easel = builder.start().await;
    assert_eq!(easel.generate().await.status(), 200, "{}", easel.said());
    easel.assert_signed(Some("of-the-role"));
    easel
}

/// The credential scope of a signed request, such as `AKIDOTHER/20261122/us-east-1/sts/aws4_request`, without its date.
fn signer(asked: &crate::support::service::Received) -> Vec<String> {
    let (_, rest) = asked.header("authorization").split_once("Credential=").unwrap_or_default();
    let scope = rest.split(',').next().unwrap().split('/');
    scope.enumerate().filter(|(i, _)| *i != 1).map(|(_, part)| part.to_owned()).collect()
}

#[tokio::test]
async fn keys_in_the_config_assume_a_role_with_everything_beside_it() {
    let sts = sts().await;
    let yaml = with(&[
        "aws_access_key_id: AKIDOTHER, aws_secret_access_key: other",
        &format!("aws_role_name: '{ROLE}', aws_session_name: studio@night, aws_external_id: of-a-friend"),
        "aws_session_duration: 1800, aws_session_tags: [{Key: team, Value: design}, {Key: empty, Value: ''}]",
        &format!("aws_sts_endpoint: '{}/'", sts.url),
    ]);
    paints(Child::with(&yaml)).await;
    let asked = sts.only();
    let form = asked.form();
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "studio@night"),
        ("ExternalId", "of-a-friend"),
        ("DurationSeconds", "1800"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "design"),
        ("Tags.member.2.Key", "empty"),
        ("Tags.member.2.Value", ""),
    ] {
        assert_eq!(form.get(name).map(String::as_str), Some(value), "{name} of {form:?}");
    }
    assert_eq!(signer(&asked), ["AKIDOTHER", "us-east-1", "sts", "aws4_request"]);
}

#[tokio::test]
async fn a_role_in_the_environment_as_litellm_reads_it() {
    let sts = sts().await;
    let start = Child::with(NOVA)
        .env("AWS_ACCESS_KEY_ID", "AKIDOTHER")
        .env("AWS_SECRET_ACCESS_KEY", "other")
        .env("AWS_ROLE_NAME", ROLE)
        .env("AWS_SESSION_NAME", "of-the-environment")
        .env("AWS_EXTERNAL_ID", "of-a-friend")
        .env("AWS_STS_ENDPOINT", &sts.url);
    paints(start).await;
    let form = sts.only().form();
    assert_eq!((&*form["RoleSessionName"], &*form["ExternalId"]), ("of-the-environment", "of-a-friend"));
    assert!(!form.contains_key("DurationSeconds") && !form.contains_key("Tags.member.1.Key"));
}

#[tokio::test]
async fn a_profile_that_assumes_a_role_with_another_profile() {
    let sts = sts().await;
    let config = format!(
        "[profile painter]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = of-a-friend\nrole_session_name = night\n"
    );
    let start = Child::with(&with(&["aws_profile_name: painter"]))
        .file(".aws/config", &config)
        .file(".aws/credentials", "[base]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n")
        .env("AWS_ENDPOINT_URL_STS", &sts.url);
    paints(start).await;
    let asked = sts.only();
    let form = asked.form();
    assert_eq!((&*form["RoleArn"], &*form["ExternalId"], &*form["RoleSessionName"]), (ROLE, "of-a-friend", "night"));
    assert_eq!(signer(&asked)[0], "AKIDOTHER");
}

#[tokio::test]
async fn a_profile_lends_its_keys_to_a_role_of_the_config() {
    let sts = sts().await;
    let yaml = with(&["aws_profile_name: base", &format!("aws_role_name: '{ROLE}'")]);
    let start = Child::with(&yaml)
        .file(".aws/credentials", "[base]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = other\n")
        .env("AWS_ENDPOINT_URL_STS", &sts.url);
    paints(start).await;
    assert_eq!((signer(&sts.only())[0].as_str(), &*sts.only().form()["RoleSessionName"]), ("AKIDOTHER", "easel"));
}

/// What a pod on EKS has in its environment.
fn pod(yaml: &str, sts: &Service) -> Builder {
    let start = Child::with(yaml).file("token", "web-token-of-the-pod\n");
    let token = start.path("token");
    start
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ENDPOINT_URL_STS", &sts.url)
}

#[tokio::test]
async fn a_pod_by_its_web_identity() {
    let chain = sts().await;
    paints(pod(NOVA, &chain)).await;
    let asked = chain.only();
    assert_eq!((&*asked.form()["Action"], &*asked.form()["RoleArn"]), ("AssumeRoleWithWebIdentity", ROLE));
    assert_eq!(asked.header("authorization"), "", "the token is all it takes");

    // The role that it has already may stand in the config too: it is not assumed by itself.
    let own = sts().await;
    paints(pod(&with(&[&format!("aws_role_name: '{ROLE}', aws_session_name: night")]), &own)).await;
    let form = own.only().form();
    assert_eq!((&*form["Action"], &*form["RoleSessionName"]), ("AssumeRoleWithWebIdentity", "night"));
    assert_eq!(form["WebIdentityToken"], "web-token-of-the-pod");

    // Another one is assumed by what the first gives.
    let other = sts().await;
    paints(pod(&with(&["aws_role_name: 'arn:aws:iam::123456789012:role/other'"]), &other)).await;
    let actions: Vec<_> = other.received().iter().map(|asked| asked.form()["Action"].clone()).collect();
    assert_eq!(actions, ["AssumeRoleWithWebIdentity", "AssumeRole"]);
}

#[tokio::test]
async fn a_web_identity_token_of_the_config_in_each_of_its_forms() {
    for (written, token) in [
        ("web-token-as-it-is", "web-token-as-it-is"),
        ("os.environ/MY_TOKEN", "web-token-of-a-variable"),
        ("oidc/env/MY_TOKEN", "web-token-of-a-variable"),
        ("oidc/env_path/MY_TOKEN_FILE", "web-token-of-a-file"),
        ("oidc/fileFILE", "web-token-of-a-file"),
        ("FILE", "web-token-of-a-file"),
    ] {
        let sts = sts().await;
        let start = Child::with("").file("token", "web-token-of-a-file\n");
        let file = start.path("token").display().to_string();
        let written = written.replace("FILE", if written.ends_with("_FILE") { "FILE" } else { &file });
        let yaml = with(&[
            &format!("aws_web_identity_token: '{written}', aws_role_name: '{ROLE}'"),
            &format!("aws_session_name: night, aws_session_duration: 3600, aws_sts_endpoint: '{}'", sts.url),
        ]);
        let start = start.yaml(&yaml).env("MY_TOKEN", "web-token-of-a-variable").env("MY_TOKEN_FILE", &file);
        let easel = paints(start).await;
        let asked = sts.only();
        let form = asked.form();
        let sent = ["Action", "RoleArn", "RoleSessionName", "DurationSeconds", "WebIdentityToken"].map(|n| &*form[n]);
        assert_eq!(sent, ["AssumeRoleWithWebIdentity", ROLE, "night", "3600", token], "{written}");
        assert_eq!(asked.header("authorization"), "");
        assert!(!easel.said().contains("web-token-"), "{}", easel.said());
    }
}

/// STS's own words reach the log; the token does not, nor do they reach a caller.
#[tokio::test]
async fn a_refusal_of_sts_is_said_in_words() {
    let sts = Service::start(|_, _| {
        let error = "<Error><Type>Sender</Type><Code>AccessDenied</Code>\
                     <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>";
        (403, format!("<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"))
    })
    .await;
    let easel = pod(&with(&[&format!("aws_role_name: '{ROLE}'")]), &sts).start().await;
    easel.says("missing credentials: 'nova-canvas' cannot be signed for").await;
    assert!(easel.said().contains("Not authorized to perform sts:AssumeRoleWithWebIdentity"), "{}", easel.said());
    let said = message(easel.generate().await).await;
    assert!(said.starts_with("missing credentials: ") && !said.contains("123456789012"), "{said}");
    assert!(!easel.said().contains("web-token-"), "{}", easel.said());
    // A token that is not there.
    let yaml = with(&[&format!("aws_web_identity_token: /nowhere/token, aws_role_name: '{ROLE}'")]);
    let easel = Child::with(&yaml).env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET).start().await;
    easel.says("the web identity token in /nowhere/token cannot be read").await;
}

#[tokio::test]
async fn a_task_whose_own_role_is_written_out_need_not_assume_it() {
    let sts = Service::start(|asked, _| match &*asked.form()["Action"] {
        "GetCallerIdentity" => (
            200,
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:sts::123456789012:assumed-role/painter/task</Arn><Account>123456789012</Account>\
             <UserId>AROAEXAMPLE:task</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>"
                .into(),
        ),
        _ => {
            (403, "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>".into())
        }
    })
    .await;
    let ecs = Service::start(|_, _| (200, as_json("of-the-task", 3600))).await;
    for (role, status) in [(ROLE.to_owned(), 200), (ROLE.replace("painter", "other"), 500)] {
        let start = Child::with(&with(&[&format!("aws_role_name: '{role}'")]))
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &ecs.url)
            .env("AWS_ENDPOINT_URL_STS", &sts.url);
        let easel = start.start().await;
        assert_eq!(easel.generate().await.status(), status, "{}", easel.said());
        if status == 200 {
            easel.assert_signed(Some("of-the-task"));
        }
    }
}
