//! Writes a simulated binary neutron star as three detectors see it: `simulate DIRECTORY [SEED]`
//! makes `coinc.xml` and `psd.xml` there, for `gwasp skymap localize` or `ligo.skymap`.

use gwasp_kernels::bayestar::{write_candidates, write_spectra};
use gwasp_kernels::detectors::Detector;
use gwasp_kernels::gps::GpsTime;
use gwasp_kernels::simulate::{Simulation, Site, Source, advanced_ligo};
use gwasp_kernels::waveform::{Template, WaveformChoice};
use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: simulate DIRECTORY [SEED]";
    let directory = PathBuf::from(words.next().ok_or(usage)?);
    let seed: u64 = words.next().map_or(Ok(1), |word| word.parse())?;

    let template = Template::new([1.4, 1.4], [0.0, 0.0], 1_024.0)?;
    let psd = advanced_ligo(10.0, 0.25, 2_048.0)?;
    let mut sites = Vec::new();
    for prefix in ["H1", "L1", "V1"] {
        let detector = Detector::by_prefix(prefix).ok_or("unknown detector")?;
        let psd = psd.clone();
        sites.push(Site { detector, psd });
    }
    let simulation = Simulation::new(&template, WaveformChoice::ByMass, 15.0, sites, 2_048)?;
    let source = Source {
        ra: 3.446,
        dec: -0.408,
        distance: 150.0,
        cos_inclination: -0.88,
        polarization: 0.4,
        phase: 1.0,
        time: GpsTime::new(1_187_008_882, 430_000_000).ok_or("time out of range")?,
    };
    let candidate = simulation.observe(&source, Some(seed));
    fs::write(
        directory.join("coinc.xml"),
        write_candidates(std::slice::from_ref(&candidate)),
    )?;
    fs::write(directory.join("psd.xml"), write_spectra(&candidate))?;
    Ok(())
}
