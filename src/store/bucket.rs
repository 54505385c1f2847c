//! Pictures in an S3-compatible bucket. Callers fetch them there, by addresses that are signed for a while.
//!
//! Holds at most one part of a picture. Must not list or remove what lies outside its prefix.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Attribute, Attributes, MultipartUpload, ObjectStore, ObjectStoreExt, PutOptions};
use secrecy::ExposeSecret;
use time::OffsetDateTime;

use super::chain::Chain;
use super::wire::Wire;
use super::{Error, LiveLink, Name};
use crate::clock::Clock;
use crate::config;

/// S3 takes no smaller part of an upload, but for the last.
const PART: usize = 5 * 1024 * 1024;

/// S3 signs for no longer.
const MAX_SIGNED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: Path,
    life: Duration,
    clock: Clock,
}

impl Bucket {
    pub(super) fn open(settings: &config::Bucket, life: Duration, clock: Clock) -> Result<Self, Error> {
        let config::Bucket { name, region, endpoint, prefix, keys } = settings;
        let in_the_clear = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let builder = AmazonS3Builder::new().with_bucket_name(name).with_region(region);
        let mut builder = builder.with_http_connector(Wire { https_only: !in_the_clear });
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(in_the_clear);
        }
        builder = match keys {
            Some(config::AwsKeys { id, secret, token }) => {
                let signed = builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret());
                token.iter().fold(signed, |signed, token| signed.with_token(token.expose_secret()))
            }
            None => builder.with_credentials(Arc::new(Chain::new(region, clock))),
        };
        let store = builder.build().map_err(Error::new)?;
        Ok(Self { store, prefix: Path::from(prefix.as_str()), life, clock })
    }

    fn path(&self, name: Name) -> Path {
        self.prefix.clone().join(name.to_string())
    }

    pub(super) fn writer(&self, name: Name) -> Writer {
        let format = name.format.name();
        let attributes = Attributes::from_iter([
            (Attribute::ContentType, format!("image/{format}")),
            (Attribute::ContentDisposition, format!("inline; filename=\"{name}\"")),
        ]);
        Writer { store: self.store.clone(), path: self.path(name), attributes, held: BytesMut::new(), upload: None }
    }

    /// A signed address, for as long as the link lives.
    pub(super) async fn address(&self, link: LiveLink, method: Method) -> Result<String, Error> {
        let (path, left) = (self.path(link.name), link.left.min(MAX_SIGNED));
        let url = self.store.signed_url(method, &path, left).await.map_err(Error::new)?;
        Ok(url.into())
    }

    pub(super) async fn read(
        &self,
        name: Name,
    ) -> Result<Option<BoxStream<'static, object_store::Result<Bytes>>>, Error> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found.into_stream())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::new(error)),
        }
    }

    /// Removes what has expired. Other replicas do the same, and none minds.
    pub(super) async fn clean(&self) -> Result<(), Error> {
        let dead = OffsetDateTime::from(self.clock.now()) - self.life;
        let old = self.store.list(Some(&self.prefix)).try_filter(move |object| {
            let ours = object.location.filename().is_some_and(|name| name.parse::<Name>().is_ok());
            std::future::ready(ours && object.last_modified.timestamp() < dead.unix_timestamp())
        });
        let locations = old.map_ok(|object| object.location).boxed();
        self.store.delete_stream(locations).try_for_each(|_| async { Ok(()) }).await.map_err(Error::new)
    }
}

/// A picture being uploaded.
#[derive(Debug)]
pub(super) struct Writer {
    store: AmazonS3,
    path: Path,
    attributes: Attributes,
    held: BytesMut,
    /// Once it is larger than one part.
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Writer {
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut left = piece;
        while self.held.len() + left.len() >= PART {
            let (now, later) = left.split_at(PART - self.held.len());
            self.held.extend_from_slice(now);
            left = later;
            self.send_part().await?;
        }
        self.held.extend_from_slice(left);
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), Error> {
        let part = self.held.split().freeze();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let options = self.attributes.clone().into();
                let upload = self.store.put_multipart_opts(&self.path, options).await.map_err(Error::new)?;
                self.upload.insert(upload)
            }
        };
        upload.put_part(part.into()).await.map_err(Error::new)
    }

    pub(super) async fn finish(mut self) -> Result<(), Error> {
        if self.upload.is_none() {
            let options = PutOptions { attributes: self.attributes.clone(), ..PutOptions::default() };
            let whole = self.held.split().freeze().into();
            return self.store.put_opts(&self.path, whole, options).await.map(drop).map_err(Error::new);
        }
        if !self.held.is_empty() {
            self.send_part().await?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(Error::new)?;
        }
        self.upload = None;
        Ok(())
    }
}

/// S3 keeps the parts of an upload until it is told that nothing will come of them.
impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "it ends with one answer of the bucket")]
        tokio::spawn(async move {
            if let Err(error) = upload.abort().await {
                tracing::warn!(detail = %error, "an upload to the bucket could not be taken back");
            }
        });
    }
}
