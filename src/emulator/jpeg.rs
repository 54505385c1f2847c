//! Writes a picture as a baseline JPEG, without subsampling and with the standard's own example tables.
//! It must not grow options: one quality, one set of tables for all three components.
use super::paint::Painter;
use std::io;

/// Example table K.1 of the standard, in the order of the block's rows.
#[rustfmt::skip]
const QUANTA: [u16; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
#[rustfmt::skip]
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
const DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const DC_VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const AC_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
#[rustfmt::skip]
const AC_VALUES: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08,
    0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
    0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
/// How much each frequency comes out larger than it is from the fast transform below.
const SCALE: [f32; 8] = [1.0, 1.387_039_8, 1.306_563, 1.175_875_6, 1.0, 0.785_694_96, 0.541_196_1, 0.275_899_38];

/// A Huffman code: for each symbol its bits and how many they are.
type Code = [(u16, u32); 256];

fn code(counts: &[u8; 16], values: &[u8]) -> Code {
    let mut code = [(0, 0); 256];
    let (mut next, mut values) = (0_u16, values.iter());
    for (length, count) in (1_u32..).zip(counts) {
        for value in values.by_ref().take(usize::from(*count)) {
            code[usize::from(*value)] = (next, length);
            next += 1;
        }
        next <<= 1;
    }
    code
}

/// Bits, the highest first, with the zero that JPEG wants after each byte of ones.
struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, (value, bits): (u16, u32)) {
        self.held = self.held << bits | u32::from(value);
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.held >> self.count).to_le_bytes()[0];
            self.out.push(byte);
            if byte == 0xff {
                self.out.push(0);
            }
        }
    }

    /// A number in the fewest bits, one less for a negative one, after the code that tells how many.
    fn number(&mut self, value: i32, run: u8, code: &Code) {
        let size = i32::BITS - value.unsigned_abs().leading_zeros();
        let symbol = run << 4 | size.to_le_bytes()[0];
        self.put(code[usize::from(symbol)]);
        let low = (if value < 0 { value - 1 } else { value }) & ((1 << size) - 1);
        self.put((u16::try_from(low).unwrap_or(0), size));
    }
}

/// Paints and encodes eight rows at a time.
pub(super) fn encode(painter: &Painter) -> io::Result<Vec<u8>> {
    let mut bits = Bits { out: head(painter)?, held: 0, count: 0 };
    let (dc, ac) = (code(&DC_COUNTS, &DC_VALUES), code(&AC_COUNTS, &AC_VALUES));
    let mut divisors = [0.0; 64];
    for (i, divisor) in divisors.iter_mut().enumerate() {
        *divisor = 1.0 / (f32::from(quantum(i)) * SCALE[i / 8] * SCALE[i % 8] * 8.0);
    }
    let mut rows = vec![vec![0_u8; painter.width * 3]; 8];
    let mut last = [0; 3];
    for y in (0..painter.height).step_by(8) {
        for (line, row) in rows.iter_mut().enumerate() {
            painter.row((y + line).min(painter.height - 1), row);
        }
        for x in (0..painter.width).step_by(8) {
            for (component, mut block) in blocks(&rows, x, painter.width).into_iter().enumerate() {
                transform(&mut block);
                let mut numbers = [0; 64];
                for (i, number) in numbers.iter_mut().enumerate() {
                    *number = super::paint::fixed((block[ZIGZAG[i]] * divisors[ZIGZAG[i]]).round());
                }
                bits.number(numbers[0] - last[component], 0, &dc);
                last[component] = numbers[0];
                rest(&mut bits, &numbers, &ac);
            }
        }
    }
    bits.put((0x7f, 7));
    bits.out.extend([0xff, 0xd9]);
    Ok(bits.out)
}

/// Everything after a block's first number: runs of zeros, numbers, and the end.
fn rest(bits: &mut Bits, numbers: &[i32; 64], code: &Code) {
    let mut run = 0;
    let end = numbers.iter().rposition(|number| *number != 0).unwrap_or(0);
    for number in numbers.iter().take(end + 1).skip(1) {
        if *number == 0 {
            run += 1;
            continue;
        }
        while run > 15 {
            bits.put(code[0xf0]);
            run -= 16;
        }
        bits.number(*number, run, code);
        run = 0;
    }
    if end < 63 {
        bits.put(code[0]);
    }
}

