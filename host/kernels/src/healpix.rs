//! Pixels of the HEALPix grid in the nested and the ring scheme, and their UNIQ numbers.
//!
//! Górski et al. 2005, Astrophys. J. 622, 759 (grid); Fernique et al. 2015, A&A 578, A114 (UNIQ).
//! The sphere is equatorial here: a pixel's longitude is a right ascension.

mod ring;

use crate::numeric::integer;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// The finest order that a UNIQ number can carry in 64 bits.
pub const MAX_ORDER: u8 = 29;

/// Rings, in units of `nside`, from the north pole to the lowest corner of each base pixel.
const RING_OF_FACE: [i64; 12] = [2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4];
/// Longitude of the centre of each base pixel, in units of π/4.
const PHI_OF_FACE: [i64; 12] = [1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7];

/// One pixel: `order` in `0..=29`, `nest` in `0..12·4^order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pixel {
    order: u8,
    nest: u64,
}

impl Pixel {
    /// The pixel, if it exists.
    pub const fn new(order: u8, nest: u64) -> Option<Self> {
        if order <= MAX_ORDER && nest < (12 << (2 * order)) {
            Some(Self { order, nest })
        } else {
            None
        }
    }

    /// The pixel of a UNIQ number `4^(order+1) + nest`.
    pub const fn from_uniq(uniq: u64) -> Option<Self> {
        let Some(log2) = uniq.checked_ilog2() else {
            return None;
        };
        if log2 < 2 || log2 / 2 > 30 {
            return None;
        }
        let [order, ..] = (log2 / 2 - 1).to_le_bytes();
        Self::new(order, uniq - (4 << (2 * order)))
    }

    /// The order of a grid of `nside`, which must be a power of two up to 2²⁹.
    pub const fn order_of_nside(nside: u64) -> Option<u8> {
        let [order, ..] = nside.trailing_zeros().to_le_bytes();
        if nside.is_power_of_two() && order <= MAX_ORDER {
            Some(order)
        } else {
            None
        }
    }

    /// The pixels of the finest order that it holds: `nest << 2(29 - order)` and the one behind.
    pub(crate) const fn range(self) -> (u64, u64) {
        let shift = 2 * (MAX_ORDER - self.order);
        (self.nest << shift, (self.nest + 1) << shift)
    }

    /// The pixel of a coarser or equal order that holds this one; itself for a finer order.
    #[must_use]
    pub const fn ancestor(self, order: u8) -> Self {
        if order >= self.order {
            return self;
        }
        let nest = self.nest >> (2 * (self.order - order));
        Self { order, nest }
    }

    /// All `12·4^order` pixels of an order, in nested order.
    pub fn all(order: u8) -> impl Iterator<Item = Self> {
        let order = order.min(MAX_ORDER);
        (0..12_u64 << (2 * order)).map(move |nest| Self { order, nest })
    }

    /// The order; the grid has `nside = 2^order`.
    pub const fn order(self) -> u8 {
        self.order
    }

    /// The nested index.
    pub const fn nest(self) -> u64 {
        self.nest
    }

    /// The UNIQ number `4^(order+1) + nest`.
    pub const fn uniq(self) -> u64 {
        (4 << (2 * self.order)) + self.nest
    }

    /// Solid angle in steradians: `π/3 · 4^-order`.
    pub fn area(self) -> f64 {
        PI / 3.0 * 0.25_f64.powi(i32::from(self.order))
    }

    /// The four pixels of the next order that fill this one; `None` at the finest order.
    pub const fn children(self) -> Option<[Self; 4]> {
        if self.order == MAX_ORDER {
            return None;
        }
        let (order, nest) = (self.order + 1, 4 * self.nest);
        Some([
            Self { order, nest },
            Self {
                order,
                nest: nest + 1,
            },
            Self {
                order,
                nest: nest + 2,
            },
            Self {
                order,
                nest: nest + 3,
            },
        ])
    }

