//! Which models the emulator stands in for, and how a path names them.
//! It must not know what a model wants in its body.
use super::problem::Problem;

/// A model that the emulator can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    NovaCanvas,
    StableImageCore,
    StableImageUltra,
    StableDiffusion35,
}

impl Model {
    pub(super) const ALL: [Self; 4] =
        [Self::NovaCanvas, Self::StableImageCore, Self::StableImageUltra, Self::StableDiffusion35];

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::NovaCanvas => "amazon.nova-canvas-v1:0",
            Self::StableImageCore => "stability.stable-image-core-v1:1",
            Self::StableImageUltra => "stability.stable-image-ultra-v1:1",
            Self::StableDiffusion35 => "stability.sd3-5-large-v1:0",
        }
    }

    /// Finds the model behind an id, a profile's id or an ARN that ends in one of them.
    pub(super) fn resolve(id: &str) -> Result<Self, Problem> {
        let name = if id.starts_with("arn:") { id.rsplit_once('/').map_or("", |(_, name)| name) } else { id };
        let name = name.strip_prefix("us.").unwrap_or(name);
        let unknown = || if ENDED.contains(&name) { Problem::end_of_life() } else { Problem::invalid_model() };
        Self::ALL.into_iter().find(|model| model.id() == name).ok_or_else(unknown)
    }
}

/// Picture models that Bedrock has withdrawn: it still knows their ids. Nova Canvas is one of them, but paints here.
const ENDED: [&str; 6] = [
    "amazon.titan-image-generator-v1",
    "amazon.titan-image-generator-v2:0",
    "stability.sd3-large-v1:0",
    "stability.stable-diffusion-xl-v1",
    "stability.stable-image-core-v1:0",
    "stability.stable-image-ultra-v1:0",
];

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

    #[test]
    fn ids_profiles_and_arns_find_their_model() {
        for (id, model) in [
            ("amazon.nova-canvas-v1:0", Model::NovaCanvas),
            ("us.stability.stable-image-core-v1:1", Model::StableImageCore),
            ("arn:aws:bedrock:us-west-2::foundation-model/stability.sd3-5-large-v1:0", Model::StableDiffusion35),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.stability.stable-image-ultra-v1:1",
                Model::StableImageUltra,
            ),
        ] {
            assert_eq!(Model::resolve(id), Ok(model));
        }
        for id in [
            "",
            "amazon.nova-canvas-v1",
            "x/amazon.nova-canvas-v1:0",
            "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc123",
        ] {
            assert_eq!(Model::resolve(id).unwrap_err().message, "The provided model identifier is invalid.");
        }
    }
}
