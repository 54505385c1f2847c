//! Which model a `model` line means: prefixes, regions inside it, profiles, ARNs, and what to write instead.
//!
//! Must not judge whether a model is still alive: that needs a clock.

use std::sync::Arc;

use super::region::{looks_like_region, of_arn};
use super::report::{closest, quote};
use super::section::Text;
use crate::catalog::{Catalog, Model};

/// The model that is meant, and what stands in the URL for it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) model: Arc<Model>,
    pub(super) model_id: String,
    /// The region that the `model` line or an ARN names.
    pub(super) region: Option<String>,
}

/// Why an entry has no model to call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It may be sound, but Easel does not serve it: a warning.
    NotServed(String),
    /// It is wrong.
    Mistake {
        /// Where.
        path: String,
        /// What, and what to write.
        message: String,
    },
}

/// The lines of an entry that say which model it is.
pub(super) struct Named<'a> {
    pub(super) model: &'a Text,
    pub(super) model_id: Option<&'a Text>,
    pub(super) base_model: Option<&'a Text>,
    /// `custom_llm_provider: bedrock` stands in for the prefix.
    pub(super) is_bedrock: bool,
}

/// Ways of calling that may stand before an id; pictures only ever go through InvokeModel.
const ROUTES: [&str; 3] = ["invoke", "converse", "converse_like"];

/// How the ids of inference profiles begin.
pub(super) const PROFILES: [&str; 5] = ["us.", "eu.", "apac.", "global.", "us-gov."];

/// Picture models that are gone and whose bodies nothing else speaks: how their ids begin, and what is alive instead.
const RETIRED: [(&str, &str); 2] = [
    ("stability.stable-diffusion-xl", "stability.sd3-5-large-v1:0"),
    ("stability.sd3-ultra", "stability.stable-image-ultra-v1:1"),
];

/// The model that an entry means.
pub(super) fn target(named: &Named<'_>, catalog: &Catalog) -> Result<Target, Refusal> {
    let text = named.model;
    if text.value.contains('*') {
        let message = format!("the wildcard {} needs one '*' here and one in model_name", text.shown);
        return Err(Refusal::Mistake { path: text.path.clone(), message });
    }
    let (id, region) = match text.value.strip_prefix("bedrock/") {
        Some(rest) => routed(rest),
        None if named.is_bedrock || text.value.starts_with("arn:") => routed(&text.value),
        None => bare(text, catalog)?,
    };
    check_id(id, text)?;
    let url = named.model_id.unwrap_or(text);
    let model_id = named.model_id.map_or(id, |text| text.value.strip_prefix("bedrock/").unwrap_or(&text.value));
    check_id(model_id, url)?;
    let base = named.base_model.map(|text| text.value.strip_prefix("bedrock/").unwrap_or(&text.value));
    let model = look_up(catalog, id)
        .or_else(|| base.and_then(|base| look_up(catalog, base)))
        .or_else(|| look_up(catalog, model_id))
        .cloned()
        .ok_or_else(|| unknown(id, text, catalog))?;
    let region = region.or(of_arn(model_id)).or(of_arn(id)).map(str::to_owned);
    // Some can only be called through a profile, whose id is easily forgotten.
    let profile = model.profiles.first().filter(|_| model.profile_only && model_id == model.id);
    let model_id = profile.map_or_else(|| model_id.to_owned(), |profile| format!("{profile}.{model_id}"));
    Ok(Target { model, model_id, region })
}

/// Strips routes and a region from the front of an id.
pub(super) fn routed(mut id: &str) -> (&str, Option<&str>) {
    let mut region = None;
    while let Some((first, rest)) = id.split_once('/') {
        if looks_like_region(first) {
            region = Some(first);
        } else if !ROUTES.contains(&first) {
            break;
        }
        id = rest;
    }
    (id, region)
}

