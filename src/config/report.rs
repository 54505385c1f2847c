//! Collects what is to be said about a config, and the wording that all its messages share.
//!
//! Must not know what any key means, nor let a secret into a message.

use super::Notice;

/// All mistakes and warnings of one reading.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) mistakes: Vec<Notice>,
    pub(super) warnings: Vec<Notice>,
}

impl Report {
    /// Something that keeps the config from being used.
    pub(super) fn mistake(&mut self, path: &str, message: impl Into<String>) {
        add(&mut self.mistakes, path, message.into());
    }

    /// Something that the operator should know but need not mend.
    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        add(&mut self.warnings, path, message.into());
    }
}

/// The same sentence about the same place is said once: a variable may be read for every deployment.
fn add(notices: &mut Vec<Notice>, path: &str, message: String) {
    let notice = Notice { path: path.to_owned(), message };
    if !notices.contains(&notice) {
        notices.push(notice);
    }
}

/// How keys of AWS, Bedrock and LiteLLM begin: such a text is never quoted, wherever it was put by mistake.
const SECRET_BEGINNINGS: [&str; 6] = ["ABSK", "bedrock-api-key-", "AKIA", "ASIA", "sk-", "aws_secret"];

/// A text in quotes, fit for a line of a terminal: at most 80 characters, without control characters.
pub(super) fn quote(text: &str) -> String {
    if SECRET_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        return "(a key, not shown)".into();
    }
    if text.contains("://") && text.contains('@') {
        return "(with a password, not shown)".into();
    }
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(80).map(clean).collect();
    if text.chars().nth(80).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

/// The path of a member; an unusual key is put in brackets. The top of an included file is `name.yaml: `.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-/".contains(c);
    match (path, key.chars().all(plain) && !key.is_empty()) {
        (top, true) if top.is_empty() || top.ends_with(": ") => format!("{top}{key}"),
        (_, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{}]", quote(key)),
    }
}

/// The candidate that was probably meant: at most a third of the word may differ.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, found) = closest(word, candidates)?;
    (distance <= word.chars().count().max(3) / 3).then_some(found)
}

/// The candidate with the fewest differing letters, and how many differ; case and `-` for `_` do not count.
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    candidates.into_iter().map(|candidate| (distance(&word, &plain(candidate)), candidate)).min_by_key(|(d, _)| *d)
}

/// Edits between the first 80 characters of both: letters put in, left out, replaced, or swapped with a neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(80).collect();
    let right: Vec<char> = right.chars().take(80).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(l != r);
            let swapped = match i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                true => rows[i - 1][j - 1] + 1,
                false => usize::MAX,
            };
            row.push(replaced.min(swapped).min(rows[i][j + 1] + 1).min(row[j] + 1));
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// `Did you mean 'x'?`, if something is near.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|found| format!(". Did you mean '{found}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (left, right, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 1)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn nearest_is_near_or_nothing() {
        let known = ["aws_region_name", "api_key", "num_retries"];
        assert_eq!(nearest("aws_regoin_name", known), Some("aws_region_name"));
        assert_eq!(nearest("num-retries", known), Some("num_retries"));
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn quotes_are_short_clean_and_hold_no_key() {
        assert_eq!(quote("a\u{1b}[2J\nb"), "'a\u{fffd}[2J\u{fffd}b'");
        assert_eq!(quote(&"x".repeat(99)).len(), 85);
        assert_eq!(quote("ABSKsomething"), "(a key, not shown)");
        assert_eq!(quote("https://me:word@example"), "(with a password, not shown)");
    }

    #[test]
    fn paths_show_unusual_keys_in_brackets() {
        assert_eq!(join("", "model_list"), "model_list");
        assert_eq!(join("a[0]", "b"), "a[0].b");
        assert_eq!(join("more.yaml: ", "b"), "more.yaml: b");
        assert_eq!(join("a", "b c.d"), "a['b c.d']");
    }
}
