//! From OpenAI's wish to Bedrock's body: one dialect for each family of models.
//!
//! Pure: no async, no clock, no logging, no chance of its own. Must not know aliases, callers or credentials.

mod aim;
mod amazon;
mod field;
mod fit;
mod light;
mod nova_canvas;
mod pictures;
mod sdxl;
mod services;
mod sheet;
mod size;
mod stability;
mod try_on;

use serde_json::Map;

use crate::catalog::{Dialect, Limits};
use crate::image::{Encoding, Part, Quality, Size, Task, Unsupported};
use crate::picture::Draft;
use crate::wishes::Wishes;
use sheet::Sheet;

/// One call's body, and what was done to the caller's wishes to get there.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// JSON for InvokeModel, its pictures still to be made ready.
    pub body: Draft,
    /// What was turned into something else, such as `quality=hd->premium`.
    pub mapped: Vec<String>,
    /// Members that had no effect.
    pub ignored: Vec<String>,
    /// How the pictures have to be encoded anew, where the model cannot do it as the caller wants.
    pub transcode: Option<Encoding>,
    /// The seed that the body carries, if it has one.
    pub seed: Option<u64>,
    /// The size that is paid for.
    pub size: Size,
    /// The quality that is paid for.
    pub quality: Quality,
    /// Whether a wish that shapes the picture was left out (`drop_params`).
    pub dropped: bool,
    /// Whether the model does something else by nature, and only can be used for this too. Others are asked first.
    pub makeshift: bool,
}

/// What a call is made from.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What the caller wants.
    pub task: &'a Task,
    /// Which of the pictures this call paints; never more than the model makes in one call.
    pub part: Part,
    /// What the config says where the caller says nothing.
    pub defaults: &'a Wishes,
    /// What the model accepts.
    pub limits: &'a Limits,
    /// The deployment's `drop_params`; the task has its own.
    pub drop_params: bool,
    /// The seed if nobody asks for one, drawn once for the whole request.
    pub drawn_seed: u64,
    /// How the caller came to this model.
    pub asked: Asked,
}

/// How a caller comes to a model, which says what else than its nature it may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By an alias that has no other model: whatever is asked for, he means what this one does.
    Alone,
    /// By an alias that has others too.
    Among,
    /// As a fallback of the alias that he named.
    Fallback,
}

impl Dialect {
    /// Makes the body of one call, or says which wish the model cannot honour.
    pub fn request(self, order: Order<'_>) -> Result<Request, Unsupported> {
        let sheet = Sheet::new(order);
        match self {
            Self::NovaCanvas => nova_canvas::request(sheet),
            Self::Titan => amazon::request(sheet, self, Map::new()),
            Self::Stability => stability::request(sheet),
            Self::StabilityServices(service) => services::request(sheet, service),
            Self::Sdxl => sdxl::request(sheet),
        }
    }
}

#[cfg(test)]
mod tests;
