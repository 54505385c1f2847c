//! Writes a picture as a PNG of 8-bit RGB.
//! It must not know what is in the picture.
use super::paint::Painter;
use flate2::{Compression, write::ZlibEncoder};
use std::io::{self, Write};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The filter that stores each pixel as its difference from the one to the left.
const SUB: u8 = 1;

/// Paints and compresses row by row; only the compressed picture is held.
pub(super) fn encode(painter: &Painter) -> io::Result<Vec<u8>> {
    let mut row = vec![0; painter.width * 3];
    let mut filtered = vec![SUB; painter.width * 3 + 1];
    let mut data = ZlibEncoder::new(Vec::with_capacity(painter.width * painter.height * 2), Compression::fast());
    for y in 0..painter.height {
        painter.row(y, &mut row);
        filtered[1..4].copy_from_slice(&row[..3]);
        for x in 3..row.len() {
            filtered[x + 1] = row[x].wrapping_sub(row[x - 3]);
        }
        data.write_all(&filtered)?;
    }
    let data = data.finish()?;
    let mut header = Vec::with_capacity(13);
    for side in [painter.width, painter.height] {
        header.extend(u32::try_from(side).map_err(io::Error::other)?.to_be_bytes());
    }
    header.extend([8, 2, 0, 0, 0]);
    let mut out = SIGNATURE.to_vec();
    chunk(&mut out, *b"IHDR", &header)?;
    chunk(&mut out, *b"tEXt", b"Software\0Easel's emulator")?;
    chunk(&mut out, *b"IDAT", &data)?;
    chunk(&mut out, *b"IEND", &[])?;
    Ok(out)
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) -> io::Result<()> {
    out.extend(u32::try_from(data.len()).map_err(io::Error::other)?.to_be_bytes());
    let begin = out.len();
    out.extend(kind);
    out.extend_from_slice(data);
    let sum = crc32fast::hash(&out[begin..]);
    out.extend(sum.to_be_bytes());
    Ok(())
}
