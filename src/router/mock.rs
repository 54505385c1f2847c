//! The reply of a deployment with `mock_response`: one grey pixel for each picture.
//!
//! Must not look like a real picture: whoever forgets the key in a config should notice.

use bytes::Bytes;

/// A PNG of one grey pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg==";

/// What Bedrock would send for that many pictures.
pub(super) fn reply(pictures: u8) -> Bytes {
    let pictures = vec![format!("\"{PIXEL}\""); usize::from(pictures)];
    format!("{{\"images\":[{}]}}", pictures.join(",")).into()
}
