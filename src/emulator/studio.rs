//! Where scenes become files, a few at a time and away from the threads that talk to clients.
//! It must not know who asked.
use super::{
    darkroom::develop,
    scene::{Format, Scene},
};
use bytes::Bytes;
use image::{
    DynamicImage, ImageResult,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};
use std::{io, sync::Arc};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Pictures painted at the same time, so that neither processors nor memory are overrun.
pub(super) const EASELS: usize = 4;

/// The length of PNG's signature and of the header that follows it.
const PNG_HEAD: usize = 33;

/// Paints all pictures of a call, in order.
pub(super) async fn paint_all(easels: &Arc<Semaphore>, scenes: Vec<Scene>) -> io::Result<Vec<Bytes>> {
    let tasks: Vec<_> = scenes.into_iter().map(|scene| one(Arc::clone(easels), scene)).collect();
    futures_util::future::try_join_all(tasks).await
}

async fn one(easels: Arc<Semaphore>, scene: Scene) -> io::Result<Bytes> {
    Ok(alone(&easels, move || picture(&scene)).await??.into())
}

/// Does work that takes a processor for itself, once there is an easel free.
pub(super) async fn alone<T: Send + 'static>(
    easels: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let easel = Arc::clone(easels).acquire_owned().await.map_err(io::Error::other)?;
    let work = move || {
        let done = work();
        drop(easel);
        done
    };
    spawn_blocking(work).await.map_err(io::Error::other)
}

fn picture(scene: &Scene) -> io::Result<Vec<u8>> {
    encode(&develop(scene), scene.format).map_err(io::Error::other)
}

/// Losslessly, but for JPEG. PNG is compressed little, for that is quick and weighs what real pictures weigh.
fn encode(picture: &DynamicImage, format: Format) -> ImageResult<Vec<u8>> {
    let mut out = Vec::new();
    match format {
        Format::Png => {
            let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Level(1), FilterType::Sub);
            picture.write_with_encoder(encoder)?;
            out.splice(PNG_HEAD..PNG_HEAD, software());
        }
        Format::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut out, 92))?,
        Format::WebP => picture.write_with_encoder(WebPEncoder::new_lossless(&mut out))?,
    }
    Ok(out)
}

/// A chunk of PNG that says where the picture is from; an edit has no other mark outside of what it changed.
fn software() -> Vec<u8> {
    let chunk = b"tEXtSoftware\0Easel's emulator";
    [&25_u32.to_be_bytes()[..], chunk, &crc32fast::hash(chunk).to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::{super::scene::Work, *};
    use std::time::Instant;

    fn scene(prompt: &str, width: u32, height: u32) -> Scene {
        Scene {
            model: "amazon.nova-canvas-v1:0",
            prompt: prompt.into(),
            mood: String::new(),
            seed: 12,
            width,
            height,
            colors: Vec::new(),
            premium: false,
            format: Format::Png,
            work: Work::Paint,
        }
    }

    #[test]
    fn the_same_scene_is_the_same_picture() {
        let one = picture(&scene("a cat", 64, 64)).unwrap();
        assert_eq!(one, picture(&scene("a cat", 64, 64)).unwrap());
        assert_ne!(one, picture(&scene("a dog", 64, 64)).unwrap());
        assert_ne!(one, picture(&Scene { seed: 13, ..scene("a cat", 64, 64) }).unwrap());
        assert_ne!(one, picture(&Scene { colors: vec![[255, 0, 0]], ..scene("a cat", 64, 64) }).unwrap());
        assert_ne!(one, picture(&Scene { premium: true, ..scene("a cat", 64, 64) }).unwrap());
    }

    #[test]
    fn every_format_has_its_size() {
        for format in [Format::Png, Format::Jpeg, Format::WebP] {
            let bytes = picture(&Scene { format, ..scene("a cat", 384, 128) }).unwrap();
            let size = imagesize::blob_size(&bytes).unwrap();
            assert_eq!((size.width, size.height), (384, 128), "{format:?}");
        }
    }

    /// Writes a few pictures into target/gallery to look at: `cargo test gallery -- --ignored --nocapture`.
    #[test]
    #[ignore = "for the eye, not for a machine"]
    fn gallery() {
        let folder = "target/gallery";
        std::fs::create_dir_all(folder).unwrap();
        let prompts = ["a lighthouse at dawn", "zwei Katzen vor einem Café, sehr lang ".repeat(9).leak(), "fox", "sea"];
        for (index, prompt) in prompts.into_iter().enumerate() {
            for (name, scene) in [
                ("square.png", scene(prompt, 1024, 1024)),
                ("wide.png", Scene { premium: true, ..scene(prompt, 1344, 768) }),
                (
                    "tall.png",
                    Scene { colors: vec![[255, 128, 0], [20, 60, 140], [240, 230, 200]], ..scene(prompt, 768, 1344) },
                ),
                ("photo.jpg", Scene { format: Format::Jpeg, ..scene(prompt, 1024, 1024) }),
                ("plain.webp", Scene { format: Format::WebP, ..scene(prompt, 512, 320) }),
                ("tiny.png", scene(prompt, 64, 64)),
            ] {
                let began = Instant::now();
                let bytes = picture(&scene).unwrap();
                println!("{index}-{name}: {} bytes, {} ms", bytes.len(), began.elapsed().as_millis());
                std::fs::write(format!("{folder}/{index}-{name}"), bytes).unwrap();
            }
        }
    }
}
