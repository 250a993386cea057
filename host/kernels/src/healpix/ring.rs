//! The ring numbering of the HEALPix grid.
//!
//! Górski et al. 2005, Astrophys. J. 622, 759, §4 and §5.3: pixels are counted along rings of
//! constant declination from north to south, each ring towards rising right ascension.

use super::{MAX_ORDER, PHI_OF_FACE, Pixel, RING_OF_FACE, even_bits};

/// A ring: its number from the north pole, counted from 1, and a quarter of its pixels.
#[derive(Clone, Copy, Debug)]
struct Place {
    face: i64,
    ring: i64,
    quarter: i64,
    /// Place along the ring, counted from 1.
    along: i64,
    /// 1 where the first pixel of the ring begins half a pixel late, on the belt.
    shift: i64,
}

impl Pixel {
    /// The pixel of an order that has number `ring` in the ring scheme, `0..12·4^order`.
    pub fn from_ring(order: u8, ring: u64) -> Option<Self> {
        if order > MAX_ORDER || ring >= 12 << (2 * order) {
            return None;
        }
        let (nside, number) = (1_i64 << order, ring.cast_signed());
        let cap = 2 * nside * (nside - 1);
        let place = if number < cap {
            north(number)
        } else if number < 12 * nside * nside - cap {
            belt(number - cap, nside)
        } else {
            south(12 * nside * nside - number, nside)
        };
        let face = usize::try_from(place.face).ok().filter(|&face| face < 12)?;
        let down = place.ring - RING_OF_FACE[face] * nside + 1;
        let mut right = 2 * place.along - PHI_OF_FACE[face] * place.quarter - place.shift - 1;
        if right >= 2 * nside {
            right -= 8 * nside;
        }
        let (x, y) = ((right - down) >> 1, (-right - down) >> 1);
        let within = spread(x) | (spread(y) << 1);
        Self::new(order, (place.face.cast_unsigned() << (2 * order)) | within)
    }

    /// The pixel's number in the ring scheme.
    pub fn ring(self) -> u64 {
        let nside = 1_i64 << self.order;
        let face = usize::try_from(self.nest >> (2 * self.order)).unwrap_or(0) % 12;
        let within = self.nest & ((1 << (2 * self.order)) - 1);
        let (x, y) = (even_bits(within), even_bits(within >> 1));
        let ring = (RING_OF_FACE[face] << self.order) - x - y - 1;
        let cap = 2 * nside * (nside - 1);
        let (quarter, before, shift) = if ring < nside {
            (ring, 2 * ring * (ring - 1), 0)
        } else if ring > 3 * nside {
            let quarter = 4 * nside - ring;
            let before = 12 * nside * nside - 2 * quarter * (quarter + 1);
            (quarter, before, 0)
        } else {
            let belts = ring - nside;
            (nside, cap + 4 * nside * belts, belts & 1)
        };
        let along = (PHI_OF_FACE[face] * quarter + x - y + 1 + shift) / 2;
        let along = (along - 1).rem_euclid(4 * quarter);
        (before + along).cast_unsigned()
    }
}

fn north(number: i64) -> Place {
    let ring = (1 + (1 + 2 * number).isqrt()) >> 1;
    let along = number + 1 - 2 * ring * (ring - 1);
    let face = (along - 1) / ring;
    Place {
        face,
        ring,
        quarter: ring,
        along,
        shift: 0,
    }
}

/// `number` is counted from the first pixel of the belt.
fn belt(number: i64, nside: i64) -> Place {
    let rings = number / (4 * nside);
    let (ring, along) = (rings + nside, number % (4 * nside) + 1);
    let from_top = rings + 1;
    let from_bottom = 2 * nside + 1 - rings;
    let falling = (along - from_top / 2 + nside - 1) / nside;
    let rising = (along - from_bottom / 2 + nside - 1) / nside;
    let face = match rising.cmp(&falling) {
        std::cmp::Ordering::Equal => rising | 4,
        std::cmp::Ordering::Less => rising,
        std::cmp::Ordering::Greater => falling + 8,
    };
    Place {
        face,
        ring,
        quarter: nside,
        along,
        shift: rings & 1,
    }
}

/// `number` is counted from the south pole, from 1.
fn south(number: i64, nside: i64) -> Place {
    let quarter = (1 + (2 * number - 1).isqrt()) >> 1;
    let along = 4 * quarter + 1 - (number - 2 * quarter * (quarter - 1));
    Place {
        face: 8 + (along - 1) / quarter,
        ring: 4 * nside - quarter,
        quarter,
        along,
        shift: 0,
    }
}

/// Puts bits 0, 1, 2, … of a number of at most 29 bits at 0, 2, 4, ….
pub(super) const fn spread(number: i64) -> u64 {
    let mut v = number.cast_unsigned() & 0x1fff_ffff;
    v = (v | (v << 16)) & 0x0000_ffff_0000_ffff;
    v = (v | (v << 8)) & 0x00ff_00ff_00ff_00ff;
    v = (v | (v << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    v = (v | (v << 2)) & 0x3333_3333_3333_3333;
    (v | (v << 1)) & 0x5555_5555_5555_5555
}
