//! What a picture is, by its own bytes: encoding, size, colours, rotation, and whether it is all there.
//!
//! Dimensions are read before any pixel. Must not trust what the caller calls the file.

use std::io::{BufReader, Read, Seek, SeekFrom};

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;

use super::jpeg::Jpeg;
use super::transcode::shines_through;
use super::{MAX_PIXELS, draw};
use crate::blob::{Blob, Reader};
use crate::image::{Format, Size, Unsupported};
use crate::picture::{Alpha, Picture};

/// Why a file is not taken, without its name.
type Fault = String;

/// What the head says. `alpha` is `Transparent` where there is an alpha channel that has not been looked into.
pub(super) fn head(name: &str, blob: &Blob) -> Result<Picture, Unsupported> {
    let fault = |fault: Fault| Unsupported::new(name, format!("'{name}' {fault}"));
    let format = format(blob).map_err(fault)?;
    let (size, orientation, colours) = match format {
        Format::Png => png_head(blob),
        Format::Jpeg => jpeg_head(blob),
        Format::Webp => webp_head(blob),
    }
    .map_err(fault)?;
    if size.pixels() > MAX_PIXELS {
        let message = format!("has {size} pixels. At most {MAX_PIXELS} are read, such as 8192x4096: send it smaller");
        return Err(fault(message));
    }
    let sideways = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let size = if sideways { Size::new(size.height, size.width) } else { size };
    let alpha = if colours == Colours::Rgba || colours == (Colours::Other { alpha: true }) {
        Alpha::Transparent
    } else {
        Alpha::Absent
    };
    let plain = matches!(colours, Colours::Rgb | Colours::Rgba) && orientation == Orientation::NoTransforms;
    Ok(Picture { name: name.to_owned(), blob: blob.clone(), format, size, alpha, plain })
}

/// The same with its alpha channel looked into, if it has one.
pub(super) fn alpha(mut picture: Picture) -> Result<Picture, Unsupported> {
    if picture.alpha == Alpha::Absent {
        return Ok(picture);
    }
    let seen = match picture.format {
        Format::Png => png_shines_through(&picture.blob),
        Format::Jpeg | Format::Webp => {
            draw::decode(&picture).map(|image| shines_through(&image)).map_err(|error| error.to_string())
        }
    };
    let shines = seen.map_err(|error| broken(&picture.name, picture.format, &error))?;
    picture.alpha = if shines { Alpha::Transparent } else { Alpha::Opaque };
    Ok(picture)
}

