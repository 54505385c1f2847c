//! Which models the emulator stands in for, and how a path names them.
//! It must not know what a model wants in its body.
use super::{
    problem::Problem,
    stability::services::{SERVICES, Service},
};

/// A model that the emulator can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    NovaCanvas,
    TitanV1,
    TitanV2,
    StableImageCore,
    StableImageUltra,
    StableDiffusion35,
    StableDiffusionXl,
    /// One of Stability's image services.
    Service(&'static Service),
}

/// What a model's replies look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Amazon,
    Stability,
    StableDiffusionXl,
}

const NAMED: [Model; 7] = [
    Model::NovaCanvas,
    Model::TitanV1,
    Model::TitanV2,
    Model::StableImageCore,
    Model::StableImageUltra,
    Model::StableDiffusion35,
    Model::StableDiffusionXl,
];

/// Models that a customer may have for himself, with the words that the names of such ARNs begin with.
const PROVISIONED: [(&str, Model); 4] = [
    ("novacanvas", Model::NovaCanvas),
    ("titanv1", Model::TitanV1),
    ("titanv2", Model::TitanV2),
    ("sdxl", Model::StableDiffusionXl),
];

/// Picture models that Bedrock has withdrawn: it still knows their ids. Nova Canvas is one of them, but paints here.
const ENDED: [&str; 6] = [
    "amazon.titan-image-generator-v1",
    "amazon.titan-image-generator-v2:0",
    "stability.sd3-large-v1:0",
    "stability.stable-diffusion-xl-v1",
    "stability.stable-image-core-v1:0",
    "stability.stable-image-ultra-v1:0",
];

impl Model {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        NAMED.into_iter().chain(SERVICES.iter().map(Self::Service))
    }

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::NovaCanvas => "amazon.nova-canvas-v1:0",
            Self::TitanV1 => "amazon.titan-image-generator-v1",
            Self::TitanV2 => "amazon.titan-image-generator-v2:0",
            Self::StableImageCore => "stability.stable-image-core-v1:1",
            Self::StableImageUltra => "stability.stable-image-ultra-v1:1",
            Self::StableDiffusion35 => "stability.sd3-5-large-v1:0",
            Self::StableDiffusionXl => "stability.stable-diffusion-xl-v1",
            Self::Service(service) => service.id,
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::NovaCanvas | Self::TitanV1 | Self::TitanV2 => Family::Amazon,
            Self::StableDiffusionXl => Family::StableDiffusionXl,
            Self::StableImageCore | Self::StableImageUltra | Self::StableDiffusion35 | Self::Service(_) => {
                Family::Stability
            }
        }
    }

    /// Finds the model behind an id, a profile's id or an ARN.
    pub(super) fn resolve(id: &str) -> Result<Self, Problem> {
        let Some(arn) = id.strip_prefix("arn:") else { return Self::public(id, id) };
        // The partition, the service, the region and the account come before the resource.
        let resource = arn.splitn(5, ':').nth(4).unwrap_or_default();
        let (kind, name) = resource.split_once('/').unwrap_or_default();
        let found = match kind {
            "foundation-model" | "inference-profile" => return Self::public(name, id),
            "custom-model" => Self::custom(name),
            "provisioned-model" | "application-inference-profile" => Self::private(name),
            _ => None,
        };
        found.ok_or_else(Problem::invalid_model)
    }

    /// A model that anyone may call, by its id with or without a geography. `asked` is what the caller wrote.
    fn public(name: &str, asked: &str) -> Result<Self, Problem> {
        let base = name.strip_prefix("us.").unwrap_or(name);
        if ENDED.contains(&base) {
            return Err(Problem::end_of_life());
        }
        let model = Self::all().find(|model| model.id() == base).ok_or_else(Problem::invalid_model)?;
        match model {
            Self::Service(_) if base == name => Err(Problem::needs_profile(asked)),
            _ => Ok(model),
        }
    }

    /// What a customer has for himself. On AWS its name tells nothing; here it is a model's id or begins with its word.
    fn private(name: &str) -> Option<Self> {
        let word = PROVISIONED.iter().find(|(word, _)| name.starts_with(word)).map(|row| row.1);
        word.or_else(|| Self::all().find(|model| model.id() == name.strip_prefix("us.").unwrap_or(name)))
    }

    /// `amazon.titan-image-generator-v2:0/abcdefghij12`: the model that was customised, then twelve letters or digits.
    fn custom(name: &str) -> Option<Self> {
        let (base, suffix) = name.split_once('/')?;
        let sound = suffix.len() == 12 && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        PROVISIONED.iter().map(|row| row.1).find(|model| sound && model.id() == base)
    }
}

