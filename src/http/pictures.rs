//! The pictures of a request: where they stand among its members, where their bytes come from, what they are.
//!
//! Must not fetch anything that the operator has not opened, and never judges what a model can do with a picture.

use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::extract::App;
use crate::blob::{Blob, Spooler};
use crate::openai::Invalid;
use crate::picture::{Picture, attached, attachment};
use crate::raster::Error;
use crate::store::DeadLink;
use crate::unbase64::Decoder;

/// Members that are pictures, or lists of them, wherever they stand: OpenAI's, then those of Bedrock's models.
const PICTURES: [&str; 10] = [
    "image",
    "images",
    "mask",
    "conditionImage",
    "referenceImage",
    "sourceImage",
    "maskImage",
    "init_image",
    "style_image",
    "image_url",
];

/// Largest picture, as at OpenAI, in bytes.
const MAX_PICTURE: u64 = 50_000_000;

/// Whether a member of this name is a picture.
pub(super) fn is_picture(name: &str) -> bool {
    PICTURES.contains(&name)
}

/// Whether a picture may be so long, in bytes. Asked while it comes, so that no more of it is kept.
pub(super) fn check_length(name: &str, length: u64) -> Result<(), ApiError> {
    let limit = MAX_PICTURE / 1_000_000;
    match length > MAX_PICTURE {
        true => Err(Invalid::picture(name, format!("'{name}' is larger than {limit} MB. Send it smaller")).into()),
        false => Ok(()),
    }
}

/// Takes the pictures out of members and files. In the members stays `picture::attachment`.
pub(super) async fn read(
    app: &Arc<App>,
    members: &mut Map<String, Value>,
    files: &[Blob],
) -> Result<Vec<Picture>, ApiError> {
    let mut places = Vec::new();
    for (name, value) in members.iter_mut() {
        find(name, name, value, &mut places);
    }
    let mut named = Vec::new();
    for Place { name, value, pictured } in places {
        if !pictured {
            // It was long enough for a picture, and looks like base64, but stands where none can be.
            return Err(Invalid::long_text(&name).into());
        }
        let blob = blob(app, &name, value.take(), files).await?;
        *value = attachment(named.len()).into();
        named.push((name, blob));
    }
    try_join_all(named.into_iter().map(|(name, blob)| inspect(app, name, blob))).await
}

async fn inspect(app: &Arc<App>, name: String, blob: Blob) -> Result<Picture, ApiError> {
    app.raster.inspect(&name, blob).await.map_err(|error| match error {
        Error::Picture(unsupported) => Invalid::picture(&unsupported.param, unsupported.message).into(),
        Error::Storage(error) => ApiError::storage(&error),
    })
}

/// A value that stands for a picture, and how messages call it.
struct Place<'a> {
    name: String,
    value: &'a mut Value,
    /// Whether a picture may stand there.
    pictured: bool,
}

/// Finds the pictures in a member. `{"image_url": ...}` and `{"image_url": {"url": ...}}` are what they hold.
fn find<'a>(name: &str, key: &str, value: &'a mut Value, places: &mut Vec<Place<'a>>) {
    if !is_picture(key) {
        return match value {
            Value::Object(members) => {
                members.iter_mut().for_each(|(key, value)| find(&format!("{name}.{key}"), key, value, places));
            }
            Value::String(text) if attached(text).is_some() => {
                places.push(Place { name: name.to_owned(), value, pictured: false });
            }
            _ => {}
        };
    }
    let inner = match value {
        Value::Object(members) => members.shift_remove("image_url").or_else(|| members.shift_remove("url")),
        _ => None,
    };
    if let Some(inner) = inner {
        *value = inner;
        return find(name, key, value, places);
    }
    match value {
        Value::Array(list) => {
            let alone = list.len() == 1;
            for (place, item) in list.iter_mut().enumerate() {
                let name = if alone { name.to_owned() } else { format!("{name}[{place}]") };
                find(&name, key, item, places);
            }
        }
        Value::Null => {}
        value => places.push(Place { name: name.to_owned(), value, pictured: true }),
    }
}

/// The bytes of a picture: a file that came with the request, or what a text holds.
async fn blob(app: &Arc<App>, name: &str, value: Value, files: &[Blob]) -> Result<Blob, ApiError> {
    let refused = |message: String| Err(Invalid::picture(name, message).into());
    let Value::String(text) = value else {
        if value.get("file_id").is_some() {
            return refused(format!("'{name}' is named by file_id. Files are not kept here: send it as a data URL"));
        }
        return refused(format!("'{name}' is {}. Send a file or a data URL", crate::wishes::describe(&value)));
    };
    if let Some(blob) = attached(&text).and_then(|place| files.get(place)) {
        return Ok(blob.clone());
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return linked(app, name, &text).await;
    }
    let base64 = match text.strip_prefix("data:") {
        Some(url) => url.split_once(',').map_or("", |(_, data)| data),
        None => &text,
    };
    match decoded(base64, app.raster.spooler()).await? {
        Some(blob) => Ok(blob),
        None => {
            refused(format!("'{name}' is neither base64 nor a data URL. Send a file, or data:image/png;base64,..."))
        }
    }
}

/// The picture behind a link: our own, by its name in the store, or one of a host that the operator has opened.
async fn linked(app: &Arc<App>, name: &str, link: &str) -> Result<Blob, ApiError> {
    let refused = |why: String| ApiError::from(Invalid::picture(name, format!("'{name}' is a link: {why}")));
    let mut spool = app.raster.spooler().spool();
    match app.links.as_ref().and_then(|links| Some((links, links.check_url(link)?))) {
        Some((links, Ok(live))) => {
            let gone = || refused("what it led to has been removed. Send the file, or a data URL".into());
            let mut reader =
                links.read(live.name).await.map_err(|error| ApiError::storage(&error))?.ok_or_else(gone)?;
            while let Some(piece) = reader.next().await.map_err(|error| ApiError::storage(&error))? {
                spool.write(&piece).await.map_err(|error| ApiError::storage(&error))?;
            }
        }
        Some((_, Err(DeadLink::Expired))) => {
            return Err(refused("it has expired. Send the file, or a data URL".into()));
        }
        // Of another Easel, or no link of ours at all.
        Some((_, Err(DeadLink::Unknown))) | None => {
            let mut fetched = app.fetcher.fetch(link).await.map_err(|error| refused(error.to_string()))?;
            while let Some(piece) = fetched.next().await.map_err(|error| refused(error.to_string()))? {
                spool.write(&piece).await.map_err(|error| ApiError::storage(&error))?;
                check_length(name, spool.len())?;
            }
        }
    }
    spool.finish().await.map_err(|error| ApiError::storage(&error))
}

/// What base64 stands for; nothing if it is none.
async fn decoded(base64: &str, spooler: &Spooler) -> Result<Option<Blob>, ApiError> {
    let base64: String = base64.split_ascii_whitespace().collect();
    let mut decoder = Decoder::new();
    let (Ok(bytes), Ok(rest)) = (decoder.feed(base64.as_bytes()), decoder.finish()) else { return Ok(None) };
    let write = async {
        let mut spool = spooler.spool();
        spool.write(&bytes).await?;
        spool.write(&rest).await?;
        spool.finish().await
    };
    write.await.map(Some).map_err(|error: std::io::Error| ApiError::storage(&error))
}
