//! The colours of a picture: chosen by chance in harmony, or the caller's own.
//! It must not know where anything stands in the picture.
use super::{
    paint::{Chance, Rgb, byte, fixed},
    scene::{Scene, Work},
};

/// The colours of one picture.
pub(super) struct Palette {
    zenith: Rgb,
    horizon: Rgb,
    /// From the farthest ridge to the nearest.
    ridges: Vec<Rgb>,
    water: Rgb,
    pub(super) sun: Rgb,
}

impl Palette {
    pub(super) fn new(scene: &Scene, depth: usize, chance: &mut Chance) -> Self {
        let mut palette =
            if scene.colors.is_empty() { Self::drawn(depth, chance) } else { Self::given(&scene.colors, depth) };
        if let Work::Follow(lean) = scene.work {
            palette.lean(lean.colour.map(i32::from));
        }
        palette
    }

    /// Goes most of the way to one colour.
    fn lean(&mut self, colour: Rgb) {
        let others = [&mut self.zenith, &mut self.horizon, &mut self.water, &mut self.sun];
        for shade in self.ridges.iter_mut().chain(others) {
            *shade = blend(*shade, colour, 192);
        }
    }

    fn drawn(depth: usize, chance: &mut Chance) -> Self {
        let hue = chance.between(0.0, 360.0);
        let turn = chance.between(25.0, 75.0) * if chance.bits() & 1 == 0 { 1.0 } else { -1.0 };
        let day = chance.between(0.0, 1.0);
        let horizon = hsl(hue + turn, 0.72, 0.66 + 0.14 * day);
        let ridges = (0..depth)
            .map(|layer| {
                let near = (layer + 1) as f32 / depth as f32;
                let hill = hsl(hue - turn * 0.3 * near, 0.30 + 0.18 * near, 0.48 - 0.34 * near);
                blend(horizon, hill, fixed(256.0 * (0.30 + 0.70 * near)))
            })
            .collect();
        Self {
            zenith: hsl(hue, 0.55, 0.26 + 0.24 * day),
            horizon,
            ridges,
            water: hsl(hue + turn * 0.2, 0.40, 0.24 + 0.12 * day),
            sun: hsl(hue + turn * 1.3, 0.95, 0.90),
        }
    }

    fn given(colors: &[[u8; 3]], depth: usize) -> Self {
        let color = |index: usize| colors[index % colors.len()].map(i32::from);
        let only = colors.len() == 1;
        let ridges = (0..depth)
            .map(|layer| {
                // A colour that comes again is darker, so that ridges stay apart.
                let round = (layer + 2) / colors.len();
                let dim = 256 - 28 * i32::try_from(round.min(6)).unwrap_or(6);
                blend([0, 0, 0], color(layer + 2), dim)
            })
            .collect();
        Self {
            zenith: color(0),
            horizon: if only { blend(color(0), [255; 3], 110) } else { color(1) },
            ridges,
            water: blend(color(0), color(1), 128).map(|channel| channel * 3 / 4),
            sun: blend(color(0), [255; 3], 200),
        }
    }

    /// The plain colour of every layer at one row: the sky, each ridge, the water.
    pub(super) fn shades(&self, y: usize, height: usize, shore: usize) -> Vec<Rgb> {
        let down = ratio(y, shore);
        let mut shades = vec![blend(self.zenith, self.horizon, (down * 3 / 2).min(256))];
        // Mist gathers at the foot of the ridges.
        let mist = (down - 128).max(0) / 3;
        shades.extend(self.ridges.iter().map(|ridge| blend(*ridge, self.horizon, mist)));
        let deep = ratio(y.saturating_sub(shore), height.saturating_sub(shore));
        shades.push(blend(blend(self.water, self.horizon, 120), self.water, deep));
        shades
    }
}

/// A strong colour drawn by chance.
pub(super) fn strong(chance: &mut Chance) -> [u8; 3] {
    hsl(chance.between(0.0, 360.0), 0.9, 0.55).map(byte)
}

/// `part` of `whole`, where 256 is all of it.
fn ratio(part: usize, whole: usize) -> i32 {
    i32::try_from(part * 256 / whole.max(1)).unwrap_or(256).min(256)
}

/// Goes from one colour to another; 256 is all the way.
fn blend(from: Rgb, to: Rgb, way: i32) -> Rgb {
    [0, 1, 2].map(|channel| from[channel] + (((to[channel] - from[channel]) * way) >> 8))
}

fn hsl(hue: f32, saturation: f32, lightness: f32) -> Rgb {
    let reach = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|offset: f32| {
        let k = (offset + hue / 30.0).rem_euclid(12.0);
        fixed(255.0 * (lightness - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)))
    })
}
