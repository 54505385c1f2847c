//! The strip that says a picture is emulated, with the beginning of its prompt and its seed.
//! It must not let a picture go without the word EMULATED.
use super::{font, scene::Scene};

/// A strip with letters, at the left of the picture's top.
pub(super) struct Banner {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// One byte for each pixel of the strip: 1 is a letter.
    ink: Vec<u8>,
}

impl Banner {
    pub(super) fn new(scene: &Scene) -> Self {
        let (wide, tall) = (scene.width as usize, scene.height as usize);
        let big = (wide / 128).min(tall / 96).max(1);
        let small = (big * 3 / 8).max(1);
        let (margin, pad) = (big * 2, big * 2);
        let room = wide.saturating_sub(2 * margin + 2 * pad) / (small * font::ADVANCE);
        let mut lines = vec![("EMULATED".to_owned(), big)];
        if wide >= 256 {
            lines.push((shortened(&scene.prompt, room), small));
            let facts = format!("seed {}  {}x{}  {}", scene.seed, scene.width, scene.height, scene.model);
            lines.push((shortened(&facts, room), small));
        }
        let width = lines.iter().map(|(text, scale)| text.chars().count() * font::ADVANCE * scale).max();
        let width = width.unwrap_or(0) + 2 * pad;
        let height = lines.iter().map(|(_, scale)| (font::HEIGHT + 3) * scale).sum::<usize>() + 2 * pad;
        let mut banner = Self { left: margin, top: margin, width, height, ink: vec![0; width * height] };
        let mut y = pad;
        for (text, scale) in lines {
            banner.write(&text, pad, y, scale);
            y += (font::HEIGHT + 3) * scale;
        }
        banner
    }

    fn write(&mut self, text: &str, left: usize, top: usize, scale: usize) {
        for (index, letter) in text.chars().enumerate() {
            for (column, bits) in font::glyph(letter).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    let x = left + (index * font::ADVANCE + column) * scale;
                    for line in top + row * scale..top + (row + 1) * scale {
                        self.ink[line * self.width + x..][..scale].fill(1);
                    }
                }
            }
        }
    }

    /// Draws what belongs into one row of 8-bit RGB.
    pub(super) fn draw(&self, y: usize, row: &mut [u8]) {
        let Some(line) = y.checked_sub(self.top).filter(|line| *line < self.height) else { return };
        let ink = &self.ink[line * self.width..][..self.width];
        for (pixel, ink) in row.chunks_exact_mut(3).skip(self.left).zip(ink) {
            for channel in pixel {
                // Grain stays in the letters too, so that the strip looks painted, not pasted.
                *channel = if *ink == 1 { 236 + (*channel & 15) } else { *channel / 3 };
            }
        }
    }
}

/// The beginning of a text, on one line of at most `room` letters.
fn shortened(text: &str, room: usize) -> String {
    let text: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    if text.len() <= room {
        return text.into_iter().collect();
    }
    text.into_iter().take(room.saturating_sub(3)).chain("...".chars().take(room)).collect()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn long_texts_end_in_dots() {
        assert_eq!(shortened("a\n cat", 5), "a cat");
        assert_eq!(shortened("a cat sits", 7), "a ca...");
        assert_eq!(shortened("a cat", 2), "..");
    }
}
