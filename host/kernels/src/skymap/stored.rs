//! Sky maps as they lie in files: multi-order or flat, with or without distances.
//!
//! Read are binary tables with UNIQ numbers and densities (`ORDERING = NUNIQ`), and flat tables
//! of probabilities (`NESTED`, `RING`) that cover the sphere. What a keyword means is up to the
//! caller, except for the few that say where pixels are.

use super::Row;
use crate::distance::Ansatz;
use crate::fits::{Cards, ColumnReader, FitsError, TableReader};
use crate::healpix::Pixel;

/// A sky map that was read.
#[derive(Clone, Debug)]
pub struct StoredMap {
    /// The pixels, sorted along the nested curve; none covers another.
    pub rows: Vec<Row>,
    /// Whether the file has distances; without them every row's are the undefined ones.
    pub has_distance: bool,
    /// The table's header.
    pub cards: Cards,
}

/// Why a file is not a sky map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredMapError {
    /// The file cannot be read.
    #[error(transparent)]
    Fits(#[from] FitsError),
    /// More pixels than are read.
    #[error("{0} pixels are more than this program reads: degrade the map first")]
    TooLarge(usize),
    /// Another order of pixels.
    #[error("ORDERING {0:?} is neither NUNIQ, NESTED nor RING")]
    Ordering(String),
    /// Pixels listed one by one in a flat file.
    #[error("INDXSCHM EXPLICIT is read in multi-order maps only")]
    Explicit,
    /// Not equatorial.
    #[error("COORDSYS {0:?} is not C: rotate the map to equatorial coordinates first")]
    Coordinates(String),
    /// `NSIDE` is no power of two, or does not fit the table.
    #[error("the table has {rows} pixels, which is no map of NSIDE {nside}")]
    Nside {
        /// NSIDE.
        nside: i64,
        /// Numbers in the column.
        rows: usize,
    },
    /// A UNIQ number that is none.
    #[error("row {row}: {uniq} is not a UNIQ number")]
    Uniq {
        /// Row, counted from 1.
        row: usize,
        /// The number.
        uniq: i64,
    },
    /// Two rows share a part of the sky.
    #[error("pixel {0} (UNIQ) overlaps another one")]
    Overlap(u64),
}

/// Rows that are read at most: a flat map of NSIDE 1024, and more than any multi-order map.
const MAX_ROWS: usize = 12 << 20;

impl StoredMap {
    /// Reads the first binary table of `file`, which is not compressed: see
    /// [`crate::fits::decompressed`].
    ///
    /// # Errors
    /// [`StoredMapError`].
    pub fn from_fits(file: &[u8]) -> Result<Self, StoredMapError> {
        let table = TableReader::new(file)?;
        let cards = table.cards();
        match cards.text("COORDSYS").map(str::trim) {
            None | Some("C" | "") => {}
            Some(other) => return Err(StoredMapError::Coordinates(other.to_owned())),
        }
        let ordering = cards.text("ORDERING").map_or("", str::trim).to_owned();
        let distance = Distances::of(&table)?;
        let mut rows = match ordering.as_str() {
            "NUNIQ" => multi_order(&table, distance.as_ref())?,
            "NESTED" => flat(&table, distance.as_ref(), Pixel::new)?,
            "RING" => flat(&table, distance.as_ref(), Pixel::from_ring)?,
            _ => return Err(StoredMapError::Ordering(ordering)),
        };
        rows.sort_by_key(|row| row.pixel.range());
        for pair in rows.windows(2) {
            if let [first, second] = pair
                && first.pixel.range().1 > second.pixel.range().0
            {
                return Err(StoredMapError::Overlap(second.pixel.uniq()));
            }
        }
        Ok(Self {
            rows,
            has_distance: distance.is_some(),
            cards: table.into_cards(),
        })
    }

    /// Coarsest and finest order of the pixels; `None` for a map without any.
    pub fn orders(&self) -> Option<(u8, u8)> {
        let orders = self.rows.iter().map(|row| row.pixel.order());
        Some((orders.clone().min()?, orders.max()?))
    }
}

/// The three columns of distances.
struct Distances<'a> {
    mu: ColumnReader<'a>,
    sigma: ColumnReader<'a>,
    norm: ColumnReader<'a>,
}

impl<'a> Distances<'a> {
    fn of(table: &TableReader<'a>) -> Result<Option<Self>, FitsError> {
        let named = ["DISTMU", "DISTSIGMA", "DISTNORM"].map(|name| table.column(name));
        match named {
            [Ok(mu), Ok(sigma), Ok(norm)] => Ok(Some(Self { mu, sigma, norm })),
            [Err(FitsError::NoColumn(_)), _, _] => Ok(None),
            [mu, sigma, norm] => mu.and(sigma).and(norm).map(|_| None),
        }
    }

    fn at(this: Option<&Self>, k: usize) -> Ansatz {
        this.map_or(Ansatz::UNDEFINED, |columns| Ansatz {
            mu: columns.mu.real(k),
            sigma: columns.sigma.real(k),
            norm: columns.norm.real(k),
        })
    }
}

fn multi_order(
    table: &TableReader<'_>,
    distance: Option<&Distances<'_>>,
) -> Result<Vec<Row>, StoredMapError> {
    let (uniq, density) = (table.column("UNIQ")?, table.column("PROBDENSITY")?);
    check_len(uniq.len())?;
    let read = |k: usize| {
        let number = uniq.integer(k).unwrap_or(-1);
        let pixel = u64::try_from(number).ok().and_then(Pixel::from_uniq);
        let pixel = pixel.ok_or(StoredMapError::Uniq {
            row: k + 1,
            uniq: number,
        })?;
        Ok(Row {
            pixel,
            density: density.real(k),
            distance: Distances::at(distance, k),
        })
    };
    (0..uniq.len()).map(read).collect()
}

fn flat(
    table: &TableReader<'_>,
    distance: Option<&Distances<'_>>,
    pixel: impl Fn(u8, u64) -> Option<Pixel>,
) -> Result<Vec<Row>, StoredMapError> {
    let cards = table.cards();
    if cards.text("INDXSCHM").map(str::trim) == Some("EXPLICIT") {
        return Err(StoredMapError::Explicit);
    }
    let probability = flat_column(table)?;
    let rows = probability.len();
    check_len(rows)?;
    let nside = cards.integer("NSIDE").unwrap_or(0);
    let wrong = || StoredMapError::Nside { nside, rows };
    let order = u64::try_from(nside).ok().and_then(Pixel::order_of_nside);
    let order = order.ok_or_else(wrong)?;
    if u64::try_from(rows).ok() != Some(12 << (2 * order)) {
        return Err(wrong());
    }
    let read = |(k, number): (usize, u64)| {
        let pixel = pixel(order, number).ok_or_else(wrong)?;
        Ok(Row {
            pixel,
            density: probability.real(k) / pixel.area(),
            distance: Distances::at(distance, k),
        })
    };
    (0..rows).zip(0..).map(read).collect()
}

/// The column of probabilities: by its names, or the first one.
fn flat_column<'a>(table: &TableReader<'a>) -> Result<ColumnReader<'a>, FitsError> {
    let named = ["PROB", "PROBABILITY"];
    if let Some(Ok(column)) = named
        .iter()
        .map(|name| table.column(name))
        .find(Result::is_ok)
    {
        return Ok(column);
    }
    let first = table.names().next().unwrap_or("PROB");
    table.column(first)
}

const fn check_len(rows: usize) -> Result<(), StoredMapError> {
    if rows > MAX_ROWS {
        return Err(StoredMapError::TooLarge(rows));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
