//! Multi-order sky maps with distance layers.
//!
//! A map is made by [`crate::bayestar`] ([`SkyMap`]) or read ([`StoredMap`]); [`Ranking`] finds
//! its credible regions, [`FlatMap`] cuts it to pixels of one order.
//!
//! [`SkyMap::to_fits`] writes the form that `ligo.skymap`, healpy, mocpy and astropy read: one
//! binary table with columns UNIQ, PROBDENSITY, DISTMU, DISTSIGMA and `DISTNORM`.

mod flat;
mod region;
mod stored;

pub use flat::{FlatMap, FlatPixel, Scheme};
pub use region::Ranking;
pub use stored::{StoredMap, StoredMapError};

use crate::distance::Ansatz;
use crate::fits::{Column, Header, TableWriter};
use crate::gps::GpsTime;
use crate::healpix::Pixel;

/// One row of a multi-order map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Where.
    pub pixel: Pixel,
    /// Probability per steradian.
    pub density: f64,
    /// Distance along this line of sight.
    pub distance: Ansatz,
}

/// A multi-order sky map: rows sorted by UNIQ number that together cover the sphere.
#[derive(Clone, Debug, PartialEq)]
pub struct SkyMap {
    /// The pixels.
    pub rows: Vec<Row>,
    /// The event's time.
    pub epoch: GpsTime,
    /// Prefixes of the detectors used, sorted.
    pub instruments: Vec<String>,
    /// Posterior mean distance, Mpc.
    pub mean_distance: f64,
    /// Posterior standard deviation of distance, Mpc.
    pub std_distance: f64,
    /// Log Bayes factor, coherent signal against independent signals.
    pub log_bci: f64,
    /// Log Bayes factor, signal against noise.
    pub log_bsn: f64,
    /// Lines that say how the map was made.
    pub history: Vec<String>,
}

/// What a file says about the map beside the map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// Identifier of the event, such as `G211117`; whole numbers are written as numbers.
    pub object: Option<String>,
    /// Where the event is described.
    pub url: Option<String>,
    /// When the file is written.
    pub written: Option<GpsTime>,
    /// Seconds that the computation took.
    pub runtime: Option<f64>,
    /// The command line that asked for it.
    pub command_line: Option<String>,
}

const ORIGIN: &str = "LIGO/Virgo/KAGRA";
/// Readers test for this name.
const CREATOR: &str = "BAYESTAR";

impl SkyMap {
    /// The map as a FITS file: an empty primary unit and one binary table.
    pub fn to_fits(&self, provenance: &Provenance) -> Vec<u8> {
        let columns = [
            Column {
                name: "UNIQ",
                format: "K",
                unit: None,
            },
            Column {
                name: "PROBDENSITY",
                format: "D",
                unit: Some("sr-1"),
            },
            Column {
                name: "DISTMU",
                format: "D",
                unit: Some("Mpc"),
            },
            Column {
                name: "DISTSIGMA",
                format: "D",
                unit: Some("Mpc"),
            },
            Column {
                name: "DISTNORM",
                format: "D",
                unit: Some("Mpc-2"),
            },
        ];
        let mut table = TableWriter::new(&columns, self.rows.len(), 40);
        self.describe(table.header(), provenance);
        for row in &self.rows {
            let Ansatz { mu, sigma, norm } = row.distance;
            table.put(&row.pixel.uniq().to_be_bytes());
            for value in [row.density, mu, sigma, norm] {
                table.put(&value.to_be_bytes());
            }
        }
        table.finish()
    }

    fn describe(&self, header: &mut Header, provenance: &Provenance) {
        let deepest = self
            .rows
            .iter()
            .map(|row| row.pixel.order())
            .max()
            .unwrap_or(0);
        header.logical("MOC", true, "");
        header.text("PIXTYPE", "HEALPIX", "HEALPIX pixelisation");
        header.text(
            "ORDERING",
            "NUNIQ",
            "Pixel ordering scheme: RING, NESTED, or NUNIQ",
        );
        header.text(
            "COORDSYS",
            "C",
            "Ecliptic, Galactic or Celestial (equatorial)",
        );
        header.integer(
            "MOCORDER",
            i64::from(deepest),
            "MOC resolution (best order)",
        );
        header.text("INDXSCHM", "EXPLICIT", "Indexing: IMPLICIT or EXPLICIT");
        self.describe_event(header, provenance);
        header.text("CREATOR", CREATOR, "Program that created this file");
        header.text(
            "ORIGIN",
            ORIGIN,
            "Organization responsible for this FITS file",
        );
        if let Some(runtime) = provenance.runtime {
            header.real(
                "RUNTIME",
                runtime,
                "Runtime in seconds of the CREATOR program",
            );
        }
        header.real(
            "DISTMEAN",
            self.mean_distance,
            "Posterior mean distance (Mpc)",
        );
        header.real(
            "DISTSTD",
            self.std_distance,
            "Posterior standard deviation of distance (Mpc)",
        );
        header.real(
            "LOGBCI",
            self.log_bci,
            "Log Bayes factor: coherent vs. incoherent",
        );
        header.real("LOGBSN", self.log_bsn, "Log Bayes factor: signal vs. noise");
        let version = concat!("gwasp ", env!("CARGO_PKG_VERSION"));
        header.text("VCSVERS", version, "Software version");
        for line in &self.history {
            header.history(line);
        }
        if let Some(command_line) = &provenance.command_line {
            header.history("");
            header.history("This was the command line that started the program:");
            header.history(command_line);
        }
    }

    fn describe_event(&self, header: &mut Header, provenance: &Provenance) {
        if let Some(object) = &provenance.object {
            match object.parse() {
                Ok(number) => header.integer("OBJECT", number, "Unique identifier for this event"),
                Err(_) => header.text("OBJECT", object, "Unique identifier for this event"),
            }
        }
        if let Some(url) = &provenance.url {
            header.text("REFERENC", url, "URL of this event");
        }
        header.text(
            "INSTRUME",
            &self.instruments.join(","),
            "Instruments that triggered this event",
        );
        header.text("DATE-OBS", &self.epoch.utc(), "UTC date of the observation");
        header.real(
            "MJD-OBS",
            self.epoch.mjd(),
            "modified Julian date of the observation",
        );
        if let Some(written) = provenance.written {
            let whole = GpsTime::new(written.split().0, 0).unwrap_or(written);
            header.text("DATE", &whole.utc(), "UTC date of file creation");
        }
    }
}

#[cfg(test)]
mod tests;
