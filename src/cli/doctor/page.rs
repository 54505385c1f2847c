//! The report on paper: for 80 columns, or as JSON.
//!
//! Must not judge: what a check came to is its own.

use std::io::{Result, Write};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Check, Section, State, count};
use crate::clock::Clock;

const COLUMNS: usize = 80;

/// Where what a check says begins.
const INDENT: usize = 21;

pub(super) fn print(file: &str, sections: &[Section], colour: bool, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{file}\n")?;
    for Section { name, path, model, region, checks } in sections {
        writeln!(out, "{}", paint(name, "1", colour))?;
        writeln!(out, "  {model} in {region} ({path})")?;
        for check in checks {
            row(check, colour, out)?;
        }
        writeln!(out)?;
    }
    let [failures, warnings] = [State::Failure, State::Warning].map(|state| count(sections, state));
    match (failures, warnings) {
        (0, 0) => writeln!(out, "All is well."),
        (0, warnings) => writeln!(out, "Nothing failed. {}.", counted(warnings, "warning")),
        (failures, 0) => writeln!(out, "{}.", counted(failures, "failure")),
        (failures, warnings) => {
            writeln!(out, "{}, {}.", counted(failures, "failure"), counted(warnings, "warning"))
        }
    }
}

fn row(check: &Check, colour: bool, out: &mut dyn Write) -> Result<()> {
    let (word, code) = match check.state {
        State::Well => ("ok", "32"),
        State::Note => ("note", "36"),
        State::Warning => ("warn", "33"),
        State::Failure => ("FAIL", "31"),
    };
    let took = check.took.map(|took| format!(", {} ms", took.as_millis())).unwrap_or_default();
    let says = format!("{}{took}", check.says);
    let mut lines = wrapped(&says, "");
    if let Some(remedy) = &check.remedy {
        lines.extend(wrapped(remedy, "-> "));
    }
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    writeln!(out, "  {}  {:11}  {first}", paint(&format!("{word:4}"), code, colour), check.what)?;
    for line in lines {
        writeln!(out, "{:INDENT$}{line}", "")?;
    }
    Ok(())
}

/// Lines of words; a word that is longer than a line stays whole, to be copied.
fn wrapped(text: &str, mark: &str) -> Vec<String> {
    let mut lines = vec![mark.to_owned()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        let (length, bare) = (line.chars().count(), line.chars().count() == mark.len());
        if !bare && length + 1 + word.chars().count() > COLUMNS - INDENT {
            lines.push(format!("{:width$}{word}", "", width = mark.len()));
        } else {
            line.push_str(if bare { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

pub(super) fn json(file: &str, sections: &[Section], clock: Clock) -> Value {
    let check = |check: &Check| {
        let state = match check.state {
            State::Well => "ok",
            State::Note => "note",
            State::Warning => "warning",
            State::Failure => "failure",
        };
        json!({
            "check": check.what,
            "state": state,
            "message": check.says,
            "remedy": check.remedy,
            "duration_ms": check.took.map(|took| took.as_secs_f64() * 1000.0),
        })
    };
    let section = |section: &Section| {
        json!({
            "name": section.name,
            "path": section.path,
            "model": section.model,
            "region": section.region,
            "checks": section.checks.iter().map(check).collect::<Vec<_>>(),
        })
    };
    json!({
        "file": file,
        "time": OffsetDateTime::from(clock.now()).format(&Rfc3339).unwrap_or_default(),
        "deployments": sections.iter().map(section).collect::<Vec<_>>(),
        "failures": count(sections, State::Failure),
        "warnings": count(sections, State::Warning),
    })
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_short_and_long_words_whole() {
        let arn = "x".repeat(70);
        let lines = wrapped(&format!("{} {arn} end", "word ".repeat(20)), "-> ");
        assert!(lines[0].starts_with("-> word") && lines[1].starts_with("   word"));
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS - INDENT || line.trim() == arn), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains(&arn)).count(), 1);
    }
}
