//! What a picture is, read from its first bytes as they pass: encoding and size.
//!
//! Must not hold the picture: at most 64 KB of it, and only until the size is known.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::image::{Format, Size};

/// A JPEG's size may stand behind its metadata; further in than this it is not looked for.
const MAX_HELD: usize = 64 * 1024;

/// PNG and WebP tell their size within their first 30 bytes.
const FIRST_LOOK: usize = 64;

/// Collects the head of one picture until it tells the size.
#[derive(Debug, Default)]
pub(super) struct Head {
    held: Vec<u8>,
    /// Length of `held` at which to look next; doubled each time, so that looking costs no more than holding.
    next_look: usize,
    found: Option<(Format, Size)>,
    over: bool,
}

impl Head {
    /// Encoding and size, once they are known.
    pub(super) fn found(&self) -> Option<(Format, Size)> {
        self.found
    }

    /// Looks at the next base64 characters of the picture, no further than they are needed.
    pub(super) fn feed(&mut self, mut base64: &[u8]) {
        while !self.over && !base64.is_empty() {
            let look_at = self.next_look.clamp(FIRST_LOOK, MAX_HELD);
            let wanted = (look_at - self.held.len()).min(base64.len());
            self.held.extend_from_slice(&base64[..wanted]);
            base64 = &base64[wanted..];
            if self.held.len() == look_at {
                self.look();
                self.next_look = look_at * 2;
                self.over |= look_at == MAX_HELD;
            }
        }
        if self.over {
            self.held = Vec::new();
        }
    }

    /// The picture ends here: the last chance to look.
    pub(super) fn end(&mut self) {
        if !self.over {
            self.look();
            self.over = true;
        }
    }

    fn look(&mut self) {
        let whole = self.held.len() / 4 * 4;
        let Ok(bytes) = STANDARD.decode(&self.held[..whole]) else { return };
        let Some(format) = Format::of(&bytes) else { return };
        let side = |n: usize| u32::try_from(n).ok();
        if let Ok(size) = imagesize::blob_size(&bytes)
            && let (Some(width), Some(height)) = (side(size.width), side(size.height))
        {
            self.found = Some((format, Size::new(width, height)));
            self.over = true;
        }
    }
}
