//! `gwasp skymap info`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use gwasp_kernels::fits::{Cards, Value, decompressed};
use gwasp_kernels::skymap::{Ranking, StoredMap};
use serde::Serialize;

use super::file;
use super::localize::square_degrees;
use crate::cli::table;

/// Sky maps that are read at most, decompressed.
pub(super) const MOST_BYTES: usize = 1 << 30;

/// Shows what sky maps hold: areas, distance, most probable pixel, network.
///
/// Multi-order maps and flat ones (nested or ring), gzipped or not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp skymap info bayestar.multiorder.fits
  gwasp skymap info --json *.fits | jq .area90_deg2")]
pub(super) struct Args {
    /// Sky maps.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// One JSON object a line, with the whole header.
    #[arg(long)]
    json: bool,
}

/// What a map holds; `None` is what the file does not say.
#[derive(Debug, Serialize)]
struct Description {
    file: String,
    object: Option<String>,
    instruments: Vec<String>,
    date_obs: Option<String>,
    ordering: Option<String>,
    /// Coarsest and finest HEALPix order.
    orders: Option<(u8, u8)>,
    pixels: usize,
    probability: f64,
    area50_deg2: f64,
    area90_deg2: f64,
    most_probable: Option<Maximum>,
    distance_mean_mpc: Option<f64>,
    distance_std_mpc: Option<f64>,
    log_bci: Option<f64>,
    log_bsn: Option<f64>,
    creator: Option<String>,
    version: Option<String>,
    header: serde_json::Map<String, serde_json::Value>,
    history: Vec<String>,
}

/// The densest pixel.
#[derive(Debug, Serialize)]
struct Maximum {
    ra_deg: f64,
    dec_deg: f64,
    uniq: u64,
    probability_per_deg2: f64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for path in &args.files {
        let map = stored(path)?;
        let description = Description::new(path, &map);
        if args.json {
            writeln!(out, "{}", table::json(&description)?)?;
        } else {
            write!(out, "{}", description.text())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a sky map, gzipped or not.
pub(super) fn stored(path: &Path) -> anyhow::Result<StoredMap> {
    let name = || path.display().to_string();
    let bytes = file::read(path, MOST_BYTES)?;
    let bytes = decompressed(&bytes, MOST_BYTES).with_context(name)?;
    StoredMap::from_fits(&bytes).with_context(name)
}

impl Description {
    fn new(path: &Path, map: &StoredMap) -> Self {
        let cards = &map.cards;
        let text = |keyword| cards.text(keyword).map(str::to_owned);
        let ranking = Ranking::new(&map.rows);
        let densest = ranking.densest().and_then(|k| map.rows.get(k));
        let instruments = cards.text("INSTRUME").unwrap_or_default();
        let object = match cards.get("OBJECT") {
            Some(Value::Integer(number)) => Some(number.to_string()),
            _ => text("OBJECT"),
        };
        Self {
            file: path.display().to_string(),
            object,
            instruments: instruments
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            date_obs: text("DATE-OBS"),
            ordering: text("ORDERING"),
            orders: map.orders(),
            pixels: map.rows.len(),
            probability: ranking.total(),
            area50_deg2: square_degrees(ranking.area(0.5)),
            area90_deg2: square_degrees(ranking.area(0.9)),
            most_probable: densest.map(|row| {
                let (ra, dec) = row.pixel.center();
                Maximum {
                    ra_deg: ra.to_degrees(),
                    dec_deg: dec.to_degrees(),
                    uniq: row.pixel.uniq(),
                    probability_per_deg2: row.density / square_degrees(1.0),
                }
            }),
            distance_mean_mpc: cards.real("DISTMEAN"),
            distance_std_mpc: cards.real("DISTSTD"),
            log_bci: cards.real("LOGBCI"),
            log_bsn: cards.real("LOGBSN"),
            creator: text("CREATOR"),
            version: text("VCSVERS"),
            header: header(cards),
            history: cards.history().to_vec(),
        }
    }

    fn text(&self) -> String {
        let orders = self.orders.map(|(coarsest, finest)| {
            let pixels = self.pixels;
            let ordering = self.ordering.as_deref().unwrap_or("?");
            format!("{pixels}, orders {coarsest} to {finest} ({ordering})")
        });
        let distance = self.distance_mean_mpc.map(|mean| {
            let std = self.distance_std_mpc.unwrap_or(f64::NAN);
            format!("{mean:.1} ± {std:.1} Mpc")
        });
        let maximum = self.most_probable.as_ref().map(|max| {
            format!(
                "ra {:.4} deg, dec {:+.4} deg, {:.3e} per deg²",
                max.ra_deg, max.dec_deg, max.probability_per_deg2
            )
        });
        let network = Some(self.instruments.join(" ")).filter(|names| !names.is_empty());
        let made = self.creator.as_ref().map(|creator| {
            let version = self.version.as_deref().unwrap_or("?");
            format!("{creator} ({version})")
        });
        let number = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
        let total = (self.probability - 1.0).abs() > 1e-6;
        let rows = [
            ("object", self.object.clone()),
            ("network", network),
            (
                "observed",
                self.date_obs.as_ref().map(|date| format!("{date} UTC")),
            ),
            ("50 % area", Some(format!("{:.4} deg²", self.area50_deg2))),
            ("90 % area", Some(format!("{:.4} deg²", self.area90_deg2))),
            ("maximum", maximum),
            ("distance", distance),
            ("ln B(C:I)", number(self.log_bci)),
            ("ln B(S:N)", number(self.log_bsn)),
            ("pixels", orders),
            (
                "probability",
                total.then(|| format!("{}, not 1", self.probability)),
            ),
            ("made by", made),
        ];
        let mut text = format!("{}\n", table::clean(&self.file));
        for (name, value) in rows {
            if let Some(value) = value {
                text.push_str(&format!("  {name:<13} {}\n", table::clean(&value)));
            }
        }
        text
    }
}

fn header(cards: &Cards) -> serde_json::Map<String, serde_json::Value> {
    let value = |value: &Value| match value {
        Value::Logical(yes) => (*yes).into(),
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    };
    let cards = cards.values().iter();
    cards
        .map(|(keyword, this)| (keyword.clone(), value(this)))
        .collect()
}
