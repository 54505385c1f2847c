//! Forms in parts, byte by byte as a test wants them. Must not tidy what clients really send.

use bytes::Bytes;
use reqwest::Response;

use super::TestProxy;

/// A form being put together.
#[derive(Clone)]
pub(crate) struct Form {
    /// Name, and the part with its headers.
    parts: Vec<(String, Vec<u8>)>,
    chunked: bool,
}

const BOUNDARY: &str = "----formdata-easel-055801506634";

impl Form {
    pub(crate) fn new() -> Self {
        Self { parts: Vec::new(), chunked: false }
    }

    /// A part with just these headers.
    pub(crate) fn part(mut self, headers: &[&str], body: &[u8]) -> Self {
        let name = headers.join(";").split("name=").nth(1).unwrap_or_default().trim_matches('"').to_owned();
        let name = name.split(['"', ';']).next().unwrap_or_default().to_owned();
        let head = format!("--{BOUNDARY}\r\n{}\r\n\r\n", headers.join("\r\n"));
        self.parts.push((name, [head.as_bytes(), body, b"\r\n"].concat()));
        self
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.part(&[&format!("Content-Disposition: form-data; name=\"{name}\"")], text.as_bytes())
    }

    /// A file of no type, as the OpenAI SDK for Python sends bytes.
    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        let disposition = format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"upload\"");
        self.part(&[&disposition, "Content-Type: application/octet-stream"], bytes)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.parts.retain(|(part, _)| part != name);
        self
    }

    /// How many parts have a name that begins so.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.parts.iter().filter(|(part, _)| part.starts_with(name)).count()
    }

    /// Without a length.
    pub(crate) fn chunked(mut self, chunked: bool) -> Self {
        self.chunked = chunked;
        self
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// The whole body with another boundary, and its content type.
    pub(crate) fn bounded_by(self, boundary: &str) -> (Vec<u8>, String) {
        let mut body = Vec::new();
        for (_, part) in self.parts {
            body.extend_from_slice(format!("--{boundary}").as_bytes());
            body.extend_from_slice(&part[2 + BOUNDARY.len()..]);
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (body, format!("multipart/form-data; boundary={boundary}"))
    }

    /// The whole body.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut body: Vec<u8> = self.parts.into_iter().flat_map(|(_, part)| part).collect();
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }

    pub(crate) async fn send(self, proxy: &TestProxy, path: &str) -> Response {
        let chunked = self.chunked;
        let body = self.bytes();
        let body: reqwest::Body = match chunked {
            false => body.into(),
            true => {
                let pieces: Vec<_> =
                    body.chunks(100).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect();
                reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
            }
        };
        let request = proxy.client.post(format!("{}{path}", proxy.url)).body(body);
        request.header("content-type", Self::content_type()).send().await.unwrap()
    }
}