/// The model id, still encoded, of `/model/{id}/invoke`. An id with a bare slash is another operation's path.
pub(super) fn in_path(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/model/")?.strip_suffix("/invoke")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_ids() {
        assert_eq!(in_path("/model/a%3A1/invoke"), Some("a%3A1"));
        assert_eq!(in_path("/model/a:1/invoke"), Some("a:1"));
        for other in ["/model/a/b/invoke", "/model//invoke", "/model/a/converse", "/model/invoke", "/v1/images", "/"] {
            assert_eq!(in_path(other), None, "{other}");
        }
    }

    fn arn(resource: &str) -> String {
        format!("arn:aws:bedrock:us-west-2:123456789012:{resource}")
    }

    #[test]
    fn ids_profiles_and_arns_find_their_model() {
        for (id, model) in [
            ("amazon.nova-canvas-v1:0", Model::NovaCanvas),
            ("us.stability.stable-image-core-v1:1", Model::StableImageCore),
            ("arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0", Model::StableDiffusion35),
            (&arn("inference-profile/us.stability.stable-image-ultra-v1:1"), Model::StableImageUltra),
            (&arn("custom-model/amazon.titan-image-generator-v1/abcdefghij12"), Model::TitanV1),
            (&arn("custom-model/amazon.titan-image-generator-v2:0/abcdefghij12"), Model::TitanV2),
            (&arn("custom-model/amazon.nova-canvas-v1:0/abcdefghij12"), Model::NovaCanvas),
            (&arn("provisioned-model/novacanvas12"), Model::NovaCanvas),
            (&arn("provisioned-model/titanv1abcde"), Model::TitanV1),
            (&arn("provisioned-model/titanv2abcde"), Model::TitanV2),
            (&arn("provisioned-model/sdxl12345678"), Model::StableDiffusionXl),
            (&arn("provisioned-model/amazon.titan-image-generator-v2:0"), Model::TitanV2),
            (&arn("application-inference-profile/titanv2abcde"), Model::TitanV2),
            (&arn("application-inference-profile/us.stability.sd3-5-large-v1:0"), Model::StableDiffusion35),
        ] {
            assert_eq!(Model::resolve(id), Ok(model), "{id}");
        }
        for id in ["us.stability.stable-outpaint-v1:0", &arn("inference-profile/us.stability.stable-outpaint-v1:0")] {
            assert_eq!(Model::resolve(id).unwrap().id(), "stability.stable-outpaint-v1:0");
        }
    }

    #[test]
    fn other_ids_are_invalid() {
        for id in [
            "",
            "amazon.nova-canvas-v1",
            "x/amazon.nova-canvas-v1:0",
            "eu.stability.stable-outpaint-v1:0",
            "arn:aws:bedrock",
            &arn("application-inference-profile/abc123"),
            &arn("custom-model/amazon.titan-image-generator-v2:0"),
            &arn("custom-model/amazon.titan-image-generator-v2:0/short"),
            &arn("custom-model/stability.sd3-5-large-v1:0/abcdefghij12"),
            &arn("provisioned-model/abcdefghij12"),
        ] {
            assert_eq!(Model::resolve(id).unwrap_err().message, "The provided model identifier is invalid.", "{id}");
        }
    }

    #[test]
    fn what_has_ended_answers_only_privately() {
        for id in ["amazon.titan-image-generator-v2:0", "us.stability.stable-diffusion-xl-v1"] {
            assert_eq!(Model::resolve(id).unwrap_err().status, 404, "{id}");
        }
    }

    #[test]
    fn services_need_a_profile() {
        for id in ["stability.stable-outpaint-v1:0", &arn("foundation-model/stability.stable-outpaint-v1:0")] {
            let expect = format!(
                "Invocation of model ID {id} with on-demand throughput isn't supported. Retry your request with the ID or ARN of an inference profile that contains this model."
            );
            assert_eq!(Model::resolve(id).unwrap_err().message, expect);
        }
    }
}