/// A `model` without `bedrock/`: LiteLLM accepts ids that it knows, the rest belongs to other providers.
fn bare<'t>(text: &'t Text, catalog: &Catalog) -> Result<(&'t str, Option<&'t str>), Refusal> {
    let id = text.value.as_str();
    if look_up(catalog, id).is_some() || is_picture_model(id, catalog) {
        return Ok((id, None));
    }
    let hint = match ["image", "dall-e", "imagen", "flux"].iter().any(|word| id.contains(word)) {
        true => ". To serve this name from Bedrock, write 'model: bedrock/stability.stable-image-core-v1:1'",
        false => "",
    };
    let message = format!("{} is not on Bedrock; Easel serves pictures from there, so it skips this entry", text.shown);
    Err(Refusal::NotServed(message + hint))
}

/// The catalogue's model behind an id, a profile, or an ARN that holds either in one of its parts.
fn look_up<'c>(catalog: &'c Catalog, id: &str) -> Option<&'c Arc<Model>> {
    id.rsplit('/').find_map(|part| catalog.find(part))
}

/// An id goes into a URL that is signed: only the characters of ids, profiles and ARNs, and no way up.
fn check_id(id: &str, text: &Text) -> Result<(), Refusal> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    let way_up = |part: &str| part.is_empty() || part == "." || part == "..";
    if id.is_empty() || id.len() > 2048 || !id.chars().all(fit) || id.split('/').any(way_up) {
        let hint = "Ids hold letters, digits and '._:/-', such as 'bedrock/amazon.nova-canvas-v1:0'";
        let message = format!("the value {} is no model id. {hint}", text.shown);
        return Err(Refusal::Mistake { path: text.path.clone(), message });
    }
    Ok(())
}

fn unknown(id: &str, text: &Text, catalog: &Catalog) -> Refusal {
    let mistake = |message: String| Refusal::Mistake { path: text.path.clone(), message };
    if id.starts_with("arn:") {
        return mistake(format!(
            "the ARN {} does not say which model is behind it. Write its id, such as \
             'base_model: amazon.nova-canvas-v1:0', under model_info",
            quote(id)
        ));
    }
    let base = without_profile(id);
    if let Some((_, instead)) = RETIRED.iter().find(|(beginning, _)| base.starts_with(beginning)) {
        let message = format!("{} has been retired; entry skipped. Write 'bedrock/{instead}'", quote(id));
        return Refusal::NotServed(message);
    }
    if !is_picture_model(id, catalog) {
        return Refusal::NotServed(format!(
            "{} paints nothing; Easel serves pictures, so it skips this entry",
            quote(id)
        ));
    }
    let ids: Vec<_> = catalog.models().filter(|model| !model.life.retired).map(|model| model.id.as_str()).collect();
    let nearest = closest(base, ids.iter().copied()).map_or("amazon.nova-canvas-v1:0", |(_, id)| id);
    mistake(format!("{} is no picture model of Bedrock. The nearest is 'bedrock/{nearest}'", quote(id)))
}

fn without_profile(id: &str) -> &str {
    PROFILES.iter().find_map(|p| id.strip_prefix(p)).unwrap_or(id)
}

