//! A Bedrock that fails in every way it can, and remembers what it did.
//! Must not know what Easel makes of it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Painted,
    /// The connection goes before an answer: nobody can know whether it was paid for.
    Silent,
    /// Paid for, and no picture.
    Empty,
    /// Paid for, and broken in the middle of the picture.
    Reset,
    Truncated,
    Short,
    Stalled,
    /// An answer that costs nothing.
    Refused(&'static Refusal),
}

/// Status, exception, words, and when to come back.
type Refusal = (u16, &'static str, &'static str, Option<u64>);

const REFUSALS: &[Refusal] = &[
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", None),
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", Some(1)),
    (429, "ThrottlingException", "Too many tokens.", Some(30)),
    (429, "ModelNotReadyException", "The model is not ready.", None),
    (503, "ServiceUnavailableException", "Service unavailable.", None),
    (503, "ServiceUnavailableException", "Service unavailable.", Some(2)),
    (500, "InternalServerException", "Internal error.", None),
    (424, "ModelErrorException", "The model failed.", None),
    (408, "ModelTimeoutException", "The model took too long.", None),
    (403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", None),
    (404, "ResourceNotFoundException", "This model version has reached the end of its life.", None),
    (400, "ValidationException", "Malformed input request, please reformat your input and try again.", None),
    (400, "ValidationException", "This request has been blocked by our content filters.", None),
    (400, "ServiceQuotaExceededException", "Your quota is used up.", None),
];

impl Fate {
    fn draw(chance: &mut fastrand::Rng) -> Self {
        match chance.u8(..100) {
            0..60 => Self::Painted,
            60..63 => Self::Silent,
            63..65 => Self::Empty,
            65..67 => Self::Reset,
            67..69 => Self::Truncated,
            69..71 => Self::Short,
            71..73 => Self::Stalled,
            _ => Self::Refused(&REFUSALS[chance.usize(..REFUSALS.len())]),
        }
    }

    /// Whether AWS may bill it.
    pub(super) fn is_paid(self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    /// Whether a picture begins.
    pub(super) fn has_begun(self) -> bool {
        matches!(self, Self::Painted | Self::Reset | Self::Truncated | Self::Short | Self::Stalled)
    }
}

#[derive(Debug)]
struct World {
    chance: fastrand::Rng,
    calls: Vec<(usize, Fate)>,
}

/// See above.
pub(super) struct Upstream {
    pub(super) url: String,
    pub(super) begun: Instant,
    world: Arc<Mutex<World>>,
}

impl Upstream {
    pub(super) async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let world = World { chance: fastrand::Rng::with_seed(seed), calls: Vec::new() };
        let world = Arc::new(Mutex::new(world));
        let serving = world.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Paused time leaps while the kernel holds bytes back.
                stream.set_nodelay(true).unwrap();
                let world = serving.clone();
                tokio::spawn(async move {
                    let mut stream = BufStream::new(stream);
                    while serve(&mut stream, &world).await.is_some() {}
                });
            }
        });
        Self { url, begun: Instant::now(), world }
    }

    /// The requests that calls were made for, and what became of each.
    pub(super) fn calls(&self) -> Vec<(usize, Fate)> {
        self.world.lock().unwrap().calls.clone()
    }
}

/// The picture of a call: a PNG's head, then who it is for.
pub(super) fn picture(serial: usize, request: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0\0\0\0\0".to_vec();
    let mark = format!("call {serial} for request {request}; ");
    while picture.len() < 20_000 {
        picture.extend_from_slice(mark.as_bytes());
    }
    picture
}

/// One call; `Some` if the connection can be used again.
async fn serve(stream: &mut BufStream<TcpStream>, world: &Mutex<World>) -> Option<()> {
    let request = read(stream).await?;
    let (serial, fate, wait) = {
        let mut world = world.lock().unwrap();
        let fate = Fate::draw(&mut world.chance);
        world.calls.push((request, fate));
        (world.calls.len() - 1, fate, world.chance.u64(1..400) * 10)
    };
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let images = STANDARD.encode(picture(serial, request));
    let whole = format!("{{\"seeds\":[1],\"finish_reasons\":[null],\"images\":[\"{images}\"]}}");
    let half = &whole[..whole.len() / 2];
    match fate {
        Fate::Painted => answer(stream, 200, "", whole.len(), &whole).await?,
        Fate::Empty => answer(stream, 200, "", 13, "{\"images\":[]}").await?,
        Fate::Truncated => answer(stream, 200, "", half.len(), half).await?,
        Fate::Refused((status, exception, words, after)) => {
            let mut headers = format!("x-amzn-errortype: {exception}\r\n");
            if let Some(seconds) = after {
                let _ = write!(headers, "retry-after: {seconds}\r\n");
            }
            let body = format!("{{\"message\":\"{words}\"}}");
            answer(stream, *status, &headers, body.len(), &body).await?;
        }
        Fate::Silent => return None,
        Fate::Reset | Fate::Short => {
            answer(stream, 200, "", whole.len(), half).await?;
            return None;
        }
        Fate::Stalled => {
            answer(stream, 200, "", whole.len(), half).await?;
            // Until the other side has enough.
            let _ = stream.read_u8().await;
            return None;
        }
    }
    Some(())
}

async fn answer(
    stream: &mut BufStream<TcpStream>,
    status: u16,
    headers: &str,
    length: usize,
    body: &str,
) -> Option<()> {
    let head =
        format!("HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// Reads a request; its number, which its prompt begins with.
async fn read(stream: &mut BufStream<TcpStream>) -> Option<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    body["prompt"].as_str()?.split(' ').next()?.parse().ok()
}
