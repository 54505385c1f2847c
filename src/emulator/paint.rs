//! Paints a scene, row by row: sky, sun, clouds, ridges and water, all drawn from a hash of the scene.
//! It must not depend on anything but the scene: the same wish is always the same picture.
use super::{
    banner::Banner,
    palette::Palette,
    scene::{Scene, Work},
};
use image::RgbImage;
use sha2::{Digest, Sha256};
use std::f32::consts::TAU;

/// Red, green and blue, 0 to 255, with room to calculate.
pub(super) type Rgb = [i32; 3];

/// A picture about to be painted, from the top row to the bottom one.
struct Painter {
    height: usize,
    palette: Palette,
    /// For each column, the row where each ridge begins, from the farthest to the nearest.
    ridges: Vec<Vec<usize>>,
    /// The row where the water begins.
    shore: usize,
    halo: Blob,
    disc: Blob,
    clouds: Vec<Blob>,
    salt: u64,
    banner: Banner,
}

/// A soft spot: a Gaussian is the product of what a column and a row give to it, which makes it cheap.
struct Blob {
    columns: Vec<i32>,
    rows: Vec<i32>,
}

impl Blob {
    fn new((width, height): (usize, usize), centre: (f32, f32), spread: (f32, f32)) -> Self {
        let bell = |length: usize, centre: f32, spread: f32| {
            let at = |i: usize| fixed(256.0 * (-0.5 * ((i as f32 - centre) / spread).powi(2)).exp());
            (0..length).map(at).collect()
        };
        Self { columns: bell(width, centre.0, spread.0), rows: bell(height, centre.1, spread.1) }
    }
}

/// A small generator of chance that is the same on every machine.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (SplitMix64).
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() >> 40) as f32 / (1_u64 << 24) as f32)
    }
}

/// Paints a new picture, whatever work the scene asks for.
pub(super) fn paint(scene: &Scene) -> RgbImage {
    let (painter, mut picture) = (Painter::new(scene), RgbImage::new(scene.width, scene.height));
    for (y, row) in picture.chunks_exact_mut(scene.width as usize * 3).enumerate() {
        painter.row(y, row);
    }
    picture
}

impl Painter {
    fn new(scene: &Scene) -> Self {
        let (width, height) = (scene.width as usize, scene.height as usize);
        let salt = salt(scene);
        let mut chance = Chance::new(salt);
        let (w, h, unit) = (width as f32, height as f32, width.min(height) as f32);
        // A premium picture has more depth.
        let depth = if scene.premium { 6 } else { 4 };
        let palette = Palette::new(scene, depth, &mut chance);
        let shore = chance.between(0.80, 0.88) * h;
        let ridges = ridges(width, h, shore, depth, &mut chance);
        let sun = (chance.between(0.2, 0.8) * w, chance.between(0.30, 0.46) * h);
        let size = chance.between(0.035, 0.075) * unit;
        let clouds = (0..5)
            .map(|_| {
                let centre = (chance.between(0.0, 1.0) * w, chance.between(0.2, 0.5) * h);
                let spread = (chance.between(0.08, 0.25) * w, chance.between(0.008, 0.025) * h);
                Blob::new((width, height), centre, spread)
            })
            .collect();
        Self {
            height,
            palette,
            ridges,
            shore: whole(shore),
            halo: Blob::new((width, height), sun, (6.0 * size, 6.0 * size)),
            disc: Blob::new((width, height), sun, (size, size)),
            clouds,
            salt,
            banner: Banner::new(scene),
        }
    }

