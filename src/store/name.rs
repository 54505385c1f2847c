//! Names of kept pictures: a random id and an extension.
//!
//! Must not take any other text for a name: it becomes part of a path.

use std::fmt;
use std::str::FromStr;

use crate::image::Format;

/// A kept picture, written `6b1f0c4e8d2a4f7c9b3e5d1a8c6f2e40.png`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    id: u128,
    /// How it is encoded.
    pub format: Format,
}

impl Name {
    /// A name that nobody can guess.
    pub(super) fn random(format: Format) -> Result<Self, getrandom::Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        Ok(Self { id: u128::from_be_bytes(id), format })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}.{}", self.id, self.format.extension())
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, extension) = text.split_once('.').ok_or(())?;
        let format = Format::parse(extension).ok_or(())?;
        let name = Self { id: u128::from_str_radix(id, 16).map_err(|_| ())?, format };
        // No second spelling of a name.
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}
