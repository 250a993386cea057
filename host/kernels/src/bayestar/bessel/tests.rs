use super::*;

/// Values of `scipy.special.i0e`.
#[test]
fn values_agree_with_another_implementation() {
    for (x, expected) in [
        (0.0, 1.0),
        (0.5, 0.645_035_270_449_15),
        (3.0, 0.243_000_354_161_825_36),
        (8.0, 0.143_431_781_856_850_3),
        (8.5, 0.139_001_843_054_847_58),
        (40.0, 0.063_278_279_875_235_32),
        (1e3, 0.012_617_240_455_891_257),
        (1e7, 1.261_566_276_779_659e-4),
    ] {
        let found = scaled_i0(x);
        assert!((found / expected - 1.0).abs() < 1e-9, "{x}: {found}");
    }
}
