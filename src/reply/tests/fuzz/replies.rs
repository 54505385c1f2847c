//! Replies drawn from a seed: written in every way that JSON allows, then damaged. Must not keep to what Bedrock sends.

use fastrand::Rng;

use super::super::REPLIES;

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes at which something ends, begins or is refused.
const ODD: &[u8] = b"\0\x01\x09\x0a\x0c\x0d\x1f !\"/0:\\[]{},nu~\x7f\x80\xc3\xed\xff";

const NAMES: &[&str] = &[
    "images",
    "images",
    "images",
    "artifacts",
    "error",
    "error",
    "finish_reasons",
    "amazon-bedrock-guardrailAction",
    "seeds",
    "base64",
    "finishReason",
    "result",
    "maskImage",
    "image",
    "imagess",
    "",
];

const NAMES_OF_ARTIFACT: &[&str] = &["base64", "base64", "finishReason", "seed", "images", "error"];

const SCALARS: &[&str] = &[
    "null",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-1.5e+10",
    "1E-2",
    "0.25",
    "1e999",
    "123456789012345678901234567890",
];

const TEXTS: &[&str] = &[
    "INTERVENED",
    "GUARDRAIL_INTERVENED",
    "NONE",
    "SUCCESS",
    "CONTENT_FILTERED",
    "Filter reason: prompt",
    "images",
    "\\\"images\\\":[\\\"",
    "é",
    "😀",
    "\u{7f}",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\u00E9",
    "\\u0000",
    "\\b\\f\\n\\r\\t\\/\\\\\\\"",
    " ",
    "]}",
];

/// A reply: well-formed, damaged, or nothing like one.
pub(super) fn reply(rng: &mut Rng) -> Vec<u8> {
    let mut reply = match rng.u8(..16) {
        0 => (0..rng.usize(..60)).map(|_| one_of(rng, ODD)).collect(),
        1 | 2 => one_of(rng, REPLIES).as_bytes().to_vec(),
        kind => document(rng, kind == 3),
    };
    if rng.bool() {
        for _ in 0..rng.usize(1..4) {
            damage(rng, &mut reply);
        }
    }
    reply
}

fn one_of<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.usize(..list.len())]
}

fn document(rng: &mut Rng, long: bool) -> Vec<u8> {
    let spaced = if rng.bool() { 0 } else { rng.u8(1..4) };
    let escaped = if rng.bool() { 0 } else { rng.u8(1..4) };
    let mut writer = Writer { spaced, escaped, long: if long { 2 } else { 0 }, rng: rng.fork(), out: Vec::new() };
    writer.space();
    writer.object(NAMES, 0, Writer::member);
    writer.space();
    writer.out
}

