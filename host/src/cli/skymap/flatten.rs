//! `gwasp skymap flatten`.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use gwasp_kernels::healpix::Pixel;
use gwasp_kernels::skymap::{FlatMap, Scheme};
use gwasp_kernels::work::CancelToken;

use super::{file, info, interrupt};

/// Cuts a multi-order sky map to pixels of one size, for healpy and older programs.
///
/// The probability density becomes a probability per pixel. Pixels that are merged keep mean and
/// standard deviation of their distance.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  gwasp skymap flatten bayestar.multiorder.fits -o bayestar.fits.gz
  gwasp skymap flatten bayestar.multiorder.fits -o small.fits --nside 64 --ring")]
pub(super) struct Args {
    /// The sky map.
    #[arg(value_name = "IN.fits")]
    input: PathBuf,
    /// The flat map, gzipped where its name ends in .gz.
    #[arg(short, long, value_name = "OUT.fits")]
    output: PathBuf,
    /// Resolution: 12 N² pixels, N a power of two [default: as fine as the finest pixel].
    #[arg(long, value_name = "N", value_parser = order)]
    nside: Option<u8>,
    /// Counts pixels along rings instead of along the nested curve.
    #[arg(long)]
    ring: bool,
}

/// The order of an NSIDE that a disk may hold.
fn order(text: &str) -> Result<u8, String> {
    const FINEST: u8 = 13;
    let nside = text.parse().ok().and_then(Pixel::order_of_nside);
    nside
        .filter(|&order| order <= FINEST)
        .ok_or_else(|| "NSIDE is a power of two from 1 to 8192".to_owned())
}

pub(super) fn run(args: &Args, cancel: &CancelToken) -> anyhow::Result<()> {
    interrupt::cancels(cancel)?;
    let map = info::stored(&args.input)?;
    let finest = map.orders().map(|(_, finest)| finest);
    let order = args.nside.or(finest).context("the map has no pixels")?;
    ensure!(
        order <= 13,
        "the finest pixels of {} are of order {order}: choose a resolution with --nside",
        args.input.display()
    );
    let scheme = if args.ring {
        Scheme::Ring
    } else {
        Scheme::Nested
    };
    let flat = FlatMap::new(&map.rows, map.has_distance, order, scheme);
    file::write(&args.output, flat.to_fits(&map.cards), cancel)
}
