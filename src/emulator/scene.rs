//! What is to be painted, once a model's body has been found legal.
//! It must not know how a picture is painted or which rules it came through.

/// A call that is well understood: the name of its task and its pictures.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) task: &'static str,
    pub(super) scenes: Vec<Scene>,
}

/// One picture. The same scene is always the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub(super) model: &'static str,
    pub(super) prompt: String,
    /// What else the caller wished and the picture may show, such as a style.
    pub(super) mood: String,
    pub(super) seed: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Colours that the picture must be made of, if any.
    pub(super) colors: Vec<[u8; 3]>,
    pub(super) premium: bool,
    pub(super) format: Format,
}

/// How the picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
}
