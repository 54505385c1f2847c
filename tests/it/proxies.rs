//! Calls to Bedrock by way of the system's proxies, and around them.
//! Must not reach for a name that exists: hosts end in `.invalid`, so only a proxy can find them.

use std::sync::{Arc, Mutex};

use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::signing::tls_in_front_of;
use crate::support::NOVA;
use crate::support::child::Child;
use crate::support::service::{ID, SECRET, Service};

const HOST: &str = "bedrock.invalid";

/// A proxy that leads every tunnel to one address; answers its own, and what it was asked for.
async fn tunnels_to(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let remembered = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            remembered.lock().unwrap().push(line);
            let mut behind = TcpStream::connect(&target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut behind).await });
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_tunnel_through_https_proxy_unless_no_proxy_says_otherwise() {
    let certificate = generate_simple_self_signed([HOST.to_owned()]).unwrap();
    // The emulator of the first program is what the second one finds behind the proxy.
    let behind = Child::with(NOVA).start().await;
    let secured = tls_in_front_of(behind.upstream.trim_start_matches("http://").to_owned(), &certificate).await;
    let (proxy, asked) = tunnels_to(secured.replace("https://localhost", "127.0.0.1")).await;
    let yaml = NOVA.replace("us-east-1", &format!("us-east-1, aws_bedrock_runtime_endpoint: 'https://{HOST}'"));
    for (name, around) in [("HTTPS_PROXY", ""), ("https_proxy", "other.invalid"), ("HTTPS_PROXY", ".invalid")] {
        let start = Child::with(&yaml).file("ca.pem", &certificate.cert.pem());
        let pem = start.path("ca.pem");
        let start = start
            .env("AWS_CA_BUNDLE", pem.to_str().unwrap())
            .env(name, &proxy)
            .env("NO_PROXY", around)
            .env("AWS_ACCESS_KEY_ID", ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        let easel = start.start().await;
        let status = easel.generate().await.status().as_u16();
        let tunnels = std::mem::take(&mut *asked.lock().unwrap());
        if around == ".invalid" {
            assert_eq!((status, tunnels.len()), (503, 0), "{}", easel.said());
        } else {
            assert_eq!(status, 200, "{}", easel.said());
            assert_eq!(tunnels, [format!("CONNECT {HOST}:443 HTTP/1.1")]);
            behind.assert_signed(None);
        }
    }
    assert_eq!(behind.emulator.calls().len(), 2);
}

#[tokio::test]
async fn a_plain_address_goes_to_http_proxy_whole_and_loopback_never() {
    let proxy = Service::start(|_, _| (503, String::new())).await;
    let yaml = NOVA.replace("us-east-1", &format!("us-east-1, aws_bedrock_runtime_endpoint: 'http://{HOST}:81'"));
    let easel = Child::with(&yaml).env("HTTP_PROXY", &proxy.url).env("AWS_BEARER_TOKEN_BEDROCK", "k").start().await;
    assert_eq!(easel.generate().await.status(), 503);
    let asked = proxy.only();
    assert_eq!(asked.target, format!("http://{HOST}:81/model/amazon.nova-canvas-v1%3A0/invoke"));
    assert_eq!(asked.header("host"), format!("{HOST}:81"));

    let near = Child::with(NOVA).env("HTTP_PROXY", &proxy.url).env("AWS_BEARER_TOKEN_BEDROCK", "emulated");
    let near = near.start().await;
    assert_eq!(near.generate().await.status(), 200, "{}", near.said());
    assert_eq!(proxy.received().len(), 1);
}
