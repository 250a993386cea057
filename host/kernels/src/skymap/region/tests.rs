use super::*;
use crate::distance::Ansatz;
use crate::healpix::Pixel;
use std::f64::consts::PI;

/// Twelve pixels; one holds half of the probability, another a quarter.
fn rows() -> Vec<Row> {
    let part = |nest| match nest {
        3 => 0.5,
        7 => 0.25,
        _ => 0.025,
    };
    let row = |pixel: Pixel| Row {
        pixel,
        density: part(pixel.nest()) / pixel.area(),
        distance: Ansatz::UNDEFINED,
    };
    Pixel::all(0).map(row).collect()
}

#[track_caller]
fn check_area(level: f64, pixels: f64) {
    let area = Ranking::new(&rows()).area(level) / (PI / 3.0);
    assert!((area - pixels).abs() < 1e-9, "{area} pixels hold {level}");
}

#[test]
fn the_smallest_region_is_filled_from_the_densest_pixel_on() {
    check_area(0.0, 0.0);
    check_area(0.25, 0.5);
    check_area(0.5, 1.0);
    check_area(0.75, 2.0);
    check_area(0.8, 4.0);
    check_area(1.0, 12.0);
    check_area(1.5, 12.0);
}

#[test]
fn a_pixel_is_searched_behind_all_that_are_denser() {
    let rows = rows();
    let ranking = Ranking::new(&rows);
    assert_eq!(ranking.densest(), Some(3));
    assert!((ranking.searched(3).expect("a row") - 0.25).abs() < 1e-12);
    assert!((ranking.searched(7).expect("a row") - 0.625).abs() < 1e-12);
    assert_eq!(ranking.searched(12), None);
}
