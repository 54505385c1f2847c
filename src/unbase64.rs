//! Base64 to bytes, in whatever pieces it comes.
//!
//! Holds at most three characters. Must not know where the text comes from.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// For the last group. Takes padding and its absence: some clients leave it out.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of four characters.
pub const GROUP: usize = 3;

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not base64")]
pub struct NotBase64;

/// Decodes one text.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// What is left of a group of four.
    rest: Vec<u8>,
    /// A group with padding has come, so nothing may follow.
    padded: bool,
}

impl Decoder {
    /// A decoder at the start of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of the next characters, as far as they are complete.
    pub fn feed(&mut self, text: &[u8]) -> Result<Vec<u8>, NotBase64> {
        let mut bytes = vec![0; (self.rest.len() + text.len()) / 4 * GROUP];
        let (_, written) = self.feed_into(text, &mut bytes)?;
        bytes.truncate(written);
        Ok(bytes)
    }

    /// The same, of as many of the next characters as there is room for: how many it took, at least one where there is room
    /// for a group, and how many bytes it wrote.
    pub fn feed_into(&mut self, text: &[u8], room: &mut [u8]) -> Result<(usize, usize), NotBase64> {
        let most = (room.len() / GROUP * 4 + 3).saturating_sub(self.rest.len());
        let text = &text[..text.len().min(most)];
        if self.padded && !text.is_empty() {
            return Err(NotBase64);
        }
        let (mut left, mut written) = (text, 0);
        if !self.rest.is_empty() {
            let missing = (4 - self.rest.len()).min(left.len());
            self.rest.extend_from_slice(&left[..missing]);
            left = &left[missing..];
            if self.rest.len() < 4 {
                return Ok((text.len(), 0));
            }
            let group = std::mem::take(&mut self.rest);
            written = self.decode(&group, room)?;
            if self.padded && !left.is_empty() {
                return Err(NotBase64);
            }
        }
        let (groups, rest) = left.split_at(left.len() / 4 * 4);
        written += self.decode(groups, &mut room[written..])?;
        if self.padded && !rest.is_empty() {
            return Err(NotBase64);
        }
        self.rest = rest.to_vec();
        Ok((text.len(), written))
    }

    /// The last bytes, of a group without its padding.
    pub fn finish(self) -> Result<Vec<u8>, NotBase64> {
        let mut bytes = Vec::new();
        ENGINE.decode_vec(&self.rest, &mut bytes).map_err(|_| NotBase64)?;
        Ok(bytes)
    }

    fn decode(&mut self, groups: &[u8], room: &mut [u8]) -> Result<usize, NotBase64> {
        self.padded |= groups.last() == Some(&b'=');
        base64_turbo::STANDARD.decode_slice(groups, room).map_err(|_| NotBase64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same() {
        for length in 0..=20_u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(97)).collect();
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            for text in [text.as_str(), text.trim_end_matches('=')] {
                for cut in 0..=text.len() {
                    for size in 1..6 {
                        let (mut decoder, mut read) = (Decoder::new(), Vec::new());
                        read.extend(decoder.feed(&text.as_bytes()[..cut]).unwrap());
                        for piece in text.as_bytes()[cut..].chunks(size) {
                            read.extend(decoder.feed(piece).unwrap());
                        }
                        read.extend(decoder.finish().unwrap());
                        assert_eq!(read, bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let bytes = bytes(50);
        let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
        for length in 3..12 {
            let (mut decoder, mut left, mut read) = (Decoder::new(), text.as_bytes(), Vec::new());
            while !left.is_empty() {
                let mut room = vec![0; length];
                let (taken, written) = decoder.feed_into(left, &mut room).unwrap();
                assert!(taken > 0);
                left = &left[taken..];
                read.extend_from_slice(&room[..written]);
            }
            assert_eq!(read, bytes, "{length} at once");
            assert_eq!(decoder.finish(), Ok(Vec::new()));
        }
        assert_eq!(Decoder::new().feed_into(b"AAAAA", &mut [0; 2]), Ok((3, 0)));
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["A", "AB=C", "AA==AA==", "A A=", "AA-_", "====", "ABCDE"] {
            for size in 1..6 {
                let mut decoder = Decoder::new();
                let fed: Result<Vec<_>, _> = text.as_bytes().chunks(size).map(|piece| decoder.feed(piece)).collect();
                assert!(fed.and_then(|_| decoder.finish()).is_err(), "{text} in pieces of {size}");
            }
        }
    }

    fn bytes(length: usize) -> Vec<u8> {
        std::iter::successors(Some(7_u8), |byte| Some(byte.wrapping_mul(5).wrapping_add(113))).take(length).collect()
    }

    /// Long enough for every width of vectors, and what is left after each.
    #[test]
    fn any_length_is_read() {
        for length in 0..=800_usize {
            let bytes = bytes(length);
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            assert_eq!(Decoder::new().feed(text.as_bytes()), Ok(bytes));
        }
    }

    /// Each byte in each place of a text that vectors read.
    #[test]
    fn any_wrong_byte_is_seen() {
        for length in [220, 221, 222] {
            let mut text = base64::engine::general_purpose::STANDARD.encode(bytes(length)).into_bytes();
            for place in 0..text.len() {
                let right = text[place];
                for byte in 0..=u8::MAX {
                    text[place] = byte;
                    let read = Decoder::new().feed(&text);
                    assert_eq!(read.ok(), ENGINE.decode(&text).ok(), "{byte} at {place} of {}", text.len());
                }
                text[place] = right;
            }
        }
    }
}