/// A picture whose pixels cannot be read.
pub(super) fn broken(name: &str, format: Format, error: &str) -> Unsupported {
    Unsupported::new(name, format!("'{name}' is a broken {}: {error}. Save it again", format.name()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    /// 8 bits each.
    Rgb,
    /// 8 bits each.
    Rgba,
    /// Grey, a palette, 16 bits, CMYK.
    Other { alpha: bool },
}

type Head = (Size, Orientation, Colours);

fn format(blob: &Blob) -> Result<Format, Fault> {
    let mut start = Vec::new();
    blob.reader().take(16).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let else_what = match &start[..] {
        [] => "is empty",
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => return Ok(Format::Png),
        [0xff, 0xd8, 0xff, ..] => return Ok(Format::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return Ok(Format::Webp),
        [b'G', b'I', b'F', b'8', ..] => "is a GIF",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "is a HEIC or AVIF picture",
        [b'B', b'M', ..] => "is a BMP",
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "is a TIFF",
        [b'<', ..] => "is SVG, HTML or XML",
        [b'%', b'P', b'D', b'F', ..] => "is a PDF",
        _ => "is no picture that can be read",
    };
    Err(format!("{else_what}. PNG, JPEG and WebP are taken"))
}

fn png_head(blob: &Blob) -> Result<Head, Fault> {
    whole_png(blob)?;
    let reader = png_reader(blob)?;
    let info = reader.info();
    let transparent = info.trns.is_some();
    let colours = match (info.color_type, info.bit_depth) {
        (png::ColorType::Rgb, png::BitDepth::Eight) if !transparent => Colours::Rgb,
        (png::ColorType::Rgba, png::BitDepth::Eight) => Colours::Rgba,
        (png::ColorType::Rgba | png::ColorType::GrayscaleAlpha, _) => Colours::Other { alpha: true },
        _ => Colours::Other { alpha: transparent },
    };
    let exif = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    Ok((Size::new(info.width, info.height), exif.unwrap_or(Orientation::NoTransforms), colours))
}

fn png_reader(blob: &Blob) -> Result<png::Reader<BufReader<Reader>>, Fault> {
    let mut decoder = png::Decoder::new(BufReader::new(blob.reader()));
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.read_info().map_err(|error| format!("is a broken png: {error}. Save it again"))
}

/// Goes from chunk to chunk, without reading them: a file that was cut off has no end.
fn whole_png(blob: &Blob) -> Result<(), Fault> {
    let mut reader = BufReader::new(blob.reader());
    let mut at = 8;
    loop {
        let mut chunk = [0; 8];
        reader.seek(SeekFrom::Start(at)).and_then(|_| reader.read_exact(&mut chunk)).map_err(|_| cut_off("png"))?;
        let [a, b, c, d, kind @ ..] = chunk;
        at += u64::from(u32::from_be_bytes([a, b, c, d])) + 12;
        if kind == *b"IEND" {
            return if at <= blob.len() { Ok(()) } else { Err(cut_off("png")) };
        }
    }
}

fn cut_off(format: &str) -> Fault {
    format!("is a {format} that was cut off. Send the whole file")
}

/// Whether a pixel is not opaque; row by row, so that no picture is held.
fn png_shines_through(blob: &Blob) -> Result<bool, Fault> {
    let mut decoder = png::Decoder::new(BufReader::new(blob.reader()));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let samples = reader.output_color_type().0.samples();
    let mut opaque = true;
    // All of them, so that a file whose pixels end early is found out.
    while let Some(row) = reader.next_row().map_err(|error| error.to_string())? {
        opaque &= row.data().chunks_exact(samples).fold(true, |opaque, pixel| opaque & (pixel[samples - 1] == 255));
    }
    Ok(!opaque)
}

fn jpeg_head(blob: &Blob) -> Result<Head, Fault> {
    let jpeg = Jpeg::read(&mut BufReader::new(blob.reader()))?;
    let mut reader = blob.reader();
    // In the pixels no marker can stand, so an end that is missing is missing at the end.
    let tail = jpeg.pixels.max(blob.len().saturating_sub(64 * 1024));
    let mut end = Vec::new();
    reader.seek(SeekFrom::Start(tail)).and_then(|_| reader.read_to_end(&mut end)).map_err(|error| error.to_string())?;
    if memchr::memmem::rfind(&end, &[0xff, 0xd9]).is_none() {
        return Err(cut_off("jpeg"));
    }
    let orientation = jpeg.exif.as_deref().and_then(Orientation::from_exif_chunk);
    let colours = if jpeg.components == 3 { Colours::Rgb } else { Colours::Other { alpha: false } };
    Ok((jpeg.size, orientation.unwrap_or(Orientation::NoTransforms), colours))
}

fn webp_head(blob: &Blob) -> Result<Head, Fault> {
    let mut start = [0; 8];
    blob.reader().read_exact(&mut start).map_err(|_| cut_off("webp"))?;
    let length = u32::from_le_bytes([start[4], start[5], start[6], start[7]]);
    if u64::from(length) + 8 > blob.len() {
        return Err(cut_off("webp"));
    }
    let read = || {
        let mut decoder = WebPDecoder::new(BufReader::new(blob.reader()))?;
        let (width, height) = decoder.dimensions();
        let colours = if decoder.color_type().has_alpha() { Colours::Rgba } else { Colours::Rgb };
        Ok((Size::new(width, height), decoder.orientation()?, colours))
    };
    read().map_err(|error: image::ImageError| format!("is a broken webp: {error}. Save it again"))
}