/// Whether an id is meant to be a picture model of Bedrock, rightly spelt or not.
fn is_picture_model(id: &str, catalog: &Catalog) -> bool {
    let base = without_profile(id);
    let begins = ["stability.", "amazon.nova-canvas", "amazon.titan-image", "nova-canvas"];
    let near = || closest(base, catalog.models().map(|model| model.id.as_str())).is_some_and(|(d, _)| d <= 4);
    begins.iter().any(|beginning| base.starts_with(beginning)) || near()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Text {
        Text { path: "p".into(), value: value.into(), shown: quote(value) }
    }

    #[track_caller]
    fn check(model: &str, model_id: Option<&str>, base_model: Option<&str>, expect: &str) {
        let (model, model_id, base_model) = (text(model), model_id.map(text), base_model.map(text));
        let (model_id, base_model) = (model_id.as_ref(), base_model.as_ref());
        let named = Named { model: &model, model_id, base_model, is_bedrock: false };
        let shown = match target(&named, &Catalog::builtin()) {
            Ok(t) => format!("{} as {} in {}", t.model.id, t.model_id, t.region.as_deref().unwrap_or("?")),
            Err(Refusal::NotServed(message)) => format!("warning: {message}"),
            Err(Refusal::Mistake { message, .. }) => message,
        };
        assert_eq!(shown, expect);
    }

    const NOVA: &str = "amazon.nova-canvas-v1:0";
    const ARN: &str = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdef";

    #[test]
    fn strips_prefixes() {
        for model in ["bedrock/amazon.nova-canvas-v1:0", "bedrock/invoke/amazon.nova-canvas-v1:0", NOVA] {
            check(model, None, None, "amazon.nova-canvas-v1:0 as amazon.nova-canvas-v1:0 in ?");
        }
        check(
            "bedrock/eu-west-1/amazon.nova-canvas-v1:0",
            None,
            None,
            "amazon.nova-canvas-v1:0 as amazon.nova-canvas-v1:0 in eu-west-1",
        );
        check(
            "bedrock/converse/us.amazon.nova-canvas-v1:0",
            None,
            None,
            "amazon.nova-canvas-v1:0 as us.amazon.nova-canvas-v1:0 in ?",
        );
    }

    #[test]
    fn arns_need_a_model() {
        let expect = format!("amazon.nova-canvas-v1:0 as {ARN} in eu-west-1");
        check(&format!("bedrock/{NOVA}"), Some(ARN), None, &expect);
        check(&format!("bedrock/{ARN}"), None, Some(NOVA), &expect);
        check(&format!("bedrock/{ARN}"), None, Some("bedrock/amazon.nova-canvas-v1:0"), &expect);
        let arn = "arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0";
        check(arn, None, None, &format!("stability.sd3-5-large-v1:0 as {arn} in us-west-2"));
        check(
            &format!("bedrock/{ARN}"),
            None,
            None,
            "the ARN 'arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abcdef' does not say which \
             model is behind it. Write its id, such as 'base_model: amazon.nova-canvas-v1:0', under model_info",
        );
    }

    #[test]
    fn says_what_to_write_instead() {
        for (model, expect) in [
            (
                "bedrock/amazon.nova-canvas-v2:0",
                "'amazon.nova-canvas-v2:0' is no picture model of Bedrock. The nearest is 'bedrock/amazon.nova-canvas-v1:0'",
            ),
            ("bedrock/stability.sd3-large-v1:0", "stability.sd3-large-v1:0 as stability.sd3-large-v1:0 in ?"),
            (
                "openai/gpt-4o",
                "warning: 'openai/gpt-4o' is not on Bedrock; Easel serves pictures from there, so it skips this entry",
            ),
            (
                "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "warning: 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' paints nothing; Easel serves pictures, so it \
                 skips this entry",
            ),
            ("bedrock/*", "the wildcard 'bedrock/*' needs one '*' here and one in model_name"),
            (
                "bedrock/us.stability.stable-outpaint-v1:0",
                "stability.stable-outpaint-v1:0 as us.stability.stable-outpaint-v1:0 in ?",
            ),
            (
                "bedrock/us-east-2/stability.stable-outpaint-v1:0",
                "stability.stable-outpaint-v1:0 as us.stability.stable-outpaint-v1:0 in us-east-2",
            ),
        ] {
            check(model, None, None, expect);
        }
        for bad in ["bedrock/amazon.nova canvas", "bedrock/", "bedrock/../x", "bedrock/a//b", "bedrock/nova?x"] {
            let hint = "Ids hold letters, digits and '._:/-', such as 'bedrock/amazon.nova-canvas-v1:0'";
            check(bad, None, None, &format!("the value '{bad}' is no model id. {hint}"));
        }
    }
}
