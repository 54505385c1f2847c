//! A JSON lexer that is fed in pieces: it holds the grammar, not the values.
//!
//! No I/O and no allocation but a stack of one bit a level. Must not know what the members mean.

use fearless_simd::{Level, Simd, dispatch};

/// Deepest nesting that is read, as in serde_json.
const MAX_DEPTH: usize = 127;

/// Why the bytes are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A byte that cannot stand there.
    #[error("an unexpected byte at offset {0}")]
    Byte(u64),
    /// Nested too deeply.
    #[error("nested too deeply")]
    Depth,
    /// The document ends in the middle.
    #[error("the reply ends in the middle, after {0} bytes")]
    Truncated(u64),
    /// JSON, but not of the shape that is read here.
    #[error("{0}")]
    Shape(&'static str),
}

/// What a stretch of input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    OpenObject,
    OpenArray,
    CloseObject,
    CloseArray,
    /// The opening quote; `key` where it names a member.
    OpenString {
        key: bool,
    },
    /// Bytes of a string, verbatim.
    Text,
    /// One character of a string that was written as an escape. Halves of a surrogate pair come as U+FFFD each.
    Escaped(char),
    CloseString,
    /// A byte of a number, `true`, `false` or `null`.
    Scalar,
    /// A comma or a colon.
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrClose,
    Text { key: bool },
    Escape { key: bool },
    Hex { key: bool, left: u8, code: u16 },
    Literal(&'static [u8]),
    Number(Number),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// The place in the grammar.
#[derive(Clone, Debug)]
pub(crate) struct Lexer {
    state: State,
    /// Whether each open level is an object.
    objects: Vec<bool>,
    offset: u64,
}

impl Lexer {
    pub(crate) fn new() -> Self {
        Self { state: State::Value, objects: Vec::new(), offset: 0 }
    }

    /// Open objects and arrays.
    pub(crate) fn depth(&self) -> usize {
        self.objects.len()
    }

    /// Whether the document is complete.
    pub(crate) fn done(&self) -> bool {
        self.state == State::Done
    }

    /// The error for input that ends here, if it may not.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.done() { Ok(()) } else { Err(Malformed::Truncated(self.offset)) }
    }

    /// The next token of `input` and how many bytes lie up to its end; `None` when all of it is spent.
    /// White space before a token belongs to it. With `base64` text holds nothing before `#` and nothing beyond
    /// ASCII, as all characters of base64 do; the rest is refused.
    pub(crate) fn next(&mut self, input: &[u8], base64: bool) -> Result<Option<(Token, usize)>, Malformed> {
        if let State::Text { key } = self.state {
            return self.text(input, key, base64);
        }
        for (at, &byte) in input.iter().enumerate() {
            self.offset += 1;
            if byte.is_ascii_whitespace() && byte != b'\x0c' && !self.inside_token() {
                continue;
            }
            if let Some(token) = self.step(byte)? {
                return Ok(Some((token, at + 1)));
            }
        }
        Ok(None)
    }

    /// Numbers, words and escapes take no white space.
    fn inside_token(&mut self) -> bool {
        if let State::Number(Number::Zero | Number::Whole | Number::Fraction | Number::Exponent) = self.state {
            // White space ends the number.
            self.state = self.after_value();
            return false;
        }
        matches!(self.state, State::Escape { .. } | State::Hex { .. } | State::Literal(_) | State::Number(_))
    }

    fn text(&mut self, input: &[u8], key: bool, base64: bool) -> Result<Option<(Token, usize)>, Malformed> {
        // What may not stand in a string ends a stretch as well: it is looked through once.
        let run = match base64 {
            // As a signed number ASCII is what is not negative, so that one comparison does.
            true => stretch(input, |b| (b.cast_signed() > b'"'.cast_signed()) & (b != b'\\')),
            false => stretch(input, |b| (b >= b' ') & (b != b'"') & (b != b'\\')),
        };
        let next = input.get(run).copied();
        if next.is_some_and(|byte| byte != b'"' && byte != b'\\') {
            return Err(Malformed::Byte(self.offset + run as u64));
        }
        if run > 0 {
            self.offset += run as u64;
            return Ok(Some((Token::Text, run)));
        }
        let Some(byte) = next else { return Ok(None) };
        self.offset += 1;
        if byte == b'"' {
            self.state = if key { State::Colon } else { self.after_value() };
            return Ok(Some((Token::CloseString, 1)));
        }
        self.state = State::Escape { key };
        let rest = self.next(&input[1..], base64)?;
        Ok(rest.map(|(token, length)| (token, length + 1)))
    }

    fn after_value(&self) -> State {
        if self.objects.is_empty() { State::Done } else { State::CommaOrClose }
    }

    fn step(&mut self, byte: u8) -> Result<Option<Token>, Malformed> {
        match (self.state, byte) {
            (State::Value | State::ValueOrClose, b'{') => self.open(true, State::KeyOrClose).map(Some),
            (State::Value | State::ValueOrClose, b'[') => self.open(false, State::ValueOrClose).map(Some),
            (State::ValueOrClose, b']') => self.close(false),
            (State::KeyOrClose, b'}') => self.close(true),
            (State::Value | State::ValueOrClose, b'"') => {
                self.go(State::Text { key: false }, Token::OpenString { key: false })
            }
            (State::Key | State::KeyOrClose, b'"') => {
                self.go(State::Text { key: true }, Token::OpenString { key: true })
            }
            (State::Value | State::ValueOrClose, _) => self.scalar(byte),
            (State::Colon, b':') => self.go(State::Value, Token::Mark),
            (State::CommaOrClose, b',') => {
                let next = if self.objects.last() == Some(&true) { State::Key } else { State::Value };
                self.go(next, Token::Mark)
            }
            (State::CommaOrClose, b'}') => self.close(true),
            (State::CommaOrClose, b']') => self.close(false),
            (State::Escape { key }, _) => self.escape(byte, key),
            (State::Hex { key, left, code }, _) => self.hex(byte, key, left, code),
            (State::Literal(rest), _) => self.literal(byte, rest),
            (State::Number(number), _) => self.number(byte, number),
            _ => Err(Malformed::Byte(self.offset - 1)),
        }
    }

    fn go(&mut self, state: State, token: Token) -> Result<Option<Token>, Malformed> {
        self.state = state;
        Ok(Some(token))
    }

    fn open(&mut self, object: bool, state: State) -> Result<Token, Malformed> {
        if self.objects.len() == MAX_DEPTH {
            return Err(Malformed::Depth);
        }
        self.objects.push(object);
        self.state = state;
        Ok(if object { Token::OpenObject } else { Token::OpenArray })
    }

    fn close(&mut self, object: bool) -> Result<Option<Token>, Malformed> {
        if self.objects.pop() != Some(object) {
            return Err(Malformed::Byte(self.offset - 1));
        }
        self.go(self.after_value(), if object { Token::CloseObject } else { Token::CloseArray })
    }

    fn scalar(&mut self, byte: u8) -> Result<Option<Token>, Malformed> {
        self.state = match byte {
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Whole),
            _ => return Err(Malformed::Byte(self.offset - 1)),
        };
        Ok(Some(Token::Scalar))
    }

    fn literal(&mut self, byte: u8, rest: &'static [u8]) -> Result<Option<Token>, Malformed> {
        match rest {
            [last] if *last == byte => self.go(self.after_value(), Token::Scalar),
            [first, rest @ ..] if *first == byte => self.go(State::Literal(rest), Token::Scalar),
            _ => Err(Malformed::Byte(self.offset - 1)),
        }
    }

    fn number(&mut self, byte: u8, number: Number) -> Result<Option<Token>, Malformed> {
        use Number::{E, Exponent, Fraction, Minus, Point, Sign, Whole, Zero};
        let next = match (number, byte) {
            (Minus, b'0') => Zero,
            (Minus | Whole, b'0'..=b'9') => Whole,
            (Zero | Whole, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Whole | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            (Zero | Whole | Fraction | Exponent, _) => {
                // The byte belongs to what follows the number.
                self.state = self.after_value();
                return self.step(byte);
            }
            _ => return Err(Malformed::Byte(self.offset - 1)),
        };
        self.go(State::Number(next), Token::Scalar)
    }

    fn escape(&mut self, byte: u8, key: bool) -> Result<Option<Token>, Malformed> {
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.state = State::Hex { key, left: 4, code: 0 };
                return Ok(None);
            }
            _ => return Err(Malformed::Byte(self.offset - 1)),
        };
        self.go(State::Text { key }, Token::Escaped(character))
    }

    fn hex(&mut self, byte: u8, key: bool, left: u8, code: u16) -> Result<Option<Token>, Malformed> {
        let digit = char::from(byte).to_digit(16).and_then(|d| u16::try_from(d).ok());
        let code = code << 4 | digit.ok_or(Malformed::Byte(self.offset - 1))?;
        if left > 1 {
            self.state = State::Hex { key, left: left - 1, code };
            return Ok(None);
        }
        let character = char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.go(State::Text { key }, Token::Escaped(character))
    }
}

/// How many bytes at the beginning are all `plain`: in blocks, long and short ones, with the widest vectors that the
/// processor has, and the rest one by one.
fn stretch(input: &[u8], plain: impl Fn(u8) -> bool) -> usize {
    let level = Level::new();
    let whole = dispatch!(level, simd => simd.vectorize(#[inline(always)] || {
        let long = blocks::<1024>(input, &plain);
        long + blocks::<64>(&input[long..], &plain)
    }));
    whole + input[whole..].iter().take_while(|byte| plain(**byte)).count()
}

/// The same in whole blocks, which are judged without a branch: the compiler makes vector instructions of it, of the kind
/// that its caller may use, in whom it has to be for that.
#[inline(always)]
fn blocks<const LENGTH: usize>(input: &[u8], plain: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = input.as_chunks::<LENGTH>();
    blocks.iter().take_while(|block| block.iter().fold(true, |all, byte| all & plain(*byte))).count() * LENGTH
}
