use super::*;

#[track_caller]
fn check_center(order: u8, nest: u64, expected: (f64, f64)) {
    let (ra, dec) = Pixel::new(order, nest).expect("the pixel exists").center();
    let difference = (ra - expected.0).abs().max((dec - expected.1).abs());
    assert!(
        difference < 1e-14,
        "order {order}, nest {nest}: {ra}, {dec}"
    );
}

/// Values of `astropy_healpix` 1.1.
#[test]
fn centers_agree_with_another_implementation() {
    check_center(0, 0, (FRAC_PI_4, 0.729_727_656_226_966_3));
    check_center(0, 4, (0.0, 0.0));
    check_center(0, 11, (5.497_787_143_782_138, -0.729_727_656_226_966_3));
    check_center(4, 0, (FRAC_PI_4, 0.041_678_732_422_577_865));
    check_center(4, 255, (FRAC_PI_4, 1.519_759_751_642_23));
    check_center(4, 1_024, (0.0, -0.675_131_532_937_031_7));
    check_center(
        4,
        3_071,
        (5.497_787_143_782_138, -0.041_678_732_422_577_865),
    );
    check_center(
        11,
        12_751_002,
        (5.372_384_214_372_487, 0.151_621_944_144_225_95),
    );
    check_center(
        11,
        12_345_678,
        (4.012_189_869_625_118, 1.249_677_057_086_641_3),
    );
    check_center(
        29,
        1_234_567_890_123_456_789,
        (0.276_360_192_288_435_4, -0.223_586_364_531_079_52),
    );
}

#[test]
fn pixels_of_an_order_fill_the_sphere_and_average_to_its_center() {
    let mut sum = [0.0; 4];
    for pixel in Pixel::all(5) {
        let (ra, dec) = pixel.center();
        let area = pixel.area();
        let part = [dec.cos() * ra.cos(), dec.cos() * ra.sin(), dec.sin(), 1.0];
        for (total, value) in sum.iter_mut().zip(part) {
            *total += area * value;
        }
    }
    assert!(sum[..3].iter().all(|x| x.abs() < 1e-10), "{sum:?}");
    assert!((sum[3] - 4.0 * PI).abs() < 1e-10);
}

#[test]
fn a_uniq_number_leads_back_to_its_pixel() {
    for (order, nest) in [
        (0, 0),
        (0, 11),
        (4, 3071),
        (11, 50_331_647),
        (29, (12 << 58) - 1),
    ] {
        let pixel = Pixel::new(order, nest).expect("the pixel exists");
        assert_eq!(Pixel::from_uniq(pixel.uniq()), Some(pixel));
    }
}

#[test]
fn numbers_of_no_pixel_are_refused() {
    for uniq in [0, 1, 3, 16 + 48, u64::MAX] {
        assert_eq!(
            Pixel::from_uniq(uniq).filter(|pixel| pixel.uniq() != uniq),
            None
        );
    }
    assert_eq!(Pixel::new(0, 12), None);
    assert_eq!(Pixel::new(30, 0), None);
    assert_eq!(Pixel::from_uniq(3), None);
    assert_eq!(Pixel::from_uniq(u64::MAX), None);
}

#[test]
fn children_have_consecutive_uniq_numbers() {
    let parent = Pixel::new(7, 1_234).expect("the pixel exists");
    let children = parent.children().expect("order 8 exists");
    for (k, child) in (0..).zip(children) {
        assert_eq!(child.uniq(), 4 * parent.uniq() + k);
    }
    assert_eq!(Pixel::new(29, 0).and_then(Pixel::children), None);
}

#[test]
fn ring_numbers_rise_from_north_to_south_and_along_each_ring() {
    for order in 0..=5 {
        let mut last = (f64::INFINITY, 0.0);
        for ring in 0..12 << (2 * order) {
            let pixel = Pixel::from_ring(order, ring).expect("the pixel exists");
            assert_eq!(pixel.ring(), ring, "order {order}");
            let (ra, dec) = pixel.center();
            let onward = dec < last.1 - 1e-12 || (dec - last.1).abs() < 1e-12 && ra > last.0;
            assert!(ring == 0 || onward, "order {order}, ring {ring}");
            last = (ra, dec);
        }
        assert_eq!(Pixel::from_ring(order, 12 << (2 * order)), None);
    }
}

/// Values of `healpy` 1.20.1, `nest2ring`.
#[test]
fn ring_numbers_agree_with_another_implementation() {
    let check = |order, nest, ring| {
        let pixel = Pixel::new(order, nest).expect("the pixel exists");
        assert_eq!(pixel.ring(), ring, "order {order}, nest {nest}");
    };
    check(0, 4, 4);
    check(4, 0, 1_448);
    check(4, 255, 0);
    check(4, 1_024, 2_464);
    check(4, 3_071, 1_624);
    check(11, 12_345_678, 1_286_852);
    check(11, 43_210_987, 43_960_679);
    check(29, 1_234_567_890_123_456_789, 2_112_834_960_432_907_595);
    check(29, 3_300_000_000_000_000_000, 2_678_179_976_352_429_696);
}

#[test]
fn a_pixel_contains_its_own_center_and_those_of_finer_ones() {
    for order in [0, 1, 4, 6] {
        for pixel in Pixel::all(order) {
            let (ra, dec) = pixel.center();
            assert_eq!(Pixel::containing(order, ra, dec), pixel);
            assert_eq!(Pixel::containing(order, ra - 4.0 * PI, dec), pixel);
            for child in pixel.children().expect("not the finest") {
                let (ra, dec) = child.center();
                assert_eq!(Pixel::containing(order, ra, dec), pixel);
            }
        }
    }
}

/// Values of `healpy` 1.20.1, `ang2pix` with `nest=True`.
#[test]
fn directions_are_in_the_pixels_of_another_implementation() {
    let check = |order, ra, dec, nest| {
        let pixel = Pixel::containing(order, ra, dec);
        assert_eq!(pixel.nest(), nest, "order {order}, ra {ra}, dec {dec}");
    };
    check(0, 5.0554, 0.6635, 3);
    check(0, 3.2362, -0.4427, 6);
    check(0, 0.3387, -0.2354, 4);
    check(3, 2.5652, -1.142, 582);
    check(3, 0.3062, 1.5134, 63);
    check(3, 4.0969, -0.5598, 667);
    check(11, 2.7315, 1.2481, 7_834_865);
    check(11, 5.6374, 0.7594, 14_318_348);
    check(11, 2.4643, -0.014, 27_932_599);
    check(24, 4.2496, -1.0725, 2_846_581_945_074_796);
    check(24, 3.4891, -0.4747, 3_022_191_696_964_314);
    check(24, 5.5242, -1.0584, 3_150_807_897_696_908);
}
