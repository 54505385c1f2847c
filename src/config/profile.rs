//! Which region each profile of AWS's config file prefers.
//!
//! Must not read the file, nor keep anything else of it: the rest is the AWS chain's to understand.

use std::collections::BTreeMap;

/// Profile and region, from the text of `~/.aws/config`.
pub(super) fn regions(text: &str) -> BTreeMap<String, String> {
    let mut regions = BTreeMap::new();
    let mut profile = None;
    for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(heading) = line.strip_prefix('[') {
            profile = heading.split_once(']').and_then(|(heading, _)| name(heading));
            continue;
        }
        // Indented lines belong to the setting above them, such as `s3 =`.
        let setting = line.split_once('=').filter(|(key, _)| *key.trim_end() == *"region");
        if let (Some(profile), Some((_, value))) = (&profile, setting) {
            let value = value.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
            regions.insert(String::clone(profile), value.to_owned());
        }
    }
    regions
}

/// The profile that a section is about: `default`, or what follows the word `profile`.
fn name(heading: &str) -> Option<String> {
    let heading = heading.trim();
    if heading == "default" {
        return Some(heading.to_owned());
    }
    let name = heading.strip_prefix("profile")?;
    let name = name.strip_prefix([' ', '\t'])?.trim().trim_matches(['"', '\'']);
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_has_its_own() {
        let text = "region = nowhere\n[default]\nregion=us-east-1\n# region = x\n\n[profile night] ; late\n\
            output = json\nregion =\teu-west-1 # Dublin\ns3 =\n  region = us-west-1\n[sso-session night]\n\
            region = us-east-2\n[profile 'two words']\nregion = ap-south-1\r\n[profilex]\nregion = x\n[broken\nregion = y\n";
        let found: Vec<_> = regions(text).into_iter().map(|(profile, region)| format!("{profile} {region}")).collect();
        assert_eq!(found, ["default us-east-1", "night eu-west-1", "two words ap-south-1"]);
        assert!(regions("").is_empty());
    }
}
