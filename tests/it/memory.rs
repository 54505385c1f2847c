//! How much memory the program takes while many large pictures go through it. Must not measure time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use image::{ImageFormat, RgbImage};
use tokio::net::TcpListener;

use crate::support::child::Child;
use crate::support::service::{ID, SECRET};

const SD35: &str = "
model_list:
  - model_name: sd35
    litellm_params: {model: bedrock/stability.sd3-5-large-v1:0, aws_region_name: us-west-2}
";

const UPLOADS: usize = 64;

/// Of each picture, in bytes: as base64 it is almost all that Bedrock takes.
const LENGTH: usize = 18_000_000;

/// More resident memory than this above idle is too much.
const MOST_KB: u64 = 200 * 1024;

/// A JPEG of so many bytes: a picture behind comments.
fn jpeg(length: usize) -> Bytes {
    let mut file = std::io::Cursor::new(Vec::new());
    RgbImage::new(1024, 1024).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let mut file = file.into_inner();
    let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &[7; 0xffff - 2]].concat();
    let comments = (length - file.len()) / comment.len();
    file.splice(2..2, comment.repeat(comments));
    file.into()
}

/// What a line of a process's status says, in KB.
fn status_kb(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// Takes bodies as they come and answers each with the smallest of pictures.
async fn bedrock(received: Arc<AtomicU64>) -> String {
    async fn answer(State(received): State<Arc<AtomicU64>>, body: Body) -> &'static str {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            received.fetch_add(piece.unwrap().len() as u64, Ordering::Relaxed);
        }
        r#"{"seeds":[1],"finish_reasons":[null],"images":["iVBORw0KGgo="]}"#
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer).with_state(received);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn upload(picture: &Bytes) -> reqwest::Body {
    let head = "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na hat\r\n\
                --x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
    let (picture, step) = (picture.clone(), 256 * 1024);
    let pieces = (0..picture.len()).step_by(step).map(move |at| picture.slice(at..picture.len().min(at + step)));
    let all = std::iter::once(Bytes::from_static(head.as_bytes()))
        .chain(pieces)
        .chain([Bytes::from_static(b"\r\n--x--\r\n")]);
    reqwest::Body::wrap_stream(stream::iter(all.map(Ok::<_, std::io::Error>)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_uploads_do_not_stay_in_memory() {
    let received = Arc::new(AtomicU64::new(0));
    let upstream = bedrock(received.clone()).await;
    let child = Child::with(SD35)
        .env("AWS_BEDROCK_RUNTIME_ENDPOINT", &upstream)
        .env("AWS_ACCESS_KEY_ID", ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .start()
        .await;
    let idle = status_kb(child.id(), "VmRSS");
    let picture = jpeg(LENGTH);
    let client = crate::support::client();
    let uploads = (0..UPLOADS).map(|_| {
        let request = client.post(format!("{}/v1/images/edits", child.url));
        let request = request.header("content-type", "multipart/form-data; boundary=x");
        request.body(upload(&picture)).send()
    });
    for response in join_all(uploads).await {
        let response = response.unwrap();
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
        response.bytes().await.unwrap();
    }
    let pictures = u64::try_from(picture.len().div_ceil(3) * 4 * UPLOADS).unwrap();
    assert!(received.load(Ordering::Relaxed) > pictures, "each picture arrives whole");
    let peak = status_kb(child.id(), "VmHWM").saturating_sub(idle);
    println!("{UPLOADS} uploads of {LENGTH} bytes: {peak} KB above idle ({idle} KB)");
    assert!(peak < MOST_KB, "{peak} KB above idle");
}
