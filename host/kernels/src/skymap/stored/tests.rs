use super::*;
use crate::fits::{Column, TableWriter};
use crate::shared_bytes;
use crate::skymap::Ranking;

/// What `ligo.skymap` itself says about its maps.
#[test]
fn maps_of_the_reference_have_its_areas_and_maxima() {
    let Some(summary) = shared_bytes("bayestar/reference_summary.json") else {
        return;
    };
    let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
    for event in summary.as_array().expect("events") {
        let name = event["name"].as_str().expect("a name");
        let Some(file) = shared_bytes(&format!("bayestar/reference/{name}.multiorder.fits")) else {
            return;
        };
        let map = StoredMap::from_fits(&file).expect("a sky map");
        let number = |key: &str| event[key].as_f64().expect("a number");
        let ranking = Ranking::new(&map.rows);
        let square_degrees = (180.0 / std::f64::consts::PI).powi(2);
        for (level, key) in [(0.5, "area50"), (0.9, "area90")] {
            let ratio = ranking.area(level) * square_degrees / number(key);
            assert!((ratio - 1.0).abs() < 1e-3, "{name}: {key} ratio {ratio}");
        }
        let densest = map.rows[ranking.densest().expect("rows")];
        let uniq = event["max_uniq"].as_u64().expect("a number");
        assert_eq!(densest.pixel.uniq(), uniq, "{name}");
        let (ra, dec) = densest.pixel.center();
        assert!(
            (ra.to_degrees() - number("max_ra_deg")).abs() < 1e-9,
            "{name}: {ra}"
        );
        assert!(
            (dec.to_degrees() - number("max_dec_deg")).abs() < 1e-9,
            "{name}: {dec}"
        );
        assert!((ranking.total() - 1.0).abs() < 1e-9, "{name}");
        let finest = map.orders().map(|(_, finest)| u64::from(finest));
        assert_eq!(finest, event["mocorder"].as_u64(), "{name}");
        assert!(map.has_distance);
    }
}

/// A multi-order file with these UNIQ numbers, all of density 1.
fn file(uniqs: &[i64], coordinates: &str) -> Vec<u8> {
    let columns = [("UNIQ", "K"), ("PROBDENSITY", "D")].map(|(name, format)| Column {
        name,
        format,
        unit: None,
    });
    let mut table = TableWriter::new(&columns, uniqs.len(), 16);
    table.header().text("ORDERING", "NUNIQ", "");
    table.header().text("COORDSYS", coordinates, "");
    for uniq in uniqs {
        table.put(&uniq.to_be_bytes());
        table.put(&1.0_f64.to_be_bytes());
    }
    table.finish()
}

#[track_caller]
fn check_refused(uniqs: &[i64], coordinates: &str, error: &StoredMapError) {
    let found = StoredMap::from_fits(&file(uniqs, coordinates)).expect_err("refused");
    assert_eq!(&found, error);
}

#[test]
fn a_map_without_distances_is_read() {
    let map = StoredMap::from_fits(&file(&[4, 5], "C")).expect("a map");
    assert!(!map.has_distance && map.rows.len() == 2);
}

#[test]
fn numbers_that_are_no_pixels_are_named_with_their_row() {
    let error = StoredMapError::Uniq { row: 2, uniq: 3 };
    check_refused(&[4, 3], "C", &error);
    let error = StoredMapError::Uniq { row: 1, uniq: -1 };
    check_refused(&[-1], "C", &error);
}

#[test]
fn a_pixel_within_another_is_refused() {
    check_refused(&[4, 17], "C", &StoredMapError::Overlap(17));
    check_refused(&[5, 5], "C", &StoredMapError::Overlap(5));
}

#[test]
fn galactic_maps_are_refused() {
    check_refused(&[4], "G", &StoredMapError::Coordinates("G".to_owned()));
}
