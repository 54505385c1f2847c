//! OpenAI's words: requests as they are written, errors and lists as they are answered.
//!
//! Must not know Bedrock, or which alias is served by what.

mod chat;
mod envelope;
mod request;
mod slim;

pub use chat::{Chat, ChatWish, notes as picture_notes};
pub use envelope::{ChatUsage, ErrorBody, ModelList, ModelObject, Usage};
pub use request::{Answer, ImageRequest, Invalid, Overrides, members};
pub use slim::{Slimmer, Step, Unreadable};
