//! Starts Easel and its emulator on free ports, and stops what it started; and the pictures that tests send in.
//!
//! Must not know any client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::{ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// Easel takes this published key on loopback only, which is where the tests are.
pub const KEY: &str = "sk-test-1234567890";

/// One running program, in an empty folder and an environment that holds nothing of the machine's.
struct Program {
    child: Child,
    /// Where it listens.
    url: String,
    /// Gone when it is.
    _folder: tempfile::TempDir,
}

impl Program {
    /// Starts it and waits for the line that names its address.
    fn start(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(binary)
            .args(arguments)
            .current_dir(&folder)
            .env_clear()
            .env("HOME", folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let mut log = String::new();
        let url = loop {
            let Some(line) = lines.next() else { panic!("it did not start:\n{log}") };
            let line = line.expect("a line");
            if let Some(port) = line.split("http://127.0.0.1:").nth(1) {
                let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
                break format!("http://127.0.0.1:{digits}");
            }
            log += &line;
            log.push('\n');
        };
        // A log that nobody reads would stop it in the end.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, _folder: folder }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Easel, painting on its emulator. Both end when this does.
pub struct Easel {
    program: Program,
    _emulator: Program,
}

impl Easel {
    /// Starts the program `EASEL_BIN` with the config `EASEL_CONFIG`.
    #[expect(clippy::disallowed_methods, reason = "the rule is Easel's, and cargo hands a test nothing else")]
    pub fn start() -> Self {
        let [binary, config] = ["EASEL_BIN", "EASEL_CONFIG"]
            .map(|name| std::env::var(name).unwrap_or_else(|_| panic!("set {name}; ./run-tests.sh does")));
        let emulator = Program::start(&binary, &["emulate", "--port", "0"], &[]);
        let environment = [
            ("LITELLM_MASTER_KEY", KEY),
            ("AWS_BEARER_TOKEN_BEDROCK", "emulated"),
            ("AWS_BEDROCK_RUNTIME_ENDPOINT", emulator.url.as_str()),
        ];
        let program =
            Program::start(&binary, &["--config", &config, "--host", "127.0.0.1", "--port", "0"], &environment);
        Self { program, _emulator: emulator }
    }

    /// What clients call the base URL.
    pub fn base(&self) -> String {
        format!("{}/v1", self.program.url)
    }
}

/// A picture in which a shift or another size would show.
pub fn card(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x, y, x ^ y].map(|value| value as u8)))
}

/// OpenAI's kind of mask: the left half is transparent, which is where to edit.
pub fn mask(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba([255, 255, 255, if x < width / 2 { 0 } else { 255 }]))
}

/// A PNG.
pub fn encoded(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut file, ImageFormat::Png).expect("a PNG");
    file.into_inner()
}

/// A PNG or JPEG, read to its last row.
pub fn decoded(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).expect("a whole picture").into_rgb8()
}

/// A file, read to its last row.
pub fn opened(path: &Path) -> RgbImage {
    decoded(&std::fs::read(path).expect("a file"))
}

/// That the left half was painted anew, and of the right one every pixel is what it was.
#[track_caller]
pub fn check_left_half_changed(before: &RgbImage, after: &RgbImage) {
    assert_eq!(before.dimensions(), after.dimensions());
    let middle = before.width() / 2;
    let (mut left, mut right) = (0, 0);
    for (x, y, pixel) in before.enumerate_pixels() {
        if after.get_pixel(x, y) != pixel {
            *(if x < middle { &mut left } else { &mut right }) += 1;
        }
    }
    assert_eq!(right, 0, "pixels that were to stay");
    assert!(left * 10 > middle * before.height() * 9, "only {left} pixels of the left half changed");
}
