//! A request's body for Bedrock: text, and pictures that become base64 only while they are sent.
//!
//! Must not hold a picture whole, or know where it is sent.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::blob::{Blob, Pieces};

/// Bedrock takes no longer body, in bytes.
pub const MAX_PAYLOAD: u64 = 25_000_000;

/// A body, which can be read as often as it is needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    parts: Vec<Part>,
}

/// A stretch of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// As it is.
    Text(Bytes),
    /// As base64 with padding.
    Base64(Blob),
}

impl From<Bytes> for Payload {
    fn from(text: Bytes) -> Self {
        Self { parts: vec![Part::Text(text)] }
    }
}

impl FromIterator<Part> for Payload {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self { parts: parts.into_iter().collect() }
    }
}

impl Payload {
    /// Length in bytes, as it is sent.
    pub fn len(&self) -> u64 {
        let length = |part: &Part| match part {
            Part::Text(text) => text.len() as u64,
            Part::Base64(blob) => blob.len().div_ceil(3) * 4,
        };
        self.parts.iter().map(length).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole of a body that is one text.
    pub fn text(&self) -> Option<&Bytes> {
        match &self.parts[..] {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its bytes from the start, piece by piece.
    pub fn read(&self) -> Reading {
        Reading { parts: self.parts.clone().into_iter(), picture: None }
    }

    /// SHA-256 of all its bytes, in small hexadecimal digits, as SigV4 wants it.
    pub async fn sha256(&self) -> io::Result<String> {
        let (mut hash, mut reading) = (Sha256::new(), self.read());
        while let Some(piece) = reading.next().await? {
            hash.update(&piece);
        }
        Ok(hex::encode(hash.finalize()))
    }
}

/// A body being read.
#[derive(Debug)]
pub struct Reading {
    parts: std::vec::IntoIter<Part>,
    picture: Option<Pieces>,
}

impl Reading {
    /// The next bytes; `None` after the last.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(picture) = &mut self.picture {
                // All pieces but the last are multiples of three, so no padding comes in between.
                if let Some(piece) = picture.next().await? {
                    return Ok(Some(STANDARD.encode(piece).into()));
                }
                self.picture = None;
            }
            match self.parts.next() {
                None => return Ok(None),
                Some(Part::Text(text)) if text.is_empty() => {}
                Some(Part::Text(text)) => return Ok(Some(text)),
                Some(Part::Base64(blob)) => self.picture = Some(blob.pieces()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pictures_are_base64_on_the_way() {
        let picture: Vec<u8> = (0..500_000).map(|i| u8::try_from(i % 253).unwrap()).collect();
        let payload: Payload = [
            Part::Text(Bytes::from_static(b"{\"image\":\"")),
            Part::Base64(Bytes::from(picture.clone()).into()),
            Part::Text(Bytes::from_static(b"\"}")),
        ]
        .into_iter()
        .collect();
        let (mut reading, mut sent) = (payload.read(), Vec::new());
        while let Some(piece) = reading.next().await.unwrap() {
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, format!("{{\"image\":\"{}\"}}", STANDARD.encode(picture)).into_bytes());
        assert_eq!(payload.len(), sent.len() as u64);
        let whole = Payload::from(Bytes::from(sent));
        assert_eq!(payload.sha256().await.unwrap(), whole.sha256().await.unwrap());
    }

    #[tokio::test]
    async fn nothing_has_the_well_known_hash() {
        let hash = Payload::default().sha256().await.unwrap();
        assert_eq!(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
