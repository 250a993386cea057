//! The lane of sky localization: every reference event, other people's readers, and the P-P
//! test, with its plot in docs/pp.svg.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::build::{self, Built, root};
use crate::{marks, peers, step};

/// What a source's credible level is of, in the order of the results.
const KINDS: [(&str, &str); 3] = [("distance", "#c33"), ("sky", "#236"), ("volume", "#283")];
/// The two parts of the results: key, and what it says under the plot.
const PARTS: [(&str, &str); 2] = [
    ("rescale 0.83", "as published: SNR rescaled by 0.83"),
    ("rescale 1.0", "SNR as it is"),
];

/// Runs the tests at length, and draws what they found.
pub(super) fn run(built: &Built) -> Result<()> {
    let venv = peers::skymap(&built.target)?;
    let results = built.target.join("pp.json");
    let mut tests = build::cargo()?;
    tests
        .args(["test", "--package", "gwasp-kernels", "--tests", "--"])
        .arg("--nocapture")
        .env("GWASP_SOAK", "1")
        .env("GWASP_SKYMAP_VENV", &venv)
        .env("GWASP_PP_RESULTS", &results);
    step::run("sky localization at length; an hour or more", &mut tests)?;
    let mut readers = build::cargo()?;
    readers
        .args(["test", "--package", "gwasp-tests", "--test", "it", "--"])
        .arg("skymap::")
        .env("GWASP_BIN", &built.binary)
        .env("GWASP_PLUGINS", &built.plugins)
        .env("GWASP_SKYMAP_VENV", &venv);
    step::run(
        "reading sky maps with other people's libraries",
        &mut readers,
    )?;
    draw(&std::fs::read_to_string(&results)?)
}

/// Writes docs/pp.svg and its table, from the results of the P-P test.
fn draw(results: &str) -> Result<()> {
    let results: Value = serde_json::from_str(results)?;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 420\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"760\" height=\"420\" fill=\"#fff\"/>\n",
    );
    let mut table = format!("{}, {}\n\n", marks::today()?, marks::this_machine());
    table.push_str(
        "| SNR | level of | events | D | below 0.5 | below 0.9 |\n|---|---|---|---|---|---|\n",
    );
    for (panel, (key, title)) in (0..).zip(PARTS) {
        let left = 50 + 370 * panel;
        let events = results[key]
            .as_array()
            .context("no events in the results")?;
        frame(&mut svg, left, title, events.len())?;
        for (k, (kind, colour)) in KINDS.into_iter().enumerate() {
            let levels = events.iter().filter_map(|event| event[k].as_f64());
            let mut levels: Vec<f64> = levels.collect();
            levels.sort_by(f64::total_cmp);
            curve(&mut svg, left, colour, &levels)?;
            let y = 300 + 18 * k;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{kind}</text>",
                left + 230
            )?;
            let below = |level| levels.iter().filter(|&&x| x < level).count() as f64;
            let n = levels.len() as f64;
            writeln!(
                table,
                "| {key} | {kind} | {n} | {:.3} | {:.3} | {:.3} |",
                distance(&levels),
                below(0.5) / n,
                below(0.9) / n
            )?;
        }
    }
    svg.push_str("</svg>\n");
    let file = root()?.join("docs/pp.svg");
    std::fs::write(&file, svg).with_context(|| format!("writing {}", file.display()))?;
    marks::replace("pp", &table)
}

/// Axes, diagonal, and the band that 95 % of uniform samples stay in.
fn frame(svg: &mut String, left: i32, title: &str, events: usize) -> Result<()> {
    let band = 300.0 * 1.36 / (events as f64).sqrt();
    let right = left + 300;
    writeln!(
        svg,
        "<polygon points=\"{left},{a:.1} {b:.1},50 {right},50 {right},{c:.1} {d:.1},350 \
         {left},350\" fill=\"#eee\"/>\n\
         <path d=\"M{left} 350L{right} 50M{left} 50V350H{right}\" stroke=\"#888\" fill=\"none\"/>",
        a = 350.0 - band,
        b = f64::from(right) - band,
        c = 50.0 + band,
        d = f64::from(left) + band,
    )?;
    for tick in 0..=5 {
        let (x, y) = (left + 60 * tick, 350 - 60 * tick);
        let value = f64::from(tick) / 5.0;
        writeln!(
            svg,
            "<text x=\"{x}\" y=\"368\" text-anchor=\"middle\">{value}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>",
            left - 6,
            y + 4
        )?;
    }
    writeln!(
        svg,
        "<text x=\"{left}\" y=\"36\">{title}</text>\
         <text x=\"{}\" y=\"390\" text-anchor=\"middle\">credible level</text>\
         <text x=\"{}\" y=\"200\" transform=\"rotate(-90 {} 200)\" text-anchor=\"middle\">fraction of {events} sources</text>",
        left + 150,
        left - 34,
        left - 34
    )?;
    Ok(())
}

/// The cumulative distribution of sorted levels, as steps.
fn curve(svg: &mut String, left: i32, colour: &str, levels: &[f64]) -> Result<()> {
    let mut path = format!("M{left} 350");
    for (level, k) in levels.iter().zip(1..) {
        let x = f64::from(left) + 300.0 * level;
        let y = 350.0 - 300.0 * f64::from(k) / levels.len() as f64;
        write!(path, "H{x:.1}V{y:.1}")?;
    }
    writeln!(
        svg,
        "<path d=\"{path}H{}\" stroke=\"{colour}\" stroke-width=\"1.5\" fill=\"none\"/>",
        left + 300
    )?;
    Ok(())
}

/// Greatest distance of sorted levels from the uniform distribution (Kolmogorov, Smirnov).
fn distance(levels: &[f64]) -> f64 {
    let n = levels.len() as f64;
    let apart = levels.iter().zip(0..).map(|(level, k)| {
        let k = f64::from(k);
        (level - k / n).abs().max((level - (k + 1.0) / n).abs())
    });
    apart.fold(0.0, f64::max)
}
