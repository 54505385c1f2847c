//! What becomes of a call whose caller is gone, and of a reply that was asked to be kept.
//!
//! Must not know where it is kept: `easel_settings.data_dir` is `delivery.rs`'s.

use std::time::Duration;

use super::section::{Reader, Section, Unset};

/// How calls outlive their callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// A call whose caller hangs up before the first byte is finished (`on_disconnect: finish`), not ended.
    pub finish: bool,
    /// Whether there are kept replies at all (`kept.enabled`).
    pub enabled: bool,
    /// How long a reply waits for its caller to come back (`takeover_window`, default 10 minutes).
    pub window: Duration,
    /// What all kept replies may take up; the oldest go first.
    pub max_bytes: u64,
}

const WINDOW: Duration = Duration::from_secs(600);

const MAX_SIZE_MB: u64 = 1024;

impl Default for Keeping {
    fn default() -> Self {
        Self { finish: true, enabled: true, window: WINDOW, max_bytes: MAX_SIZE_MB * 1_000_000 }
    }
}

/// Reads what of `easel_settings` is about this.
pub(super) fn read(easel: &mut Section, reader: &mut Reader) -> Keeping {
    let usual = Keeping::default();
    let finish = reader.text(easel.take("on_disconnect"), Unset::Mistake).map(|text| {
        if !["finish", "cancel"].contains(&&*text.value) {
            let message = format!("the value {} is not accepted. Write 'finish' or 'cancel'", text.shown);
            reader.mistake(&text.path, message);
        }
        text.value == "finish"
    });
    let window = reader.seconds(easel.take("takeover_window"));
    let mut kept = reader.section(easel, "kept");
    let enabled = reader.switch(kept.take("enabled"));
    let most = super::delivery::megabytes(kept.take("max_size_mb"), reader);
    super::delivery::rest(kept, reader);
    Keeping {
        finish: finish.unwrap_or(usual.finish),
        enabled: enabled.unwrap_or(usual.enabled),
        window: window.unwrap_or(usual.window),
        max_bytes: most.map_or(usual.max_bytes, |megabytes| megabytes * 1_000_000),
    }
}