    /// Paints one row of 8-bit RGB.
    fn row(&self, y: usize, out: &mut [u8]) {
        let shades = self.palette.shades(y, self.height, self.shore);
        let water = shades.len() - 1;
        let mut noise = Chance::new(self.salt ^ (y as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let ripple = i32::from(noise.bits().to_le_bytes()[0]);
        let sun = self.palette.sun;
        for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
            let place = if y >= self.shore { water } else { self.place(x, y) };
            let light = if place == 0 {
                self.sky_light(x, y)
            } else if place == water {
                (self.halo.columns[x] * self.halo.columns[x] * ripple) >> 17
            } else {
                0
            };
            let shade = shades[place];
            let grain = noise.bits().to_le_bytes();
            // Three bits of grain in each channel give the file the weight of a photograph.
            pixel[0] = byte(shade[0] + (((sun[0] - shade[0]) * light) >> 8) + i32::from(grain[0] & 7));
            pixel[1] = byte(shade[1] + (((sun[1] - shade[1]) * light) >> 8) + i32::from(grain[1] & 7));
            pixel[2] = byte(shade[2] + (((sun[2] - shade[2]) * light) >> 8) + i32::from(grain[2] & 7));
        }
        self.banner.draw(y, out);
    }

    /// Which layer is seen: 0 is the sky, then the ridges from the farthest to the nearest.
    fn place(&self, x: usize, y: usize) -> usize {
        let tops = &self.ridges[x];
        let mut layer = tops.len();
        while layer > 0 && tops[layer - 1] > y {
            layer -= 1;
        }
        layer
    }

    fn sky_light(&self, x: usize, y: usize) -> i32 {
        let disc = (self.disc.columns[x] * self.disc.rows[y]) >> 8;
        // The edge of the disc is where its bell falls to a half; the slope there smooths it.
        let disc = ((disc - 120) * 14).clamp(0, 256);
        let mut light = (self.halo.columns[x] * self.halo.rows[y] * 5) >> 11;
        let mut index = 0;
        while index < self.clouds.len() {
            let cloud = &self.clouds[index];
            light += (cloud.columns[x] * cloud.rows[y] * 2) >> 10;
            index += 1;
        }
        light.min(208).max(disc)
    }
}

/// Ridges are sums of sine waves, lower and rougher the nearer they are. A nearer one hides what is behind it, so
/// each column's list is made to fall.
fn ridges(width: usize, height: f32, shore: f32, depth: usize, chance: &mut Chance) -> Vec<Vec<usize>> {
    let mut columns = vec![Vec::with_capacity(depth); width];
    for layer in 0..depth {
        let near = layer as f32 / depth as f32;
        let base = height * 0.48 + (shore - height * 0.48) * near + chance.between(-0.02, 0.02) * height;
        let swing = height * (0.10 - 0.045 * near);
        let waves: Vec<(f32, f32, f32)> = (0..5_u8)
            .map(|octave| {
                let octave = f32::from(octave);
                (chance.between(0.7, 1.4) * (octave * 0.9).exp2(), chance.between(0.0, TAU), 0.52_f32.powf(octave))
            })
            .collect();
        for (x, tops) in columns.iter_mut().enumerate() {
            let at = x as f32 / width as f32 * TAU;
            let sum: f32 = waves.iter().map(|(rate, phase, weight)| (at * rate + phase).sin() * weight).sum();
            tops.push(whole(base - swing * sum));
        }
    }
    for tops in &mut columns {
        for layer in (1..tops.len()).rev() {
            tops[layer - 1] = tops[layer - 1].min(tops[layer]);
        }
    }
    columns
}

pub(super) fn salt(scene: &Scene) -> u64 {
    let mut hash = Sha256::new();
    for text in [scene.model, &scene.prompt, &scene.mood] {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.update(scene.seed.to_le_bytes());
    hash.update(scene.colors.concat());
    if let Work::Follow(lean) = scene.work {
        hash.update(lean.sum.to_le_bytes());
    }
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[expect(clippy::cast_possible_truncation, reason = "colours and weights are far inside the range")]
pub(super) fn fixed(value: f32) -> i32 {
    value as i32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rows are non-negative after max")]
fn whole(value: f32) -> usize {
    value.max(0.0) as usize
}

#[expect(clippy::cast_sign_loss, reason = "clamped to a byte's range")]
pub(super) fn byte(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}
