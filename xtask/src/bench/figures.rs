//! Figures, as `gwasp bench` prints them.

use serde_json::json;

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) bench: &'static str,
    /// Which figure of it.
    pub(super) figure: String,
    /// Its value.
    pub(super) value: f64,
    /// Its unit.
    pub(super) unit: &'static str,
}

/// Prints a line each: columns for people, or JSON.
pub(super) fn print(figures: &[Figure], json: bool) {
    for Figure {
        bench,
        figure,
        value,
        unit,
    } in figures
    {
        if json {
            let object = json!({"bench": bench, "figure": figure, "value": value, "unit": unit});
            println!("{object}");
        } else {
            println!("{bench:<27}  {figure:<45}  {value:<7.2}  {unit}");
        }
    }
}

/// The middle of `values`.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
