//! The fields of a line, as tracing-subscriber writes them. It asks for a colour before and after each name and formats each
//! text as if it had to be escaped, which is a twelfth of what a small reply executes. Where there are no colours that can
//! be left out.
//!
//! Must not write anything otherwise than tracing-subscriber does: the test compares them.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};

/// See above.
#[derive(Debug)]
pub(super) struct Plain;

impl<'writer> FormatFields<'writer> for Plain {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        if writer.has_ansi_escapes() {
            return DefaultFields::new().format_fields(writer, fields);
        }
        let mut line = Line { writer, has_begun: false, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'a> {
    writer: Writer<'a>,
    has_begun: bool,
    /// Of the first that failed; nothing is written after it.
    result: fmt::Result,
}

impl Line<'_> {
    /// Writes `name=` and what is given, where both are as they are written.
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            let space = if self.has_begun { " " } else { "" };
            self.has_begun = true;
            let writer = &mut self.writer;
            let name = [space, field.name(), "="].into_iter().try_for_each(|text| writer.write_str(text));
            self.result = name.and_then(|()| value(writer));
        }
    }

    /// Has tracing-subscriber write it.
    fn leave(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut usual = DefaultVisitor::new(self.writer.by_ref(), !self.has_begun);
            record(&mut usual);
            self.result = usual.finish();
            self.has_begun = true;
        }
    }
}

/// Whether a field is written as `name=value`: the message is not, nor a name that is a word of Rust's.
fn is_usual(field: &Field) -> bool {
    let name = field.name();
    name != "message" && !name.starts_with("r#")
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        match is_usual(field) && value.bytes().all(is_plain) {
            true => self.put(field, |line| ["\"", value, "\""].into_iter().try_for_each(|text| line.write_str(text))),
            false => self.leave(|usual| usual.record_str(field, value)),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match is_usual(field) {
            true => self.put(field, |line| write!(line, "{value}")),
            false => self.leave(|usual| usual.record_u64(field, value)),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.leave(|usual| usual.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.leave(|usual| usual.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn say() {
        let span = tracing::info_span!("request", id = "a-1", trace_id = None::<&str>, r#type = "b");
        let _entered = span.enter();
        for text in ["plain", "", "two words", "a \"quote\"", r"back\slash", "é", "\x1b[31m", "line\nbreak", "\x7f"] {
            tracing::info!(first = text, number = 7_u64, none = None::<u64>, some = Some(text), "a message");
            tracing::warn!(detail = %text, debug = ?text, r#type = text, r#loop = 1_u64, "{text}");
            tracing::info!(signed = -7, cost = 0.04, on = true, wide = 7_u128, message = text);
        }
        let error: &(dyn std::error::Error + 'static) = &io::Error::other(fmt::Error);
        tracing::error!(error, after = "it");
        tracing::info!(message = 7_u64);
    }

    fn said<F>(fields: F, ansi: bool) -> String
    where
        F: for<'a> FormatFields<'a> + Send + Sync + 'static,
    {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(ansi).without_time();
        let subscriber = tracing_subscriber::registry().with(layer.fmt_fields(fields));
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_as_the_library_writes_them() {
        let usual = said(DefaultFields::new(), false);
        assert!(usual.contains(r#"first="plain" number=7 some="plain""#), "{usual}");
        assert_eq!(said(Plain, false), usual);
        assert_eq!(said(Plain, true), said(DefaultFields::new(), true));
    }
}
