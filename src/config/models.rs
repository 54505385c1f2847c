//! `easel_settings.models`: models beside those of the catalogue, or other words about them, inline or in a file.
//!
//! Must not judge what they say beyond their form.

use serde::Deserialize;

use super::include;
use super::region::is_region;
use super::report::join;
use super::section::{Field, Reader, Section, Unset};
use crate::catalog::{Catalog, Model, SizeRule};

/// The catalogue with the models of the config.
pub(super) fn catalogue(easel: &mut Section, catalog: &Catalog, reader: &mut Reader) -> Catalog {
    let Some(field) = easel.take("models") else { return catalog.clone() };
    let list = if field.value.is_string() { file(field, reader) } else { Some(field) };
    let models = reader.list(list).into_iter().filter_map(|item| model(item, reader)).collect();
    catalog.with(models)
}

/// The list of a file in the form of `config/models.yaml`.
fn file(field: Field, reader: &mut Reader) -> Option<Field> {
    let name = reader.text(Some(field), Unset::Mistake)?;
    let file =
        include::read(&name.value, &[], reader).map_err(|message| reader.mistake(&name.path, message)).ok()??;
    let models = file.members?.shift_remove("models").filter(|models| !models.is_null());
    let models = models.map(|value| Field { path: join(&file.prefix, "models"), value });
    if models.is_none() {
        let message =
            format!("the file {} holds no list 'models'. Write it like Easel's config/models.yaml", name.shown);
        reader.mistake(&name.path, message);
    }
    models
}

fn model(item: Field, reader: &mut Reader) -> Option<Model> {
    match Model::deserialize(item.value) {
        Ok(model) => match unsound(&model) {
            None => Some(model),
            Some(why) => {
                reader.mistake(&item.path, format!("{why}. Write it like those of Easel's config/models.yaml"));
                None
            }
        },
        Err(error) => {
            let message = format!("this is no model: {error}. Write it like those of Easel's config/models.yaml");
            reader.mistake(&item.path, message.replace('`', "'"));
            None
        }
    }
}

/// What the arithmetic of sizes and seeds, or an address, could not bear.
fn unsound(model: &Model) -> Option<&'static str> {
    let limits = &model.limits;
    let sizes = match limits.size {
        SizeRule::Pixels { min_side, max_side, multiple, max_pixels, max_ratio } => {
            (1..=min_side).contains(&multiple)
                && (min_side..=65_536).contains(&max_side)
                && max_pixels >= u64::from(min_side).pow(2)
                && max_ratio >= 1
        }
        SizeRule::Sizes(ref sizes) => !sizes.is_empty(),
        SizeRule::AspectRatios(ref names) => !names.is_empty(),
        SizeRule::AsGiven => true,
    };
    let input = limits.input.as_ref().is_none_or(|input| {
        (1..=8192).contains(&input.min_side)
            && input.max_side.is_none_or(|most| most >= input.min_side)
            && input.max_pixels >= u64::from(input.min_side).pow(2).max(input.min_pixels)
            && input.max_ratio.is_none_or(|ratio| ratio >= 1.0)
            && !input.formats.is_empty()
            && input.most >= 1
    });
    let id = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    [
        (!model.id.is_empty() && model.id.chars().all(id), "the id holds other characters than ids do"),
        (model.regions.iter().all(|region| is_region(region)), "one of the regions is no region"),
        ((1..=10).contains(&limits.pictures_per_call), "pictures_per_call is not between 1 and 10"),
        ((1..1 << 53).contains(&limits.max_seed), "max_seed is not between 1 and 2^53"),
        (!limits.formats.is_empty(), "formats is empty"),
        (sizes, "the numbers of 'size' do not go together"),
        (input, "the numbers of 'input' do not go together"),
        (model.prices.iter().all(|price| price.usd.is_finite() && price.usd >= 0.0), "a price is below 0"),
    ]
    .into_iter()
    .find_map(|(sound, why)| (!sound).then_some(why))
}
