//! Credible regions: where the probability is.

use super::Row;

/// The rows of a map in falling density, with the probability and the area that they add up to.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Indices of rows, the densest first; of equal ones the earlier first.
    order: Vec<usize>,
    /// Probability of a row and all that are denser, `[rows]`.
    probability: Vec<f64>,
    /// Area of the same, steradians, `[rows]`.
    area: Vec<f64>,
}

impl Ranking {
    /// Ranks rows by density; what is not a number comes last and counts nothing.
    pub fn new(rows: &[Row]) -> Self {
        let density = |row: &Row| {
            if row.density.is_finite() {
                row.density
            } else {
                0.0
            }
        };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| density(&rows[b]).total_cmp(&density(&rows[a])));
        let (mut probability, mut area) = (0.0, 0.0);
        let sums = order.iter().map(|&k| {
            probability += density(&rows[k]) * rows[k].pixel.area();
            area += rows[k].pixel.area();
            (probability, area)
        });
        let (probability, area) = sums.unzip();
        Self {
            order,
            probability,
            area,
        }
    }

    /// Index of the densest row; `None` for a map without rows.
    pub fn densest(&self) -> Option<usize> {
        self.order.first().copied()
    }

    /// Probability of the whole map; 1 for a map that is normalized.
    pub fn total(&self) -> f64 {
        self.probability.last().copied().unwrap_or(0.0)
    }

    /// Area in steradians of the smallest region that holds `level`, in `[0, 1]`, of the
    /// probability; within the last pixel it grows in proportion.
    pub fn area(&self, level: f64) -> f64 {
        let k = self.probability.partition_point(|&sum| sum < level);
        let last = self.area.last().copied().unwrap_or(0.0);
        let Some((&above, &area)) = self.probability.get(k).zip(self.area.get(k)) else {
            return last;
        };
        let below = k.checked_sub(1);
        let before = |sums: &[f64]| below.and_then(|k| sums.get(k)).copied().unwrap_or(0.0);
        let (from, start) = (before(&self.probability), before(&self.area));
        if above > from {
            start + (area - start) * (level - from) / (above - from)
        } else {
            area
        }
    }

    /// Probability of the rows that are denser than row `k`, and half of its own: the credible
    /// level at which that pixel would be searched.
    pub fn searched(&self, k: usize) -> Option<f64> {
        let rank = self.order.iter().position(|&row| row == k)?;
        let with = self.probability.get(rank)?;
        let below = rank.checked_sub(1).and_then(|k| self.probability.get(k));
        Some(0.5 * (with + below.unwrap_or(&0.0)))
    }
}

#[cfg(test)]
mod tests;
