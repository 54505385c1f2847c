//! The pictures of one body: each fitted to the model, masks made for it, and what was done said.
//!
//! Must not know the grammar of any one model.

use serde_json::Value;

use super::Sheet;
use super::aim::{MARGINS, same_shape};
use super::field::{Kind, field};
use super::fit::fit;
use super::sheet::not_taken;
use crate::catalog::Input;
use crate::image::{Size, Unsupported};
use crate::picture::{Alpha, Margins, MaskBy, Picture, Recipe, Shade, attached};
use crate::wishes::SizeWish;

/// A picture that has its place in the body.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// What stands for it.
    pub(super) value: Value,
    /// Its size as it is sent, without margins.
    pub(super) size: Size,
    /// What is added around it.
    pub(super) margins: Margins,
}

/// How a model wants its masks.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaskStyle {
    /// The shade of what is changed.
    pub(super) edited: Shade,
    /// Whether shades of grey mean something.
    pub(super) soft: bool,
}

impl Sheet<'_> {
    /// Pictures to change that came in an object of a model's own, such as `inPaintingParams.image`.
    pub(super) fn adopt_pictures(&mut self) {
        for name in ["image", "images"] {
            let places = match self.peek(name) {
                Some(Value::Array(list)) => list.iter().map(|item| item.as_str().and_then(attached)).collect(),
                Some(Value::String(text)) => Some(attached(text)).into_iter().collect(),
                _ => None::<Vec<usize>>,
            };
            let pictures: Option<Vec<_>> =
                places.and_then(|all| all.iter().map(|place| self.order.task.attached.get(*place).cloned()).collect());
            if let Some(pictures) = pictures {
                self.images.extend(pictures);
                self.native(name);
            }
        }
    }

    /// What the model takes of pictures.
    fn input(&self) -> Result<&'_ Input, Unsupported> {
        let none = || Unsupported::new("image", "'image' is nothing this model takes. It paints from text alone");
        self.order.limits.input.as_ref().ok_or_else(none)
    }

    /// The next of the pictures to change.
    pub(super) fn next_image(&mut self) -> Result<Picture, Unsupported> {
        if self.images.is_empty() {
            return Err(Unsupported::new("image", "'image' is missing. Send the picture that is to be changed"));
        }
        Ok(self.images.remove(0))
    }

    /// Puts a picture into the body, with `margins` around it, in a way that the model takes.
    pub(super) fn send(&mut self, picture: &Picture, margins: Margins) -> Result<Sent, Unsupported> {
        let fitted = fit(picture, margins, self.input()?)?;
        if fitted.size != picture.size {
            self.map(&picture.name, picture.size, fitted.size);
        }
        if picture.alpha == Alpha::Transparent && matches!(fitted.recipe, Recipe::Redrawn { alpha: false, .. }) {
            self.map(&picture.name, "transparent", "opaque");
        }
        let value = self.place(picture.clone(), fitted.recipe);
        Ok(Sent { value, size: fitted.size, margins: fitted.margins })
    }

    /// A picture in a native member: its place if it came with the request; else its base64, as a config has it, with
    /// a `data:` prefix cut off, which Bedrock does not take.
    pub(super) fn native_picture(&mut self, name: &str) -> Result<Option<Value>, Unsupported> {
        if let Some(picture) = self.attached(name) {
            return Ok(Some(self.send(&picture, Margins::default())?.value));
        }
        let Some(text) = self.native_text(name)? else { return Ok(None) };
        Ok(Some(match text.split_once(";base64,") {
            Some((head, data)) if head.starts_with("data:") => data.into(),
            _ => text.into(),
        }))
    }

    /// Takes a native member out that is a picture of the request's.
    pub(super) fn attached(&mut self, name: &str) -> Option<Picture> {
        let place = attached(self.peek(name)?.as_str()?)?;
        let picture = self.order.task.attached.get(place)?.clone();
        self.native(name);
        Some(picture)
    }

    /// The mask for a picture, sent in `size`: OpenAI's, or the picture's own transparency.
    pub(super) fn mask(
        &mut self,
        picture: &Picture,
        size: Size,
        style: MaskStyle,
    ) -> Result<Option<Value>, Unsupported> {
        if let Some(mask) = self.mask.take() {
            // A mask without transparency is one in black and white, where white is changed.
            let by = if mask.alpha == Alpha::Transparent { MaskBy::Alpha } else { MaskBy::White };
            return self.mask_of(mask, by, picture, size, style).map(Some);
        }
        let own = picture.alpha == Alpha::Transparent;
        Ok(own.then(|| self.place(picture.clone(), mask_recipe(size, MaskBy::Alpha, style))))
    }

    /// A mask for a picture, made of another.
    pub(super) fn mask_of(
        &mut self,
        mask: Picture,
        by: MaskBy,
        picture: &Picture,
        size: Size,
        style: MaskStyle,
    ) -> Result<Value, Unsupported> {
        if !same_shape(mask.size, picture.size) {
            let (name, nearest) = (&mask.name, picture.size);
            let message = format!("'{name}' is {}, and the picture {nearest}. Send a mask of {nearest}", mask.size);
            return Err(Unsupported::new(name, message));
        }
        if mask.size != size {
            self.map(&mask.name, mask.size, size);
        }
        Ok(self.place(mask, mask_recipe(size, by, style)))
    }

    /// `left`, `right`, `up` and `down`, if one of them is more than 0.
    pub(super) fn margins(&mut self) -> Result<Option<Margins>, Unsupported> {
        let mut sides = [0; 4];
        for (name, side) in MARGINS.into_iter().zip(&mut sides) {
            let value = self.field(field(name, Kind::Whole(0, MAX_MARGIN)))?;
            *side = value.and_then(|value| u32::try_from(value.as_u64()?).ok()).unwrap_or_default();
        }
        let [left, right, up, down] = sides;
        Ok(Some(Margins { left, right, up, down }).filter(|margins| !margins.is_empty()))
    }

    /// The margins that make a picture as large as `size` says, with the picture in the middle; none if it is not
    /// larger, or does not contain the picture.
    pub(super) fn margins_by_size(&mut self, picture: Size) -> Result<Option<Margins>, Unsupported> {
        let Some(SizeWish::Exact(size)) = self.wish(|w| w.size) else { return Ok(None) };
        let (Some(across), Some(along)) =
            (size.width.checked_sub(picture.width), size.height.checked_sub(picture.height))
        else {
            return Ok(None);
        };
        let (left, up) = (across / 2, along / 2);
        let margins = Margins { left, right: across - left, up, down: along - up };
        if margins.right.max(margins.down) > MAX_MARGIN {
            let message =
                format!("'size' is '{size}', and the picture {picture}. At most {MAX_MARGIN} are added a side");
            return Err(Unsupported::new("size", message));
        }
        if margins.is_empty() {
            return Ok(None);
        }
        let Margins { left, right, up, down } = margins;
        self.map("size", size, format_args!("left={left} right={right} up={up} down={down}"));
        Ok(Some(margins))
    }

    /// Pictures that no member took shape the reply, so they are refused.
    pub(super) fn settle_pictures(&mut self) -> Result<(), Unsupported> {
        if !self.images.is_empty() {
            let (all, rest) = (self.order.task.images.len(), self.images.len());
            let taken = all.saturating_sub(rest);
            let message = format!("'image' comes {all} times. This model takes {taken} here");
            self.refuse(Unsupported::new("image", message))?;
        }
        if self.mask.is_some() {
            self.refuse(not_taken("mask"))?;
        }
        Ok(())
    }
}

/// Most pixels on each side, as Stability's service takes them.
const MAX_MARGIN: u32 = 2000;

fn mask_recipe(size: Size, by: MaskBy, style: MaskStyle) -> Recipe {
    Recipe::Mask { size, by, edited: style.edited, soft: style.soft }
}
