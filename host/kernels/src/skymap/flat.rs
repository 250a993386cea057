//! Flat maps: every pixel of one order, in nested or ring order.
//!
//! healpy and older programs read nothing else. A pixel that is split becomes equal parts; pixels
//! that are merged keep their probability and the mean and mean square of their distance
//! (Singer et al. 2016, Astrophys. J. Suppl. 226 10, §5.2).

use super::Row;
use crate::distance::{Ansatz, Moments};
use crate::fits::{Cards, Column, TableWriter, Value, padding};
use crate::healpix::Pixel;

/// How the pixels of a flat map are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Along the curve of the nested scheme.
    #[default]
    Nested,
    /// Along rings of declination.
    Ring,
}

/// A map cut to pixels of one order; the pixels are made when they are asked for.
#[derive(Clone, Debug)]
pub struct FlatMap {
    order: u8,
    scheme: Scheme,
    /// Sorted along the nested curve, none finer than `order`.
    rows: Vec<Row>,
    has_distance: bool,
}

/// One pixel of a flat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlatPixel {
    /// Probability of this pixel.
    pub probability: f64,
    /// Distance along this line of sight.
    pub distance: Ansatz,
}

/// Keywords that describe an event, not a layout, with their comments.
const KEPT: [(&str, &str); 16] = [
    ("OBJECT", "Unique identifier for this event"),
    ("REFERENC", "URL of this event"),
    ("INSTRUME", "Instruments that triggered this event"),
    ("DATE-OBS", "UTC date of the observation"),
    ("MJD-OBS", "modified Julian date of the observation"),
    ("DATE", "UTC date of file creation"),
    ("CREATOR", "Program that created this file"),
    ("ORIGIN", "Organization responsible for this FITS file"),
    ("RUNTIME", "Runtime in seconds of the CREATOR program"),
    ("DISTMEAN", "Posterior mean distance (Mpc)"),
    ("DISTSTD", "Posterior standard deviation of distance (Mpc)"),
    ("LOGBCI", "Log Bayes factor: coherent vs. incoherent"),
    ("LOGBSN", "Log Bayes factor: signal vs. noise"),
    ("VCSVERS", "Software version"),
    ("VCSREV", "Software revision (Git)"),
    ("DATE-BLD", "Software build date"),
];

impl FlatMap {
    /// Cuts `rows` to pixels of `order`. Rows may come in any order, but must not overlap; where
    /// they leave a gap the map is empty.
    pub fn new(rows: &[Row], has_distance: bool, order: u8, scheme: Scheme) -> Self {
        let mut sorted = rows.to_vec();
        sorted.sort_by_key(|row| row.pixel.range());
        let mut coarse: Vec<Row> = Vec::new();
        let mut rest = sorted.as_slice();
        while let Some(first) = rest.first() {
            let pixel = first.pixel.ancestor(order);
            let count = rest.partition_point(|row| row.pixel.range().0 < pixel.range().1);
            let (together, after) = rest.split_at(count.max(1));
            coarse.push(if let [row] = together {
                Row {
                    pixel,
                    density: row.density * (row.pixel.area() / pixel.area()),
                    ..*row
                }
            } else {
                merge(pixel, together)
            });
            rest = after;
        }
        Self {
            order,
            scheme,
            rows: coarse,
            has_distance,
        }
    }

    /// Number of pixels, `12·4^order`.
    pub fn n_pixels(&self) -> u64 {
        12 << (2 * self.order)
    }

    /// Pixel `number` of the map's own scheme, `0..n_pixels`.
    pub fn pixel(&self, number: u64) -> Option<FlatPixel> {
        let pixel = match self.scheme {
            Scheme::Nested => Pixel::new(self.order, number),
            Scheme::Ring => Pixel::from_ring(self.order, number),
        }?;
        let (start, _) = pixel.range();
        let after = self
            .rows
            .partition_point(|row| row.pixel.range().0 <= start);
        let row = after.checked_sub(1).and_then(|k| self.rows.get(k));
        let row = row.filter(|row| row.pixel.range().1 > start);
        Some(row.map_or(
            FlatPixel {
                probability: 0.0,
                distance: Ansatz::UNDEFINED,
            },
            |row| FlatPixel {
                probability: row.density * pixel.area(),
                distance: row.distance,
            },
        ))
    }

