//! Native members as tables have them: a name and what values are taken.
//!
//! A value is checked by name before Bedrock could refuse it. Must not know which model has which member.

use serde_json::{Map, Value};

use super::{Sheet, amazon, services, stability};
use crate::image::Unsupported;
use crate::wishes::{describe, excerpt, unquoted};

/// One native member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a member takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A number from `.0` to `.1`.
    Number(f64, f64),
    /// A whole number from `.0` to `.1`.
    Whole(u32, u32),
    /// One of these words, in its spelling.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A text, as long as a prompt may be.
    Text,
    /// A picture.
    Picture,
}

/// A member of this name and kind.
pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

/// Members of different families that mean the same, either way. `true`: one is what the other leaves of 1.
const COUNTERPARTS: [(&str, &str, bool); 7] = [
    ("controlStrength", "control_strength", false),
    ("similarityStrength", "strength", true),
    ("maskPrompt", "mask_prompt", false),
    ("maskPrompt", "search_prompt", false),
    ("maskPrompt", "select_prompt", false),
    ("search_prompt", "mask_prompt", false),
    ("select_prompt", "mask_prompt", false),
];

/// Whether a member of this name shapes the picture with some family, so that who does not take it refuses it. Those of
/// Stable Diffusion XL tune a way of painting that nobody else has.
pub(super) fn is_known(name: &str) -> bool {
    amazon::know(name)
        || services::know(name)
        || stability::MEMBERS.contains(&name)
        || COUNTERPARTS.iter().any(|(left, right, _)| name == *left || name == *right)
}

impl Sheet<'_> {
    /// Takes those of the fields that somebody named into a body.
    pub(super) fn fields(&mut self, fields: &[Field], body: &mut Map<String, Value>) -> Result<(), Unsupported> {
        for field in fields {
            if let Some(value) = self.field(*field)? {
                body.insert(field.name.into(), value);
            }
        }
        Ok(())
    }

    /// The value of a field, under its own name or that of a counterpart.
    pub(super) fn field(&mut self, field: Field) -> Result<Option<Value>, Unsupported> {
        if self.has_native(field.name) {
            return self.checked(field.name, field.kind);
        }
        let other = COUNTERPARTS.iter().find_map(|(left, right, turned)| match field.name {
            name if name == *left && self.has_native(right) => Some((*right, *turned)),
            name if name == *right && self.has_native(left) => Some((*left, *turned)),
            _ => None,
        });
        let Some((other, turned)) = other else { return Ok(None) };
        let kind = if turned { Kind::Number(0.0, 1.0) } else { field.kind };
        let value = self.checked(other, kind)?;
        let (Some(number), Kind::Number(min, max)) = (value.as_ref().and_then(Value::as_f64), field.kind) else {
            self.map_name(other, field.name);
            return Ok(value);
        };
        // Rounded, for 1 - 0.7 is 0.30000000000000004.
        let here = if turned { ((1.0 - number) * 1e6).round() / 1e6 } else { number };
        let here = here.clamp(min, max);
        self.map(other, number, format_args!("{}={here}", field.name));
        Ok(Some(here.into()))
    }

    fn checked(&mut self, name: &str, kind: Kind) -> Result<Option<Value>, Unsupported> {
        let takes = |value: &Value, what: String| {
            Err(Unsupported::new(name, format!("'{name}' is {}. It takes {what}", describe(value))))
        };
        match kind {
            Kind::Picture => return self.native_picture(name),
            Kind::OneOf(words) => return Ok(self.native_word(name, words)?.map(Value::from)),
            Kind::Text => {
                let Some(text) = self.native_text(name)? else { return Ok(None) };
                self.within_limit(name, &text)?;
                return Ok(Some(text.into()));
            }
            Kind::Number(..) | Kind::Whole(..) | Kind::Switch => {}
        }
        let Some(value) = self.native.shift_remove(name) else { return Ok(None) };
        let number = unquoted(value.clone());
        match kind {
            Kind::Number(min, max) => match number.as_f64() {
                Some(n) if (min..=max).contains(&n) => Ok(Some(number)),
                _ => takes(&value, format!("a number from {min} to {max}")),
            },
            Kind::Whole(min, max) => match number.as_f64() {
                Some(n) if n.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&n) => {
                    Ok(Some(whole(n).into()))
                }
                _ => takes(&value, format!("a whole number from {min} to {max}")),
            },
            _ => match switch(&value) {
                Some(switch) => Ok(Some(switch.into())),
                None => takes(&value, "true or false".into()),
            },
        }
    }

    pub(super) fn has_native(&self, name: &str) -> bool {
        self.native.contains_key(name)
    }

    pub(super) fn peek(&self, name: &str) -> Option<&Value> {
        self.native.get(name)
    }

    /// Takes a native member out.
    pub(super) fn native(&mut self, name: &str) -> Option<Value> {
        self.native.shift_remove(name)
    }

    pub(super) fn native_text(&mut self, name: &str) -> Result<Option<String>, Unsupported> {
        match self.native(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Unsupported::new(name, format!("'{name}' is {}. It takes a string", describe(&other)))),
        }
    }

    /// One of a model's words, in its own spelling.
    pub(super) fn native_word(&mut self, name: &str, words: &[&str]) -> Result<Option<String>, Unsupported> {
        match self.native_text(name)? {
            Some(text) if !words.contains(&&*text) => {
                let message = format!("'{name}' is '{}'. It takes {}", excerpt(&text), words.join(", "));
                Err(Unsupported::new(name, message))
            }
            text => Ok(text),
        }
    }
}

fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(switch) => Some(*switch),
        // Forms have nothing but texts.
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range of a u32")]
fn whole(number: f64) -> u32 {
    number as u32
}