/// Changes one place, or puts another reply's end behind this one's beginning.
fn damage(rng: &mut Rng, reply: &mut Vec<u8>) {
    let (at, byte) = (rng.usize(..=reply.len()), if rng.bool() { one_of(rng, ODD) } else { rng.u8(..) });
    let end = reply.len().min(at + if rng.bool() { rng.usize(..8) } else { rng.usize(..=reply.len()) });
    match rng.u8(..9) {
        0 | 1 if at < reply.len() => reply[at] = byte,
        2 if at < reply.len() => reply[at] ^= 1 << rng.u8(..8),
        3 => reply.insert(at, byte),
        4 if at < reply.len() => drop(reply.remove(at)),
        5 => drop(reply.drain(at..end)),
        6 => {
            let (copy, to) = (reply[at..end].to_vec(), rng.usize(..=reply.len()));
            drop(reply.splice(to..to, copy));
        }
        7 => {
            let other = if rng.bool() { document(rng, false) } else { one_of(rng, REPLIES).as_bytes().to_vec() };
            reply.truncate(at);
            reply.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        _ => reply.truncate(at),
    }
}

/// Writes one document in a manner of its own.
struct Writer {
    rng: Rng,
    out: Vec<u8>,
    /// How much white space stands between tokens; 0 for none.
    spaced: u8,
    /// How many of a string's characters are escapes; 0 for none.
    escaped: u8,
    /// How many strings may still be long.
    long: u8,
}

impl Writer {
    fn one_in(&mut self, many: u8) -> bool {
        self.rng.u8(..many) == 0
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn space(&mut self) {
        let mut most = usize::from(self.spaced);
        if self.long > 0 && self.one_in(32) {
            (self.long, most) = (self.long - 1, 70_000);
        }
        for _ in 0..self.rng.usize(..=most) {
            self.out.push(one_of(&mut self.rng, b" \t\r\n"));
        }
    }

    /// What stands between the brackets, with commas.
    fn list(&mut self, brackets: [&str; 2], most: usize, mut item: impl FnMut(&mut Self)) {
        self.put(brackets[0]);
        self.space();
        for number in 0..self.rng.usize(..=most) {
            if number > 0 {
                self.put(",");
                self.space();
            }
            item(self);
            self.space();
        }
        self.put(brackets[1]);
    }

    fn object(&mut self, names: &[&str], depth: usize, value: impl Fn(&mut Self, &str, usize)) {
        self.list(["{", "}"], 5, |writer| {
            let name = one_of(&mut writer.rng, names);
            writer.string(name);
            writer.space();
            writer.put(":");
            writer.space();
            value(writer, name, depth);
        });
    }

    /// What a member of the reply holds: mostly what belongs there.
    fn member(&mut self, name: &str, depth: usize) {
        match name {
            _ if self.one_in(8) => self.value(depth),
            "images" => self.list(["[", "]"], 3, |writer| match writer.rng.u8(..8) {
                0 => writer.put("null"),
                1 if writer.one_in(8) => writer.value(3),
                _ => writer.picture(),
            }),
            "artifacts" => self.list(["[", "]"], 3, |writer| match writer.rng.u8(..8) {
                0 => writer.put("null"),
                1 if writer.one_in(8) => writer.value(3),
                _ => writer.object(NAMES_OF_ARTIFACT, 2, Self::of_artifact),
            }),
            "finish_reasons" => self.list(["[", "]"], 3, |writer| writer.scalar()),
            "error" | "amazon-bedrock-guardrailAction" => self.scalar(),
            _ => self.value(depth),
        }
    }

    fn of_artifact(&mut self, name: &str, depth: usize) {
        match name {
            "base64" if !self.one_in(8) => self.picture(),
            "finishReason" if !self.one_in(8) => self.scalar(),
            _ => self.value(depth),
        }
    }

    fn value(&mut self, depth: usize) {
        match self.rng.u8(..8) {
            0 if depth < 4 => self.object(NAMES, depth + 1, |writer, _, depth| writer.value(depth)),
            1 if depth < 4 => self.list(["[", "]"], 3, |writer| writer.value(depth + 1)),
            2 => self.picture(),
            3 if self.one_in(8) => {
                let deep = self.rng.usize(120..132);
                self.put(&"[".repeat(deep));
                self.put(&"]".repeat(deep));
            }
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) {
        if self.rng.bool() {
            let scalar = one_of(&mut self.rng, SCALARS);
            return self.put(scalar);
        }
        self.put("\"");
        for _ in 0..self.rng.usize(..4) {
            let text = one_of(&mut self.rng, TEXTS);
            self.put(text);
        }
        self.long_text();
        self.put("\"");
    }

    fn picture(&mut self) {
        self.put("\"");
        for _ in 0..self.rng.usize(..12) {
            let byte = one_of(&mut self.rng, BASE64);
            self.character(byte);
        }
        self.long_text();
        if self.rng.bool() {
            self.put("=");
        }
        self.put("\"");
    }

    /// Now and then, as much text as a picture has, or about as much as a member may have; seldom with one bad byte.
    fn long_text(&mut self) {
        if self.long == 0 || !self.rng.bool() {
            if self.one_in(16) {
                let short = self.rng.usize(..300);
                (0..short).for_each(|at| self.out.push(BASE64[at % 64]));
            }
            return;
        }
        self.long -= 1;
        let length = if self.rng.bool() { self.rng.usize(65_525..65_540) } else { self.rng.usize(..80_000) };
        let begin = self.out.len();
        self.out.extend(BASE64.iter().cycle().skip(self.rng.usize(..64)).take(length));
        if length > 0 && self.rng.bool() {
            self.out[begin + self.rng.usize(..length)] = one_of(&mut self.rng, ODD);
        }
    }

    fn string(&mut self, text: &str) {
        self.put("\"");
        text.bytes().for_each(|byte| self.character(byte));
        self.put("\"");
    }

    /// One ASCII character, now and then as an escape.
    fn character(&mut self, byte: u8) {
        if self.rng.u8(..16) >= self.escaped {
            self.out.push(byte);
        } else if byte == b'/' && self.rng.bool() {
            self.put("\\/");
        } else if self.rng.bool() {
            self.put(&format!("\\u{byte:04x}"));
        } else {
            self.put(&format!("\\u{byte:04X}"));
        }
    }
}