    /// The FITS file in pieces, in order: its headers, then rows of some hundred kilobytes, then
    /// padding. `cards` describe the event: those of the map that was read.
    pub fn to_fits<'a>(&'a self, cards: &Cards) -> impl Iterator<Item = Vec<u8>> + use<'a> {
        const STEP: u64 = 8_192;
        let head = self.head(cards);
        let row_bytes = if self.has_distance { 32 } else { 8 };
        let zeros = usize::try_from(padding(self.n_pixels() * row_bytes)).unwrap_or(0);
        let blocks = (0..self.n_pixels().div_ceil(STEP)).map(move |block| {
            let numbers = block * STEP..((block + 1) * STEP).min(self.n_pixels());
            let pixels = numbers.filter_map(|number| self.pixel(number));
            pixels.flat_map(|pixel| self.row(&pixel)).collect()
        });
        std::iter::once(head)
            .chain(blocks)
            .chain(std::iter::once(vec![0; zeros]))
    }

    fn row(&self, pixel: &FlatPixel) -> impl Iterator<Item = u8> + use<> {
        let Ansatz { mu, sigma, norm } = pixel.distance;
        let cells = if self.has_distance { 4 } else { 1 };
        let values = [pixel.probability, mu, sigma, norm];
        values.into_iter().take(cells).flat_map(f64::to_be_bytes)
    }

    fn head(&self, cards: &Cards) -> Vec<u8> {
        let column = |name, unit| Column {
            name,
            format: "D",
            unit: Some(unit),
        };
        let columns = [
            column("PROB", "pix-1"),
            column("DISTMU", "Mpc"),
            column("DISTSIGMA", "Mpc"),
            column("DISTNORM", "Mpc-2"),
        ];
        let (columns, bytes) = if self.has_distance {
            (&columns[..], 32)
        } else {
            (&columns[..1], 8)
        };
        let rows = usize::try_from(self.n_pixels()).unwrap_or(usize::MAX);
        let mut table = TableWriter::new(columns, rows, bytes);
        let header = table.header();
        header.logical("MOC", true, "");
        header.text("PIXTYPE", "HEALPIX", "HEALPIX pixelisation");
        let scheme = match self.scheme {
            Scheme::Nested => "NESTED",
            Scheme::Ring => "RING",
        };
        header.text(
            "ORDERING",
            scheme,
            "Pixel ordering scheme: RING, NESTED, or NUNIQ",
        );
        header.text(
            "COORDSYS",
            "C",
            "Ecliptic, Galactic or Celestial (equatorial)",
        );
        header.integer("NSIDE", 1 << self.order, "Resolution parameter of HEALPIX");
        header.text("INDXSCHM", "IMPLICIT", "Indexing: IMPLICIT or EXPLICIT");
        for (keyword, comment) in KEPT {
            match cards.get(keyword) {
                Some(Value::Text(text)) => header.text(keyword, text, comment),
                Some(Value::Integer(number)) => header.integer(keyword, *number, comment),
                Some(Value::Real(number)) => header.real(keyword, *number, comment),
                Some(Value::Logical(yes)) => header.logical(keyword, *yes, comment),
                None => {}
            }
        }
        for line in cards.history() {
            header.history(line);
        }
        table.finish_head()
    }
}

/// One pixel instead of those that it holds.
fn merge(pixel: Pixel, rows: &[Row]) -> Row {
    let (mut probability, mut mean, mut square) = (0.0, 0.0, 0.0);
    for row in rows {
        let part = row.density * row.pixel.area();
        probability += part;
        // Where nothing is, an undefined distance weighs nothing.
        if part > 0.0 {
            let moments = row.distance.moments();
            mean += part * moments.mean;
            square += part * (moments.std * moments.std + moments.mean * moments.mean);
        }
    }
    Row {
        pixel,
        density: probability / pixel.area(),
        distance: Moments::from_powers(mean / probability, square / probability).fit(),
    }
}

#[cfg(test)]
mod tests;
