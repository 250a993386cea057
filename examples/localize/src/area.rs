//! How much of the sky a multi-order map leaves.
//!
//! Its FITS table has a row for each pixel, big-endian, with UNIQ and the probability per
//! steradian at the beginning; what else is in a row is left alone.

use std::f64::consts::PI;

use gwasp_sdk::prelude::*;

/// FITS files are made of blocks of so many bytes (FITS standard 4.0, §3.1).
const BLOCK: usize = 2880;
const CARD: usize = 80;

/// The least area that holds `probability`, in square degrees.
pub(crate) fn of_probability(probability: f64, map: &[u8]) -> Result<f64> {
    let mut pixels = pixels(map).context("the map is no table of pixels")?;
    pixels.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let (mut area, mut held) = (0.0, 0.0);
    for (size, density) in pixels {
        if held >= probability {
            break;
        }
        area += size;
        held += size * density;
    }
    Ok(area * (180.0 / PI).powi(2))
}

/// Size in steradians and probability per steradian of each pixel.
fn pixels(map: &[u8]) -> Option<Vec<(f64, f64)>> {
    // The first unit has a header and nothing else.
    let (_, table) = header(map)?;
    let (cards, data) = header(table)?;
    let (width, rows) = (number(cards, b"NAXIS1")?, number(cards, b"NAXIS2")?);
    let data = data.get(..width.checked_mul(rows)?)?;
    match width {
        16.. => data.chunks_exact(width).map(pixel).collect(),
        _ => None,
    }
}

/// The cards of a unit's header, and what follows it.
fn header(unit: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = unit
        .chunks(CARD)
        .position(|card| card.starts_with(b"END     "))?;
    let len = ((end + 1) * CARD).next_multiple_of(BLOCK);
    Some((&unit[..end * CARD], unit.get(len..)?))
}

fn number(cards: &[u8], keyword: &[u8]) -> Option<usize> {
    let card = cards.chunks(CARD).find(|card| card.starts_with(keyword))?;
    let value = std::str::from_utf8(card.get(10..30)?).ok()?;
    value.trim().parse().ok()
}

fn pixel(row: &[u8]) -> Option<(f64, f64)> {
    let uniq = u64::from_be_bytes(row.get(..8)?.try_into().ok()?);
    let density = f64::from_be_bytes(row.get(8..16)?.try_into().ok()?);
    // UNIQ is 4 * 4^order + index.
    let order = uniq.checked_ilog2()?.checked_sub(2)? / 2;
    Some((4.0 * PI / (12.0 * 4_f64.powf(f64::from(order))), density))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::f64::consts::PI;

    use super::{BLOCK, of_probability};

    fn block(cards: &[&str]) -> Vec<u8> {
        let mut text: String = cards.iter().map(|card| format!("{card:<80}")).collect();
        text.push_str(&format!("{:<width$}", "END", width = BLOCK - text.len()));
        text.into_bytes()
    }

    /// A map of base pixels: the index of each, and its probability.
    pub(crate) fn map(pixels: &[(u64, f64)]) -> Vec<u8> {
        let rows = format!("NAXIS2  = {:>20}", pixels.len());
        let mut map = block(&["SIMPLE  =                    T"]);
        map.extend(block(&[
            "XTENSION= 'BINTABLE'",
            "NAXIS1  =                   24",
            &rows,
        ]));
        for (uniq, probability) in pixels {
            map.extend(uniq.to_be_bytes());
            map.extend((probability * 12.0 / (4.0 * PI)).to_be_bytes());
            map.extend([0; 8]);
        }
        map
    }

    #[test]
    fn the_likeliest_pixels_come_first() {
        let map = map(&[(4, 0.2), (5, 0.5), (6, 0.3)]);
        let sky = 4.0 * PI * (180.0 / PI).powi(2);
        let check = |probability, pixels: f64| {
            let area = of_probability(probability, &map).unwrap();
            assert!((area - sky * pixels / 12.0).abs() < 1e-6, "{area}");
        };
        check(0.4, 1.0);
        check(0.7, 2.0);
        check(0.95, 3.0);
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        for bytes in [
            &b""[..],
            b"SIMPLE",
            &map(&[(4, 1.0)])[..BLOCK + 100],
            &[0; 9_000],
        ] {
            assert!(of_probability(0.9, bytes).is_err());
        }
        assert!(of_probability(0.9, &map(&[(0, 1.0)])).is_err());
    }
}
