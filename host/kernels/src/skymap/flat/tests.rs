use super::*;
use crate::shared_bytes;
use crate::skymap::StoredMap;

fn stored() -> Option<StoredMap> {
    let file = shared_bytes("bayestar/reference/sim03_HLV_bns_Vsub.multiorder.fits")?;
    Some(StoredMap::from_fits(&file).expect("a sky map"))
}

fn file(map: &FlatMap, cards: &Cards) -> Vec<u8> {
    map.to_fits(cards).flatten().collect()
}

#[test]
fn a_flat_map_read_back_is_the_map_that_was_cut() {
    let Some(stored) = stored() else {
        return;
    };
    for scheme in [Scheme::Nested, Scheme::Ring] {
        let flat = FlatMap::new(&stored.rows, true, 6, scheme);
        let bytes = file(&flat, &stored.cards);
        assert!(bytes.len().is_multiple_of(2_880));
        let read = StoredMap::from_fits(&bytes).expect("a sky map");
        assert_eq!(read.rows.len(), 12 << 12);
        let again = FlatMap::new(&read.rows, true, 6, Scheme::Nested);
        let first = FlatMap::new(&stored.rows, true, 6, Scheme::Nested);
        for number in 0..first.n_pixels() {
            let (a, b) = (first.pixel(number), again.pixel(number));
            let (a, b) = (a.expect("in range"), b.expect("in range"));
            let apart = (a.probability - b.probability).abs();
            assert!(apart <= 1e-15 * a.probability, "{number}: {a:?} {b:?}");
            assert_eq!(a.distance, b.distance, "{number}");
        }
        assert_eq!(
            read.cards.real("LOGBSN"),
            stored.cards.real("LOGBSN"),
            "the event's keywords are kept"
        );
    }
}

#[test]
fn probability_is_kept_whether_pixels_are_split_or_merged() {
    let Some(stored) = stored() else {
        return;
    };
    for order in [0, 3, 8] {
        let flat = FlatMap::new(&stored.rows, true, order, Scheme::Nested);
        let pixels = (0..flat.n_pixels()).filter_map(|number| flat.pixel(number));
        let total: f64 = pixels.map(|pixel| pixel.probability).sum();
        assert!((total - 1.0).abs() < 1e-9, "order {order}: {total}");
    }
}

#[test]
fn merged_pixels_keep_mean_and_mean_square_of_distance() {
    let distance = |mean, std| Moments { mean, std }.fit();
    let row = |nest, density, distance| Row {
        pixel: Pixel::new(1, nest).expect("a pixel"),
        density,
        distance,
    };
    let rows = [
        row(0, 3.0, distance(100.0, 20.0)),
        row(1, 1.0, distance(140.0, 30.0)),
        row(2, 0.0, Ansatz::UNDEFINED),
    ];
    let flat = FlatMap::new(&rows, true, 0, Scheme::Nested);
    let pixel = flat.pixel(0).expect("in range");
    let area = Pixel::new(1, 0).expect("a pixel").area();
    assert!((pixel.probability - 4.0 * area).abs() < 1e-12);
    let moments = pixel.distance.moments();
    // By hand: 3/4 · 100 + 1/4 · 140, and the same of the mean squares.
    assert!((moments.mean - 110.0).abs() < 1e-5, "{moments:?}");
    let square: f64 = 0.75 * (1e4 + 400.0) + 0.25 * (140.0 * 140.0 + 900.0);
    let std = (square - 110.0 * 110.0).sqrt();
    assert!((moments.std - std).abs() < 1e-5, "{moments:?}, not {std}");
}
