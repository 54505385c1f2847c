//! Asks an HTTP server over and over, and says how quickly it answered and what that cost its processes.
//!
//! hyper speaks HTTP here, on one thread; a reply's bytes are counted and dropped. What `--process` names, such as a
//! proxy, is watched in /proc: CPU time with what its dead threads had, and memory at its peak. Prints one line of JSON.

mod process;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use process::{Use, used};

/// Most that is taken from the socket before a slow reader rests.
const SIP: u64 = 16 * 1024;

/// What is read of a slow reader's reply at once is bounded by its socket.
const SLOW_BUFFER: u32 = 32 * 1024;

#[derive(Parser)]
struct Arguments {
    /// Where the server listens, such as 127.0.0.1:4000.
    address: String,
    /// The path to ask.
    path: String,
    /// The JSON to send.
    #[arg(long, default_value = "{}")]
    body: String,
    /// The key to show.
    #[arg(long, default_value = "none")]
    key: String,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// For how long new requests begin.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Requests of each connection, instead of a time.
    #[arg(long)]
    each: Option<u32>,
    /// Requests per second of all connections together, whether answers come or not; else as fast as they come. Latency
    /// counts from when a request was due.
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes per second that each connection reads at most.
    #[arg(long)]
    read_rate: Option<u64>,
    /// Process ids to watch.
    #[arg(long, value_delimiter = ',')]
    process: Vec<u32>,
}

/// What came of all requests.
#[derive(Default)]
struct Tally {
    bytes: u64,
    failed: u32,
    first_failure: Option<String>,
    /// Until the first byte of a body, and until the last, in seconds.
    first_byte: Vec<f64>,
    whole: Vec<f64>,
}

impl Tally {
    fn fail(&mut self, error: &Error) {
        self.failed += 1;
        self.first_failure.get_or_insert(error.to_string());
    }
}

type Error = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments = Rc::new(Arguments::parse());
    let tally = Rc::new(RefCell::new(Tally::default()));
    let before = used(&arguments.process)?;
    let begun = Instant::now();
    let all = LocalSet::new();
    for number in 0..arguments.connections {
        let (arguments, tally) = (arguments.clone(), tally.clone());
        all.spawn_local(async move {
            if let Err(error) = connection(number, &arguments, begun, &tally).await {
                tally.borrow_mut().fail(&error);
            }
        });
    }
    all.await;
    report(&tally.borrow(), begun.elapsed(), before, used(&arguments.process)?);
    Ok(())
}

fn report(tally: &Tally, took: Duration, before: Use, after: Use) {
    let (cpu, requests) = (after.cpu_seconds - before.cpu_seconds, tally.whole.len());
    let line = json!({
        "requests": requests,
        "failed": tally.failed,
        "failure": tally.first_failure,
        "bytes": tally.bytes,
        "seconds": took.as_secs_f64(),
        "cpu_seconds": cpu,
        "cpu_seconds_per_gb": cpu / (tally.bytes as f64 / 1e9),
        "cpu_us_per_request": cpu / requests as f64 * 1e6,
        "first_byte_p50_ms": percentile(&tally.first_byte, 0.5),
        "p50_ms": percentile(&tally.whole, 0.5),
        "p99_ms": percentile(&tally.whole, 0.99),
        "memory_before_mb": before.memory_mb,
        "memory_peak_mb": after.memory_peak_mb,
    });
    println!("{line}");
}

fn percentile(seconds: &[f64], part: f64) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map(|seconds| seconds * 1e3)
}

async fn connection(number: usize, arguments: &Arguments, begun: Instant, tally: &RefCell<Tally>) -> Result<(), Error> {
    let end = begun + Duration::from_secs_f64(arguments.seconds);
    let per_connection = arguments.rate.map(|rate| Duration::from_secs_f64(arguments.connections as f64 / rate));
    // Each connection begins in its turn, so that they do not all ask at once.
    let mut due = per_connection.map(|every| {
        let mut due = interval_at(begun + every.mul_f64(number as f64 / arguments.connections as f64), every);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        due
    });
    let mut sender = connect(arguments).await?;
    for round in 0.. {
        if arguments.each.map_or(Instant::now() >= end, |each| round == each) {
            break;
        }
        let asked = match &mut due {
            Some(due) => due.tick().await,
            None => Instant::now(),
        };
        if let Err(error) = ask(&mut sender, arguments, asked, tally).await {
            tally.borrow_mut().fail(&error);
            sender = connect(arguments).await?;
        }
    }
    Ok(())
}

async fn connect(arguments: &Arguments) -> Result<SendRequest<Full<Bytes>>, Error> {
    let socket = TcpSocket::new_v4()?;
    if arguments.read_rate.is_some() {
        socket.set_recv_buffer_size(SLOW_BUFFER)?;
    }
    let stream = socket.connect(arguments.address.parse()?).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}

async fn ask(
    sender: &mut SendRequest<Full<Bytes>>,
    arguments: &Arguments,
    asked: Instant,
    tally: &RefCell<Tally>,
) -> Result<(), Error> {
    let request = Request::post(&arguments.path)
        .header("host", &arguments.address)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", arguments.key))
        .body(Full::from(arguments.body.clone()))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let (mut body, mut length, mut first, reads) = (response.into_body(), 0, None, Instant::now());
    let mut rested = 0;
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().unwrap_or_default();
        first.get_or_insert_with(|| asked.elapsed().as_secs_f64());
        length += data.len() as u64;
        if let Some(rate) = arguments.read_rate.filter(|_| length - rested >= SIP) {
            rested = length;
            sleep_until(reads + Duration::from_secs_f64(length as f64 / rate as f64)).await;
        }
    }
    if status != StatusCode::OK {
        return Err(format!("status {status}").into());
    }
    let mut tally = tally.borrow_mut();
    tally.bytes += length;
    tally.first_byte.extend(first);
    tally.whole.push(asked.elapsed().as_secs_f64());
    Ok(())
}
