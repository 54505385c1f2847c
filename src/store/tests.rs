//! The folder's own doings, which show themselves to nobody. Must not depend on the machine's clock.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use time::macros::datetime;

use super::*;
use crate::catalog::Catalog;
use crate::config::{Config, Environment};

const YAML: &str = "
model_list:
  - model_name: core
    litellm_params: {model: bedrock/stability.stable-image-core-v1:1, aws_region_name: us-west-2}
easel_settings: {links: {max_size_mb: 1}}
";

fn noon() -> SystemTime {
    datetime!(2026-11-22 12:00 UTC).into()
}

fn open(data_dir: &Path) -> Links {
    let env = Environment::new([("EASEL_DATA_DIR".to_owned(), data_dir.to_str().unwrap().to_owned())]);
    let config = Config::parse(YAML, &env, &Catalog::builtin()).unwrap();
    Links::open(&config.delivery, Clock::new(noon)).unwrap()
}

fn gathered(links: &Links, bytes: &[u8]) -> Buffer {
    let mut buffer = links.buffer();
    buffer.put(bytes);
    buffer
}

async fn keep(links: &Links, bytes: &[u8]) -> Name {
    let mut writer = links.writer(Format::Webp).unwrap();
    for piece in bytes.chunks(100_000) {
        writer.write(gathered(links, piece)).await.unwrap();
    }
    writer.finish(links.buffer()).await.unwrap()
}

async fn read(links: &Links, name: Name) -> Option<Vec<u8>> {
    let (mut reader, mut all) = (links.read(name).await.unwrap()?, Vec::new());
    while let Some(piece) = reader.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    Some(all)
}

fn make_old(path: &Path, age: u64) {
    File::options().write(true).open(path).unwrap().set_modified(noon() - Duration::from_secs(age)).unwrap();
}

#[tokio::test]
async fn what_is_kept_is_read_again() {
    let data = tempfile::tempdir().unwrap();
    let links = open(data.path());
    let picture: Vec<u8> = (0..500_000_u32).map(|i| i.to_le_bytes()[1]).collect();
    let name = keep(&links, &picture).await;
    assert_eq!(read(&links, name).await, Some(picture));
    let link = format!("https://cdn.example{}", links.path(name));
    assert_eq!(links.check_url(&link), Some(Ok(LiveLink { name, left: Duration::from_secs(3600) })));
    assert_eq!(links.check_url(&link.replace("/files/1", "/files/2")), Some(Err(DeadLink::Unknown)));
    assert_eq!(links.check_url("https://cdn.example/picture.png"), None);
    let never = Name::random(Format::Png).unwrap();
    assert_eq!(read(&links, never).await, None);
    assert_eq!(links.find(LiveLink { name: never, left: Duration::ZERO }, Method::GET).await.unwrap(), None);
}

#[tokio::test]
async fn the_last_bytes_come_with_the_end() {
    let data = tempfile::tempdir().unwrap();
    let links = open(data.path());
    let mut writer = links.writer(Format::Png).unwrap();
    writer.write(gathered(&links, b"a picture ")).await.unwrap();
    let name = writer.finish(gathered(&links, b"and its end")).await.unwrap();
    assert_eq!(read(&links, name).await.as_deref(), Some(&b"a picture and its end"[..]));
}

#[tokio::test]
async fn what_is_not_finished_is_not_there() {
    let data = tempfile::tempdir().unwrap();
    let links = open(data.path());
    let mut writer = links.writer(Format::Png).unwrap();
    writer.write(gathered(&links, &[0; 100_000])).await.unwrap();
    assert_eq!(fs::read_dir(data.path().join("links")).unwrap().count(), 1);
    drop(writer);
    assert_eq!(fs::read_dir(data.path().join("links")).unwrap().count(), 0);
}

#[tokio::test]
async fn cleaning_takes_what_is_dead_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let (links, folder) = (open(data.path()), data.path().join("links"));
    let (fresh, expired) = (keep(&links, b"fresh").await, keep(&links, b"expired").await);
    let path = |name: &str| folder.join(name);
    for (name, age) in [("crashed.part", 3601), ("growing.part", 3599), ("notes.txt", 100_000)] {
        fs::write(path(name), "x").unwrap();
        make_old(&path(name), age);
    }
    make_old(&path(&expired.to_string()), 3600);
    make_old(&path(&fresh.to_string()), 3599);
    links.clean().await.unwrap();
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let mut expected = [fresh.to_string(), "growing.part".into(), "notes.txt".into()];
    expected.sort();
    assert_eq!(left, expected.map(std::ffi::OsString::from));
}

#[tokio::test]
async fn the_oldest_make_room_and_the_newest_stays() {
    let data = tempfile::tempdir().unwrap();
    let (links, folder) = (open(data.path()), data.path().join("links"));
    let mut names = Vec::new();
    for age in [40, 30, 20] {
        let name = keep(&links, &[0; 300_000]).await;
        make_old(&folder.join(name.to_string()), age);
        names.push(name);
    }
    names.push(keep(&links, &[0; 300_000]).await);
    // 1.2 MB are too much, 0.9 MB leave room.
    let mut there = Vec::new();
    for name in names {
        there.push(read(&links, name).await.is_some());
    }
    assert_eq!(there, [false, true, true, true]);
    let large = keep(&links, &[0; 2_000_000]).await;
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert!(read(&links, large).await.is_some());
}

#[test]
fn a_key_that_is_broken_says_so() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("links.key"), "short").unwrap();
    let message = Key::kept_in(data.path()).unwrap_err().to_string();
    assert_eq!(message, "links.key in it holds no key: remove it, and links that were given end");
}

#[tokio::test]
async fn who_waited_for_room_does_not_make_it_again() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path(), 1_000_000, Duration::from_secs(3600), Clock::new(noon)).unwrap();
    let stale = data.path().join("links").join(Name::random(Format::Webp).unwrap().to_string());
    fs::write(&stale, "x").unwrap();
    make_old(&stale, 3601);
    folder.make_room().unwrap();
    assert!(stale.exists(), "there is room: nobody looked");
    folder.clean().await.unwrap();
    assert!(!stale.exists());
}

/// The check value that the catalogue of checksums gives.
#[test]
fn uploads_that_are_checked_are_checked_rightly() {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    digest.update(b"12345");
    digest.update(b"6789");
    assert_eq!(digest.finalize(), 0xae8b_1486_0a79_9888);
}
