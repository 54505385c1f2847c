//! From OpenAI's wish to Bedrock's body: one dialect for each family of models.
//!
//! Pure: no async, no clock, no logging, no chance of its own. Must not know aliases, callers or credentials.

mod amazon;
mod nova_canvas;
mod sheet;
mod size;
mod stability;

use serde_json::Map;

use crate::catalog::{Dialect, Limits};
use crate::image::{Part, Quality, Size, Task, Unsupported};
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
    /// The seed that the body carries.
    pub seed: u64,
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
    /// Whether the caller named this model's own alias, rather than one whose fallback it is.
    pub direct: bool,
}

impl Dialect {
    /// Makes the body of one call, or says which wish the model cannot honour.
    pub fn request(self, order: Order<'_>) -> Result<Request, Unsupported> {
        let sheet = Sheet::new(order);
        match self {
            Self::NovaCanvas => nova_canvas::request(sheet),
            Self::Titan => amazon::request(sheet, self, Map::new()),
            Self::Stability => stability::request(sheet),
            Self::StabilityServices => {
                let message = "this model changes pictures and paints none from text. Ask another model";
                Err(Unsupported::new("model", message))
            }
        }
    }

    /// Native members of this family that the others have no counterpart for.
    fn own_members(self) -> &'static [&'static str] {
        match self {
            Self::NovaCanvas | Self::Titan => amazon::MEMBERS,
            Self::Stability => stability::MEMBERS,
            Self::StabilityServices => &[],
        }
    }

    /// Every family.
    const ALL: [Self; 4] = [Self::NovaCanvas, Self::Titan, Self::Stability, Self::StabilityServices];
}

#[cfg(test)]
mod tests;
