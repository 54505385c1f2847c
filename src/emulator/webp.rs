//! Writes a picture as a lossless WebP, in the plainest form that is legal: literals only, eight bits each.
//! It must not try to be small: it exists so that a client sees a real WebP.
use super::paint::Painter;
use std::io;

/// Bits, the lowest first.
struct Bits {
    out: Vec<u8>,
    held: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u64, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.out.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }
}

pub(super) fn encode(painter: &Painter) -> io::Result<Vec<u8>> {
    let mut bits = Bits { out: Vec::with_capacity(painter.width * painter.height * 3 + 256), held: 0, count: 0 };
    bits.put(0x2f, 8);
    bits.put(painter.width as u64 - 1, 14);
    bits.put(painter.height as u64 - 1, 14);
    // No alpha, version 0, no transform, no colour cache, one set of codes.
    bits.put(0, 1 + 3 + 1 + 1 + 1);
    // Green has 24 more symbols, for lengths of copies, which are never used; then red and blue.
    for unused in [24, 0, 0] {
        eight_bit_code(&mut bits, unused);
    }
    // A code of one symbol takes no bits: alpha is always 255, a distance never occurs.
    bits.put(0b101 | 255 << 3, 11);
    bits.put(0b001, 4);
    let mut row = vec![0; painter.width * 3];
    for y in 0..painter.height {
        painter.row(y, &mut row);
        for pixel in row.chunks_exact(3) {
            for channel in [pixel[1], pixel[0], pixel[2]] {
                bits.put(u64::from(channel.reverse_bits()), 8);
            }
        }
    }
    bits.put(0, 7);
    let size = u32::try_from(bits.out.len()).map_err(io::Error::other)?;
    let padded = size + size % 2;
    let mut out = b"RIFF".to_vec();
    out.extend((padded + 12).to_le_bytes());
    out.extend(b"WEBPVP8L");
    out.extend(size.to_le_bytes());
    out.extend(bits.out);
    out.resize(padded as usize + 20, 0);
    Ok(out)
}

/// A code in which each of 256 symbols has eight bits, then `unused` symbols that have none.
fn eight_bit_code(bits: &mut Bits, unused: u32) {
    // Not a simple code; the lengths of the codes for lengths follow, in the order 17, 18, 0, 1, 2, 3, 4, 5, 16, 6,
    // 7, 8: one bit each for the lengths 0 and 8.
    bits.put(0, 1);
    bits.put(12 - 4, 4);
    for length in [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1] {
        bits.put(length, 3);
    }
    // Every symbol's length is told.
    bits.put(0, 1);
    for _ in 0..256 {
        bits.put(1, 1);
    }
    bits.put(0, unused);
}
