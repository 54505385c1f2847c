//! `multipart/form-data` as clients really send it: any order of headers, types and names that are missing or wrong,
//! bodies without a length.
//!
//! Files go to disk as they come. Must not look into them: `pictures.rs` does.

use bytes::Bytes;
use futures_util::{Stream, stream};
use multer::{Field, Multipart};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::fields::Reading;
use super::pictures::{check_length, is_picture};
use crate::blob::{Blob, Spooler};
use crate::picture::attachment;

/// Longest text of a form, in bytes; prompts are far shorter.
const MAX_TEXT: usize = 1 << 20;

/// Nobody sends more parts.
const MAX_PARTS: usize = 200;

/// The boundary, if a content type says that the body is a form of parts.
pub(super) fn boundary(kind: &str) -> Option<String> {
    multer::parse_boundary(kind).ok()
}

/// The members of a form; pictures are named in them by their places among the files.
pub(super) async fn read(
    reading: Reading,
    boundary: String,
    spooler: &Spooler,
) -> Result<(Map<String, Value>, Vec<Blob>), ApiError> {
    let mut form = Multipart::new(paced(reading), boundary);
    let (mut members, mut files) = (Map::new(), Vec::new());
    for _ in 0..MAX_PARTS {
        let Some(field) = form.next_field().await.map_err(broken)? else { return Ok((members, files)) };
        let name = field.name().unwrap_or_default().to_owned();
        let value = match is_picture(base(&name)) || field.file_name().is_some() {
            true => file(field, &name, spooler, &mut files).await?,
            false => Some(text(field, &name).await?.into()),
        };
        if let Some(value) = value {
            insert(&mut members, &name, value);
        }
    }
    Err(ApiError::bad_form(&format!("it has more than {MAX_PARTS} parts")))
}

/// A part that is a picture; or the text of one, such as a data URL. An empty text says nothing.
async fn file(
    mut field: Field<'_>,
    name: &str,
    spooler: &Spooler,
    files: &mut Vec<Blob>,
) -> Result<Option<Value>, ApiError> {
    let named = field.file_name().is_some();
    let mut spool = spooler.spool();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        spool.write(&piece).await.map_err(|error| ApiError::storage(&error))?;
        check_length(base(name), spool.len())?;
    }
    if !named && let Some(Ok(text)) = spool.held().map(std::str::from_utf8) {
        return Ok((!text.trim().is_empty()).then(|| text.trim().into()));
    }
    files.push(spool.finish().await.map_err(|error| ApiError::storage(&error))?);
    Ok(Some(attachment(files.len() - 1).into()))
}

async fn text(mut field: Field<'_>, name: &str) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_TEXT {
            return Err(ApiError::bad_form(&format!("'{name}' is longer than {} MB", MAX_TEXT >> 20)));
        }
    }
    String::from_utf8(text).map_err(|_| ApiError::bad_form(&format!("'{name}' is not UTF-8")))
}

/// `image[]` and `image[1]` are `image`.
fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

/// Puts a value where its name says: `a[]`, `a[0]` and repeated pictures make a list, `a[b]` an object. Of other
/// members that come twice the last counts.
fn insert(members: &mut Map<String, Value>, name: &str, value: Value) {
    let (base, key) = match name.split_once('[') {
        Some((base, rest)) => (base, Some(rest.trim_end_matches(']'))),
        None => (name, None),
    };
    match key {
        Some(key) if !key.bytes().all(|byte| byte.is_ascii_digit()) => {
            let object = members.entry(base).or_insert_with(|| Map::new().into());
            if let Value::Object(object) = object {
                insert(object, &key.replacen("][", "[", 1), value);
            }
        }
        None if !is_picture(base) => {
            members.insert(base.to_owned(), value);
        }
        _ => {
            let list = members.entry(base).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value);
            }
        }
    }
}

fn broken(error: multer::Error) -> ApiError {
    match error {
        // What we said ourselves of the body.
        multer::Error::StreamReadFailed(inner) => match inner.downcast::<ApiError>() {
            Ok(error) => *error,
            Err(_) => ApiError::unreadable_body(),
        },
        multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteStream
        | multer::Error::IncompleteHeaders => ApiError::unreadable_body(),
        other => ApiError::bad_form(&other.to_string()),
    }
}

/// Gives one piece, then none until it is asked again: multer takes all that is there into memory before it hands any
/// of it on.
fn paced(reading: Reading) -> impl Stream<Item = Result<Bytes, ApiError>> {
    stream::unfold(reading, |reading| async move {
        tokio::task::yield_now().await;
        reading.next().await.transpose().map(|piece| (piece, reading))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_say_where_values_go() {
        let mut members = Map::new();
        for (name, value) in [
            ("n", "1"),
            ("n", "2"),
            ("image", "a"),
            ("image", "b"),
            ("image[]", "c"),
            ("image[7]", "d"),
            ("mask", "e"),
            ("colors[]", "#112233"),
            ("colors[]", "#445566"),
            ("virtualTryOnParams[maskType]", "GARMENT"),
            ("virtualTryOnParams[garmentBasedMask][garmentClass]", "BOOTS"),
            ("virtualTryOnParams[garmentBasedMask][garmentStyling][tuckingStyle]", "TUCKED"),
            ("", "x"),
        ] {
            insert(&mut members, name, value.into());
        }
        let expected = json!({
            "n": "2", "image": ["a", "b", "c", "d"], "mask": ["e"], "colors": ["#112233", "#445566"],
            "virtualTryOnParams": {"maskType": "GARMENT",
                "garmentBasedMask": {"garmentClass": "BOOTS", "garmentStyling": {"tuckingStyle": "TUCKED"}}},
            "": "x"
        });
        assert_eq!(Value::Object(members), expected);
    }
}
