//! The head of a JPEG: size, components, EXIF, and where its pixels begin.
//!
//! Must not decode a pixel: decoders read the whole file before they say anything.

use std::io::{Read, Seek};

use crate::image::Size;

/// What stands before the pixels.
pub(super) struct Jpeg {
    pub(super) size: Size,
    /// 1 for grey, 3 for colours, 4 for CMYK.
    pub(super) components: u8,
    /// The first EXIF block, from its TIFF header on.
    pub(super) exif: Option<Vec<u8>>,
    /// Offset of the first scan.
    pub(super) pixels: u64,
}

/// A file may have many segments, but not this many.
const MAX_SEGMENTS: usize = 10_000;

impl Jpeg {
    /// Reads segment by segment up to the first scan. The error says what is wrong with it.
    pub(super) fn read(reader: &mut (impl Read + Seek)) -> Result<Self, String> {
        Self::segments(reader).map_err(|_| "is a jpeg that was cut off. Send the whole file".to_owned())?
    }

    fn segments(reader: &mut (impl Read + Seek)) -> std::io::Result<Result<Self, String>> {
        let (mut frame, mut exif) = (None, None);
        // Behind the start of the image.
        reader.seek(std::io::SeekFrom::Start(2))?;
        for _ in 0..MAX_SEGMENTS {
            let marker = marker(reader)?;
            if matches!(marker, 0x01 | 0xd0..=0xd8) {
                continue;
            }
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            let length = u16::from_be_bytes(length).saturating_sub(2);
            match marker {
                // Start of scan.
                0xda => {
                    let pixels = reader.stream_position()?;
                    let Some((size, components)) = frame else { break };
                    return Ok(Ok(Self { size, components, exif, pixels }));
                }
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                    let mut head = [0; 6];
                    reader.read_exact(&mut head)?;
                    let [precision, h1, h0, w1, w0, components] = head;
                    let size = Size::new(u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
                    if precision != 8 || size.pixels() == 0 {
                        return Ok(Err(format!("is a jpeg of {precision} bits and {size} pixels. 8 bits are read")));
                    }
                    frame = Some((size, components));
                    reader.seek_relative(i64::from(length) - 6)?;
                }
                0xe1 if exif.is_none() => {
                    let mut segment = vec![0; length.into()];
                    reader.read_exact(&mut segment)?;
                    exif = segment.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec);
                }
                _ => reader.seek_relative(length.into())?,
            }
        }
        Ok(Err("is a broken jpeg: no picture is in it. Save it again".to_owned()))
    }
}

/// The next marker, over fill bytes.
fn marker(reader: &mut impl Read) -> std::io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    while byte[0] != 0xff {
        reader.read_exact(&mut byte)?;
    }
    while byte[0] == 0xff {
        reader.read_exact(&mut byte)?;
    }
    Ok(byte[0])
}