/// One block of each component: brightness and two differences of colour.
fn blocks(rows: &[Vec<u8>], left: usize, width: usize) -> [[f32; 64]; 3] {
    let mut blocks = [[0.0; 64]; 3];
    for i in 0..64 {
        let x = (left + i % 8).min(width - 1) * 3;
        let row = &rows[i / 8];
        let (r, g, b) = (f32::from(row[x]), f32::from(row[x + 1]), f32::from(row[x + 2]));
        blocks[0][i] = 0.299 * r + 0.587 * g + 0.114 * b - 128.0;
        blocks[1][i] = -0.168_736 * r - 0.331_264 * g + 0.5 * b;
        blocks[2][i] = 0.5 * r - 0.418_688 * g - 0.081_312 * b;
    }
    blocks
}

/// The cosine transform of Arai, Agui and Nakajima, rows first, then columns.
fn transform(block: &mut [f32; 64]) {
    for row in 0..8 {
        line(block, row * 8, 1);
    }
    for column in 0..8 {
        line(block, column, 8);
    }
}

fn line(block: &mut [f32; 64], at: usize, step: usize) {
    let v = [0, 1, 2, 3, 4, 5, 6, 7].map(|i: usize| block[at + i * step]);
    let (sum, gap) =
        ([v[0] + v[7], v[1] + v[6], v[2] + v[5], v[3] + v[4]], [v[0] - v[7], v[1] - v[6], v[2] - v[5], v[3] - v[4]]);
    let (a, b, c, d) = (sum[0] + sum[3], sum[1] + sum[2], sum[1] - sum[2], sum[0] - sum[3]);
    let z = (c + d) * 0.707_106_77;
    block[at] = a + b;
    block[at + 4 * step] = a - b;
    block[at + 2 * step] = d + z;
    block[at + 6 * step] = d - z;
    let (a, b, c) = (gap[3] + gap[2], gap[2] + gap[1], gap[1] + gap[0]);
    let turn = (a - c) * 0.382_683_43;
    let (low, high, middle) = (0.541_196_1 * a + turn, 1.306_563 * c + turn, b * 0.707_106_77);
    let (up, down) = (gap[0] + middle, gap[0] - middle);
    block[at + 5 * step] = down + low;
    block[at + 3 * step] = down - low;
    block[at + step] = up + high;
    block[at + 7 * step] = up - high;
}

/// The example table at a quality of about 90.
fn quantum(index: usize) -> u16 {
    ((QUANTA[index] + 2) / 5).max(1)
}

fn head(painter: &Painter) -> io::Result<Vec<u8>> {
    let mut out = vec![0xff, 0xd8];
    segment(&mut out, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")?;
    segment(&mut out, 0xfe, b"Easel's emulator")?;
    let mut table = vec![0];
    table.extend(ZIGZAG.iter().map(|index| quantum(*index).to_le_bytes()[0]));
    segment(&mut out, 0xdb, &table)?;
    let mut frame = vec![8];
    for side in [painter.height, painter.width] {
        frame.extend(u16::try_from(side).map_err(io::Error::other)?.to_be_bytes());
    }
    frame.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    segment(&mut out, 0xc0, &frame)?;
    segment(&mut out, 0xc4, &[&[0x00], &DC_COUNTS[..], &DC_VALUES[..]].concat())?;
    segment(&mut out, 0xc4, &[&[0x10], &AC_COUNTS[..], &AC_VALUES[..]].concat())?;
    segment(&mut out, 0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 63, 0])?;
    Ok(out)
}

fn segment(out: &mut Vec<u8>, marker: u8, data: &[u8]) -> io::Result<()> {
    out.extend([0xff, marker]);
    out.extend(u16::try_from(data.len() + 2).map_err(io::Error::other)?.to_be_bytes());
    out.extend_from_slice(data);
    Ok(())
}
