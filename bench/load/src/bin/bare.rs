//! The least that axum and reqwest can be: takes a request, sends it on, hands the reply back as it comes.
//!
//! No key, no route, no figure, no log: what Easel costs beside it is its own. Must not learn anything more.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use clap::Parser;
use http::StatusCode;
use tokio::net::TcpListener;

/// A request is held up to this, in bytes.
const MAX_BODY: usize = 1_000_000;

#[derive(Parser)]
struct Arguments {
    /// Where to listen, such as 127.0.0.1:4000.
    address: SocketAddr,
    /// What to send on to, such as https://localhost:8443.
    upstream: String,
    /// A certificate to trust (PEM).
    #[arg(long)]
    ca: Option<std::path::PathBuf>,
}

#[derive(Clone)]
struct Bare {
    client: reqwest::Client,
    upstream: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut client = reqwest::Client::builder().http1_only().no_proxy();
    if let Some(path) = arguments.ca {
        client = client.tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(path)?)?]);
    }
    let bare = Bare { client: client.build()?, upstream: arguments.upstream };
    let listener = TcpListener::bind(arguments.address).await?;
    axum::serve(listener, Router::new().fallback(forward).with_state(bare)).await?;
    Ok(())
}

async fn forward(State(bare): State<Bare>, request: Request) -> Result<Response, (StatusCode, String)> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(failed)?;
    let url = format!("{}{}", bare.upstream, parts.uri.path());
    let answer = bare.client.post(url).header("content-type", "application/json").body(body).send();
    Ok(http::Response::from(answer.await.map_err(failed)?).map(Body::new))
}

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::BAD_GATEWAY, error.to_string())
}
