//! AWS STS, as far as it says who asks: GetCallerIdentity. Roles are not given.
//! It must not know Bedrock.
use super::{Emulator, auth::admit_to, problem::Problem};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Nobody's account.
const ACCOUNT: &str = "123456789012";

/// A form is never longer.
const LIMIT: usize = 100_000;

/// `POST /`, AWS's query protocol.
pub(super) async fn answer(State(emulator): State<Emulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LIMIT).await else {
        return refuse(400, "InvalidParameterValue", "The request is too long.");
    };
    if let Err(Problem { status, kind, message, .. }) = admit_to("sts", &parts, &body, emulator.options()) {
        return refuse(status, code(kind), &message);
    }
    let form = String::from_utf8_lossy(&body);
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default();
    match action {
        "GetCallerIdentity" => xml(
            StatusCode::OK,
            format!(
                "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
                 <Arn>arn:aws:iam::{ACCOUNT}:user/emulated</Arn><UserId>AIDAEXAMPLE</UserId>\
                 <Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
                 <ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
            ),
        ),
        "AssumeRole" => {
            let message =
                format!("User: arn:aws:iam::{ACCOUNT}:user/emulated is not authorized to perform: sts:AssumeRole");
            refuse(403, "AccessDenied", &message)
        }
        _ => refuse(400, "InvalidAction", "The emulator knows only GetCallerIdentity."),
    }
}

/// What STS calls the front door's refusals.
fn code(kind: &'static str) -> &'static str {
    match kind {
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        other => other,
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    xml(
        status,
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>emulated</RequestId></ErrorResponse>"
        ),
    )
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
}