    /// The pixel of `order` (the finest, if it is larger) that holds a direction: `ra` any finite
    /// angle, `dec` in `[-π/2, π/2]`, radians.
    pub fn containing(order: u8, ra: f64, dec: f64) -> Self {
        let order = order.min(MAX_ORDER);
        let nside = 1_i64 << order;
        let scale = nside as f64;
        let z = dec.sin();
        // Longitude in quarter turns, [0, 4).
        let turn = (ra / FRAC_PI_2).rem_euclid(4.0);
        let clamped = |x: f64| integer(x.floor()).clamp(0, nside - 1);
        let (face, x, y) = if z.abs() <= 2.0 / 3.0 {
            let (a, b) = (scale * (0.5 + turn), scale * 0.75 * z);
            let (falling, rising) = (integer((a - b).floor()), integer((a + b).floor()));
            let (p, m) = (falling >> order, rising >> order);
            let face = match p.cmp(&m) {
                std::cmp::Ordering::Equal => (p & 3) | 4,
                std::cmp::Ordering::Less => p & 3,
                std::cmp::Ordering::Greater => (m & 3) + 8,
            };
            let (x, y) = (rising & (nside - 1), nside - 1 - (falling & (nside - 1)));
            (face, x, y)
        } else {
            let quarter = integer(turn).clamp(0, 3);
            let within = turn - quarter as f64;
            // √(3 (1 - |z|)), without the cancellation near a pole.
            let from_pole = scale * 6_f64.sqrt() * (0.5 * (FRAC_PI_2 - dec.abs())).sin();
            let (a, b) = (
                clamped(within * from_pole),
                clamped((1.0 - within) * from_pole),
            );
            if z > 0.0 {
                (quarter, nside - 1 - b, nside - 1 - a)
            } else {
                (quarter + 8, a, b)
            }
        };
        let nest = (face.cast_unsigned() << (2 * order)) | ring::spread(x) | (ring::spread(y) << 1);
        Self { order, nest }
    }

    /// Centre as right ascension in `[0, 2π)` and declination in `[-π/2, π/2]`, radians.
    pub fn center(self) -> (f64, f64) {
        let nside = 1_i64 << self.order;
        let face = usize::try_from(self.nest >> (2 * self.order)).unwrap_or(0) % 12;
        let within = self.nest & ((1 << (2 * self.order)) - 1);
        let (x, y) = (even_bits(within), even_bits(within >> 1));
        let ring = (RING_OF_FACE[face] << self.order) - x - y - 1;
        // Rings shrink towards both poles; `quarter` is a quarter of the ring's pixel count.
        let (quarter, from_pole) = if ring < nside {
            (ring, Some(1.0))
        } else if ring > 3 * nside {
            (4 * nside - ring, Some(-1.0))
        } else {
            (nside, None)
        };
        let dec = match from_pole {
            Some(hemisphere) => {
                let ratio = quarter as f64 / nside as f64;
                let below_pole = ratio * ratio / 3.0;
                let cos_dec = (below_pole * (2.0 - below_pole)).sqrt();
                (hemisphere * (1.0 - below_pole)).atan2(cos_dec)
            }
            None => ((2 * nside - ring) as f64 * 2.0 / (3.0 * nside as f64)).asin(),
        };
        let along = (PHI_OF_FACE[face] * quarter + x - y).rem_euclid(8 * quarter);
        (FRAC_PI_4 * along as f64 / quarter as f64, dec)
    }
}

/// Gathers bits 0, 2, 4, … of `bits` into a number of at most 29 bits.
const fn even_bits(bits: u64) -> i64 {
    let mut v = bits & 0x5555_5555_5555_5555;
    v = (v | (v >> 1)) & 0x3333_3333_3333_3333;
    v = (v | (v >> 2)) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | (v >> 4)) & 0x00ff_00ff_00ff_00ff;
    v = (v | (v >> 8)) & 0x0000_ffff_0000_ffff;
    v = (v | (v >> 16)) & 0x0000_0000_ffff_ffff;
    v.cast_signed()
}

#[cfg(test)]
mod tests;
